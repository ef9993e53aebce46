//! Rows that go one by one, each with its values as the parameters of a prepared statement.
//!
//! A few rows are written sooner this way than by way of a stage, which costs the server a `COPY` and an emptying. The
//! statements are sent without waiting for answers.

use bytes::{Buf, BytesMut};
use futures_util::future::join_all;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Statement};

use crate::encode::EncodedRows;

/// Up to how many rows this is the quicker way.
pub(crate) const MOST_ROWS: usize = 24;

/// The statements for single rows. They take the fields of a row, in order.
pub(crate) struct Single {
    /// Writes a row.
    pub(crate) insert: Statement,
    /// Ends the row with a key; in modes that end rows.
    pub(crate) end: Option<Statement>,
}

/// Executes a statement for each of the chosen rows. Rows that have no binary form are left out; the caller has refused
/// them.
///
/// # Errors
/// The first failure. Those after it only tell that the transaction has failed.
pub(crate) async fn execute(
    client: &Client,
    statement: &Statement,
    encoded: &EncodedRows,
    chosen: &[usize],
) -> Result<(), Error> {
    let execute = |row| async move {
        let fields = fields(row);
        let parameters: Vec<_> = fields.iter().map(|field| field as &(dyn ToSql + Sync)).collect();
        client.execute(statement, &parameters).await.map(drop)
    };
    let executed = join_all(chosen.iter().filter_map(|row| encoded.row(*row).ok()).map(execute)).await;
    executed.into_iter().collect()
}

/// The fields of a row in the binary form of `COPY`, which is that of parameters too.
fn fields(mut row: &[u8]) -> Vec<Field<'_>> {
    let count = row.get_i16();
    let mut field = || {
        let length = usize::try_from(row.get_i32()).ok()?;
        let (field, rest) = row.split_at(length);
        row = rest;
        Some(field)
    };
    (0..count).map(|_| Field(field())).collect()
}

/// A value in binary form, or none where it is null.
#[derive(Debug, PartialEq, Eq)]
struct Field<'a>(Option<&'a [u8]>);

impl ToSql for Field<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    /// The statement declares its parameters as the types that the fields were encoded for.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_taken_apart_into_its_fields() {
        let row = [&[0, 3][..], &[0, 0, 0, 2, 7, 8], &[255; 4], &[0; 4]].concat();
        assert_eq!(fields(&row), [Field(Some(&[7, 8])), Field(None), Field(Some(&[]))]);
    }
}
