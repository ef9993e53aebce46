//! Events that are larger than the change of any row that a record holds.
//!
//! The server starts a new event before a row that would make the one under way longer than `binlog_row_event_max_size`.
//! So an event beyond that size holds one row, and one that is also longer than a record before and after a change is a
//! row that becomes a dead letter whatever is in it. It is not taken: the server is asked what and how long it is, and
//! reading goes on behind it. A server tells that of events up to its `max_allowed_packet`, and of a longer one it is
//! said that this must be raised. That keeps memory bounded, whatever is written there.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use towpath_record::limits::MAX_ROW_BYTES;

use super::follow::{Follower, lost};
use super::position::Place;
use super::table::Misfit;
use crate::error::MysqlError;

/// The longest event that is taken: the row before and the row after, and what stands around them.
pub(crate) const MAX_EVENT_BYTES: usize = 2 * MAX_ROW_BYTES + (1 << 20);

/// What the server says when an event is longer than its `max_allowed_packet`.
const ER_ERROR_WHEN_EXECUTING_COMMAND: u16 = 1220;

/// An event, as the server describes it.
#[derive(PartialEq, Eq, Debug)]
struct Large {
    name: String,
    /// The lower 32 bits of where it ends.
    end: u64,
    bytes: u64,
    /// The number of the table that it has a row of.
    table: Option<u64>,
}

/// Goes on behind the event at the place where the connection ended.
///
/// # Errors
/// The server cannot be asked, or the event is none that can be passed over.
pub(crate) async fn pass(follower: &mut Follower<'_>) -> Result<(), MysqlError> {
    let place = follower.stream.place.clone();
    let event = Large::ask(&mut follower.catalog.connection, &place).await?;
    match event.table {
        Some(table) => follower.refuse(table, event.bytes).await?,
        None if event.is_comment() => {}
        None => {
            return Err(lost(&format!(
                "the binlog has at {}:{} an event {} of {} bytes, and {MAX_EVENT_BYTES} are taken at once; let \
                 transactions be written without binlog_transaction_compression, and statements be shorter",
                place.file, place.offset, event.name, event.bytes
            )));
        }
    }
    follower.stream.go_on_behind(follower.config, event.end).await
}

impl Large {
    async fn ask(connection: &mut Conn, place: &Place) -> Result<Self, MysqlError> {
        let sql = format!(
            "SHOW BINLOG EVENTS IN '{}' FROM {} LIMIT 1",
            place.file.replace('\\', "\\\\").replace('\'', "''"),
            place.offset
        );
        let asked = connection.query_first(sql).await;
        if matches!(&asked, Err(Error::Server(error)) if error.code == ER_ERROR_WHEN_EXECUTING_COMMAND) {
            return Err(lost(&format!(
                "the binlog has at {}:{} an event of more than {MAX_EVENT_BYTES} bytes, and the server cannot tell where it \
                 ends; SET GLOBAL max_allowed_packet = 1073741824; lets it, and the source applied again goes on there",
                place.file, place.offset
            )));
        }
        let row: Option<(String, u64, String, u64, u64, String)> =
            asked.map_err(MysqlError::server("ask for an event that is too large to be taken"))?;
        let (_, start, name, _, end, info) =
            row.ok_or(MysqlError::Damaged("an event is not where the binlog ends"))?;
        Ok(Self::of(start, name, end, &info))
    }

    fn of(start: u64, name: String, end: u64, info: &str) -> Self {
        // The server tells 32 bits of the end.
        let bytes = (end as u32).wrapping_sub(start as u32).into();
        let is_rows = ["write_rows", "update_rows", "delete_rows"]
            .iter()
            .any(|rows| name.to_lowercase().starts_with(rows));
        let number = info.strip_prefix("table_id: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        Self { name, end, bytes, table: number.filter(|_| is_rows) }
    }

    /// Whether it only says by which statement the rows behind it were written.
    fn is_comment(&self) -> bool {
        matches!(&*self.name, "Annotate_rows" | "Rows_query")
    }
}

impl Misfit {
    /// A row whose change was not taken.
    pub(crate) fn too_large(bytes: u64) -> Self {
        let reason = format!(
            "the change of the row has {bytes} bytes in the binlog; a record holds at most {MAX_ROW_BYTES}"
        );
        Self { column: None, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_tells_the_table_of_an_event_and_how_long_it_is() {
        let of = |name: &str, info: &str| Large::of(100, name.to_owned(), 400, info);
        let rows = of("Update_rows_compressed_v1", "table_id: 21 flags: STMT_END_F");
        assert_eq!((rows.table, rows.bytes), (Some(21), 300));
        assert_eq!(of("Write_rows_v1", "table_id: 7").table, Some(7));
        assert_eq!(of("Query", "use `d`; table_id: 7").table, None);
        assert!(of("Annotate_rows", "INSERT").is_comment());
        let beyond = Large::of((1 << 32) - 100, "Write_rows".to_owned(), 200, "table_id: 7 flags: 0");
        assert_eq!(beyond.bytes, 300);
    }
}
