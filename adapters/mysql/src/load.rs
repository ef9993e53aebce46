//! Rows on their way into a table: by `LOAD DATA LOCAL` if there are many and the server allows it, else by
//! `INSERT`.
//!
//! `LOAD DATA LOCAL` never fails for a row: it cuts, converts or skips it and counts a warning. So a load that
//! warned of anything, or took fewer rows than it was sent, has not happened: the caller's savepoint undoes it, and
//! the rows go by `INSERT`, which fails as a strict mode demands.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, InfileData};

use crate::encode::{EncodedRows, fields};
use crate::error::MysqlError;

/// Fewer rows than this are quicker in one statement.
const FEWEST_LOADED: usize = 64;
/// Rows are sent in pieces of about this many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// How rows come into one table.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    /// The table that the rows are for, for messages.
    pub(crate) table: String,
    /// The table that they come into, as SQL names it.
    pub(crate) place: String,
    /// The columns in the order of the rows' fields.
    pub(crate) columns: Vec<Assigned>,
}

/// A column and how its fields become its values.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// The column as SQL names it.
    pub(crate) name: String,
    pub(crate) form: Form,
}

/// How a field becomes a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// As MySQL assigns text to the column.
    Text,
    /// Bytes that are hexadecimal on the way.
    Hex,
    /// A number for a column of bits, which would take the text for the bits themselves.
    Bits,
}

/// What a server allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Whether `LOAD DATA LOCAL` is on.
    pub(crate) local_infile: bool,
    /// The longest statement, in bytes.
    pub(crate) max_packet: usize,
}

impl Loader {
    /// Adds the chosen rows by the quickest way that tells of every fault. Rows without a form are left out; the
    /// caller has refused them.
    ///
    /// # Errors
    /// The server refuses a row, or fails.
    pub(crate) async fn load(
        &self,
        connection: &mut Conn,
        limits: &mut Limits,
        encoded: &EncodedRows,
        chosen: &[usize],
    ) -> Result<(), MysqlError> {
        if !limits.local_infile || chosen.len() < FEWEST_LOADED {
            return self.insert(connection, *limits, encoded, chosen).await;
        }
        const SAVEPOINT: &str = "towpath_load";
        let run = async |connection: &mut Conn, sql: String| {
            connection.query_drop(sql).await.map_err(MysqlError::server("set a savepoint"))
        };
        run(connection, format!("SAVEPOINT {SAVEPOINT}")).await?;
        let loaded = self.load_data(connection, encoded, chosen).await;
        match loaded {
            Ok(true) => return run(connection, format!("RELEASE SAVEPOINT {SAVEPOINT}")).await,
            Ok(false) => {}
            Err(error) if is_refused_load(&error) => limits.local_infile = false,
            Err(error) => {
                // What a row is to blame for is told apart below. Anything else may have ended the transaction.
                let error = self.failed(error);
                if error.refusal().is_none() {
                    return Err(error);
                }
            }
        }
        run(connection, format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}")).await?;
        run(connection, format!("RELEASE SAVEPOINT {SAVEPOINT}")).await?;
        self.insert(connection, *limits, encoded, chosen).await
    }

    /// Whether every row was taken as it is.
    async fn load_data(
        &self,
        connection: &mut Conn,
        encoded: &EncodedRows,
        chosen: &[usize],
    ) -> Result<bool, Error> {
        let pieces = Pieces { encoded: encoded.clone(), chosen: chosen.to_vec(), next: 0 };
        connection.set_infile_handler(async move {
            let data: InfileData = Box::pin(stream::iter(pieces));
            Ok(data)
        });
        connection.query_drop(self.load_sql()).await?;
        let rows = chosen.iter().filter(|row| encoded.row(**row).is_ok()).count();
        Ok(connection.get_warnings() == 0 && usize::try_from(connection.affected_rows()) == Ok(rows))
    }

    /// The server names the file it wants and is given the rows, whatever it says.
    fn load_sql(&self) -> String {
        let read = self.columns.iter().enumerate().map(|(i, column)| match column.form {
            Form::Text => column.name.clone(),
            Form::Hex | Form::Bits => format!("@v{i}"),
        });
        let read: Vec<_> = read.collect();
        let set = self.columns.iter().enumerate().filter_map(|(i, column)| match column.form {
            Form::Text => None,
            Form::Hex => Some(format!("{} = UNHEX(@v{i})", column.name)),
            Form::Bits => Some(format!("{} = CAST(@v{i} AS UNSIGNED)", column.name)),
        });
        let set: Vec<_> = set.collect();
        let set = if set.is_empty() { String::new() } else { format!(" SET {}", set.join(", ")) };
        format!(
            "LOAD DATA LOCAL INFILE 'towpath' INTO TABLE {} CHARACTER SET utf8mb4 \
             FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' STARTING BY '' \
             ({}){set}",
            self.place,
            read.join(", ")
        )
    }

    async fn insert(
        &self,
        connection: &mut Conn,
        limits: Limits,
        encoded: &EncodedRows,
        chosen: &[usize],
    ) -> Result<(), MysqlError> {
        let names: Vec<_> = self.columns.iter().map(|column| &*column.name).collect();
        let head = format!("INSERT INTO {} ({}) VALUES ", self.place, names.join(", "));
        let longest = PIECE_BYTES.min(limits.max_packet);
        let mut sql = head.clone().into_bytes();
        let mut values = Vec::new();
        for row in chosen.iter().filter_map(|row| encoded.row(*row).ok()) {
            values.clear();
            self.put_values(row, &mut values);
            // The packet has a byte for the command beside the statement.
            if head.len() + values.len() + 1 > limits.max_packet {
                return Err(MysqlError::TooLong { bytes: values.len(), limit: limits.max_packet });
            }
            match sql.len() > head.len() {
                true if sql.len() + values.len() + 2 > longest => {
                    self.run(connection, std::mem::replace(&mut sql, head.clone().into_bytes())).await?;
                }
                true => sql.push(b','),
                false => {}
            }
            sql.extend_from_slice(&values);
        }
        match sql.len() > head.len() {
            true => self.run(connection, sql).await,
            false => Ok(()),
        }
    }

    /// Adds the chosen rows, but for those that the table's types cannot hold.
    ///
    /// # Errors
    /// The server fails.
    pub(crate) async fn insert_what_fits(
        &self,
        connection: &mut Conn,
        limits: Limits,
        encoded: &EncodedRows,
        chosen: &[usize],
    ) -> Result<(), MysqlError> {
        let mut ranges = vec![chosen];
        while let Some(rows) = ranges.pop() {
            match self.insert(connection, limits, encoded, rows).await {
                Err(error) if error.refusal().is_none() => return Err(error),
                Err(_) if rows.len() > 1 => ranges.extend([&rows[..rows.len() / 2], &rows[rows.len() / 2..]]),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn run(&self, connection: &mut Conn, sql: Vec<u8>) -> Result<(), MysqlError> {
        connection.query_drop(sql).await.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: Error) -> MysqlError {
        MysqlError::Server { doing: format!("write rows to table {}", self.table), source }
    }

    /// Appends a row as a list of literals. What is escaped in a line is escaped alike in a literal, but for the
    /// quote.
    fn put_values(&self, line: &[u8], sql: &mut Vec<u8>) {
        sql.push(b'(');
        for (place, (field, column)) in fields(line).zip(&self.columns).enumerate() {
            if place > 0 {
                sql.push(b',');
            }
            let Some(field) = field else {
                sql.extend_from_slice(b"NULL");
                continue;
            };
            let (open, close): (&[u8], &[u8]) = match column.form {
                Form::Text => (b"'", b"'"),
                Form::Hex => (b"x'", b"'"),
                Form::Bits => (b"CAST('", b"' AS UNSIGNED)"),
            };
            sql.extend_from_slice(open);
            for (place, part) in field.split(|byte| *byte == b'\'').enumerate() {
                if place > 0 {
                    sql.extend_from_slice(b"''");
                }
                sql.extend_from_slice(part);
            }
            sql.extend_from_slice(close);
        }
        sql.push(b')');
    }
}

/// Whether the server or what stands before it does not let a client load data.
fn is_refused_load(error: &Error) -> bool {
    matches!(error, Error::Server(error) if [1148, 3948, 4166].contains(&error.code))
}

/// The chosen rows in pieces, made as they are asked for.
struct Pieces {
    encoded: EncodedRows,
    chosen: Vec<usize>,
    next: usize,
}

impl Iterator for Pieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut piece = BytesMut::new();
        while piece.len() < PIECE_BYTES {
            let Some(row) = self.chosen.get(self.next) else { break };
            piece.extend_from_slice(self.encoded.row(*row).unwrap_or_default());
            self.next += 1;
        }
        (!piece.is_empty()).then(|| Ok(piece.freeze()))
    }
}
