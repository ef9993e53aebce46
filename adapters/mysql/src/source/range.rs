//! Reading a range of a table, and its place in the binlog.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use towpath_adapter_api::ErrorKind;
use towpath_record::Op;
use towpath_record::limits::MAX_ROW_BYTES;

use super::cell::Cell;
use super::config::{CopyReads, SourceConfig};
use super::copy::{Range, Ranged, without_order};
use super::follow::Follower;
use super::key;
use super::position::Place;
use super::table::{Misfit, Table, quoted};
use crate::client::{self, Flavor};
use crate::error::MysqlError;

const SETTINGS: &str = "SET wait_timeout = 2147483, net_write_timeout = 3600, sql_select_limit = DEFAULT, \
     sql_mode = '', lock_wait_timeout = 60, innodb_lock_wait_timeout = 30";
/// With another level, a snapshot would be none.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
/// A transaction is in the binlog a moment before a snapshot shows it; so long one waits for that.
const LOOKS_EVERY: Duration = Duration::from_millis(2);
const LOOKS: u32 = 15_000;
/// The first range of a table whose rows may be large.
const FIRST_LARGE_ROWS: usize = 16;
/// From this version on, MySQL locks with the right to read alone.
const FOR_SHARE: (u16, u16) = (8, 0);
/// What the server says of a table that is not what it was when the transaction began, or is not there, and of rows
/// that writers hold for long or give us up for.
const LATER: [u16; 6] = [1020, 1054, 1146, 1205, 1213, 1412];

/// A table that is about to be read.
pub(crate) struct Reading {
    pub(crate) table: Arc<Table>,
    /// The place of the snapshot that was begun; none if rows will be locked.
    pub(crate) place: Option<Place>,
}

/// Begins the reading of a table; none if there is no such table any more.
///
/// # Errors
/// The server fails, or the table cannot be read.
pub(crate) async fn begin(
    follower: &mut Follower<'_>,
    schema: &str,
    name: &str,
) -> Result<Option<Reading>, MysqlError> {
    let reader = match follower.copier.reader.take() {
        Some(reader) => reader,
        None => connect(follower.config).await?,
    };
    let reader = follower.copier.reader.insert(reader);
    let catalog = &mut follower.catalog;
    let snapshots = catalog.flavor == Flavor::MariaDb && follower.config.copy_reads == CopyReads::Auto;
    let Some(table) = catalog.table(schema, name, follower.config).await?.map(Arc::new) else {
        return Ok(None);
    };
    if !snapshots || !table.transactional {
        return Ok(Some(Reading { table, place: None }));
    }
    let here = &follower.outbox.position.place;
    let place = snapshot(reader, here).await?;
    // Described once more: what changed the table before the snapshot is in this description.
    let table = catalog.table(schema, name, follower.config).await?;
    Ok(table.map(|table| Reading { table: Arc::new(table), place: Some(place) }))
}

async fn connect(config: &SourceConfig) -> Result<Conn, MysqlError> {
    let mut reader = client::connect(&config.server()).await?;
    for setting in [SETTINGS, ISOLATION] {
        reader.query_drop(setting).await.map_err(MysqlError::server("set up the reading of tables"))?;
    }
    Ok(reader)
}

/// Begins a snapshot that shows everything up to `here`, and returns its place.
async fn snapshot(reader: &mut Conn, here: &Place) -> Result<Place, MysqlError> {
    for _ in 0..LOOKS {
        let begun = reader.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await;
        begun.map_err(MysqlError::server("begin a snapshot"))?;
        let status: Vec<(String, String)> = reader
            .query("SHOW STATUS LIKE 'binlog_snapshot_%'")
            .await
            .map_err(MysqlError::server("ask for the place of a snapshot"))?;
        let value = |name: &str| {
            status.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        let offset = value("binlog_snapshot_position").and_then(|offset| offset.parse().ok());
        let place = value("binlog_snapshot_file").zip(offset).map(|(file, offset)| Place::new(file, offset));
        let place = place.ok_or(MysqlError::Damaged("the place of a snapshot cannot be read"))?;
        if place >= *here {
            return Ok(place);
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
    Err(MysqlError::unready(ErrorKind::Unavailable, "a transaction in the binlog does not become visible"))
}

/// Reads the rows behind a key; none if the table changed meanwhile, and is to be looked at again.
///
/// # Errors
/// The server fails, or the key is none.
pub(crate) async fn read(
    follower: &mut Follower<'_>,
    table: Arc<Table>,
    place: Option<Place>,
    after: Option<&[Cell]>,
) -> Result<Option<Range>, MysqlError> {
    let has_large = table.columns.iter().any(|column| column.large);
    let most = follower.config.range_rows;
    let limit =
        follower.copier.limit.unwrap_or(if has_large { FIRST_LARGE_ROWS } else { most }).clamp(1, most);
    let locks = match place {
        Some(_) => "",
        None if follower.catalog.flavor == Flavor::MySql && follower.catalog.version >= FOR_SHARE => {
            " FOR SHARE"
        }
        None => " LOCK IN SHARE MODE",
    };
    let sql = format!("{}{}", select(&table, after, Some(limit))?, locks);
    let Some(reader) = follower.copier.reader.as_mut() else { return Ok(None) };
    if place.is_none() {
        let begun = reader.query_drop("START TRANSACTION").await;
        begun.map_err(MysqlError::server("begin to read a range"))?;
    }
    let most_bytes = usize::try_from(follower.config.batch_bytes.0).unwrap_or(usize::MAX);
    let taken = match take(reader, &table, &sql, most_bytes).await {
        Err(MysqlError::Server { source: mysql_async::Error::Server(error), .. })
            if LATER.contains(&error.code) =>
        {
            // The next look describes the table anew.
            tracing::debug!(table = table.name, code = error.code, "the range is read again");
            tokio::time::sleep(LOOKS_EVERY).await;
            follower.copier.reader = None;
            return Ok(None);
        }
        taken => taken?,
    };
    if taken.cut {
        // What is left of the answer goes with the session.
        follower.copier.reader = None;
    } else {
        reader.query_drop("COMMIT").await.map_err(MysqlError::server("end the reading of a range"))?;
    }
    let place = match place {
        Some(place) => place,
        None => follower.catalog.end().await?.place,
    };
    let rows = taken.rows;
    let ends = taken.cut || rows.len() >= limit;
    let fitting = if taken.bytes * 2 < most_bytes { rows.len() * 2 } else { rows.len() };
    follower.copier.limit = Some(fitting.max(FIRST_LARGE_ROWS));
    let end = if ends { rows.last().map(|row| row.key.clone()) } else { None };
    Ok(Some(Range { table, anew: false, rows, end, place, whole: false }))
}

struct Taken {
    rows: Vec<Ranged>,
    bytes: usize,
    /// Whether rows were left because these are many bytes.
    cut: bool,
}

async fn take(reader: &mut Conn, table: &Table, sql: &str, most_bytes: usize) -> Result<Taken, MysqlError> {
    let doing = || MysqlError::server(format!("copy table {}; it needs SELECT on the table", table.name));
    let mut answer = reader.exec_iter(sql, ()).await.map_err(doing())?;
    let mut taken = Taken { rows: Vec::new(), bytes: 0, cut: false };
    while let Some(row) = answer.next().await.map_err(doing())? {
        let (key, row) = selected(table, row);
        taken.bytes += row.as_ref().map_or(0, |cells| cells.iter().map(Cell::bytes).sum());
        taken.rows.push(Ranged { key, row: Some(row) });
        if taken.bytes >= most_bytes {
            taken.cut = true;
            break;
        }
    }
    Ok(taken)
}

/// A table that is copied as a whole.
///
/// # Errors
/// There is no snapshot for it.
pub(crate) fn whole(
    config: &SourceConfig,
    table: Arc<Table>,
    place: Option<Place>,
    anew: bool,
) -> Result<Range, MysqlError> {
    let place = match config.copy_reads {
        CopyReads::Auto => place,
        CopyReads::Locking => None,
    };
    let place = place.ok_or_else(|| without_order(&table))?;
    Ok(Range { table, anew, rows: Vec::new(), end: None, place, whole: true })
}

/// Emits a table from the snapshot that was begun for it.
///
/// # Errors
/// The server fails, or the source is to stop.
pub(crate) async fn emit_whole(follower: &mut Follower<'_>, table: &Arc<Table>) -> Result<(), MysqlError> {
    let doing = || MysqlError::server(format!("copy table {}; it needs SELECT on the table", table.name));
    let sql = select(table, None, None)?;
    let Some(mut reader) = follower.copier.reader.take() else {
        return Err(MysqlError::Damaged("there is no snapshot to copy from"));
    };
    let mut answer = reader.exec_iter(sql, ()).await.map_err(doing())?;
    while let Some(row) = answer.next().await.map_err(doing())? {
        let (_, row) = selected(table, row);
        follower.emit(table, vec![(Op::Read, row)]).await?;
        follower.begun_whole(table);
    }
    drop(answer);
    reader.query_drop("COMMIT").await.map_err(MysqlError::server("end the snapshot"))?;
    follower.copier.reader = Some(reader);
    Ok(())
}

/// The key and the cells of a row that [`select`] gave.
pub(crate) fn selected(table: &Table, row: Row) -> (Vec<Cell>, Result<Vec<Cell>, Misfit>) {
    let mut values = row.unwrap();
    let bytes = match values.pop() {
        Some(Value::UInt(bytes)) => bytes,
        Some(Value::Int(bytes)) => bytes.cast_unsigned(),
        _ => 0,
    };
    match table.selected(&values) {
        Ok(cells) if bytes > MAX_ROW_BYTES as u64 => (table.key_of(&cells), Err(Misfit::too_long(bytes))),
        Ok(cells) => (table.key_of(&cells), Ok(cells)),
        Err(misfit) => (table.selected_key(&values), Err(misfit)),
    }
}

/// The statement that reads rows: their columns, those of values that are too long left out, and how many bytes the
/// values have that may be.
///
/// # Errors
/// The key is none.
pub(crate) fn select(
    table: &Table,
    after: Option<&[Cell]>,
    limit: Option<usize>,
) -> Result<String, MysqlError> {
    let column = |column: &super::table::TableColumn| {
        let name = quoted(&column.name);
        match column.large {
            true => format!("IF(OCTET_LENGTH({name}) > {MAX_ROW_BYTES}, NULL, {name})"),
            false => name,
        }
    };
    let columns: Vec<_> = table.columns.iter().map(column).collect();
    let large = table.columns.iter().filter(|column| column.large);
    let sizes: Vec<_> =
        large.map(|column| format!("COALESCE(OCTET_LENGTH({}), 0)", quoted(&column.name))).collect();
    let size = if sizes.is_empty() { "0".to_owned() } else { sizes.join(" + ") };
    let behind = match after {
        Some(key) => {
            let behind = key::behind(table, key);
            format!(" WHERE {}", behind.ok_or(MysqlError::Damaged("the position has a key that is none"))?)
        }
        None => String::new(),
    };
    let key: Vec<_> = table.key.iter().map(|index| quoted(&table.columns[*index].name)).collect();
    let order = match limit {
        Some(limit) => format!(" ORDER BY {} LIMIT {limit}", key.join(", ")),
        None => String::new(),
    };
    Ok(format!("SELECT {}, {size} FROM {}{behind}{order}", columns.join(", "), table.place))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn a_range_is_read_in_the_order_of_its_key() {
        assert_eq!(
            select(&table(), Some(&[Cell::Int(7)]), Some(10)).unwrap(),
            "SELECT `id`, `note`, 0 FROM `d`.`t` WHERE `id` >= 7 AND ((`id` > 7)) ORDER BY `id` LIMIT 10"
        );
        assert_eq!(select(&table(), None, None).unwrap(), "SELECT `id`, `note`, 0 FROM `d`.`t`");
    }

    #[test]
    fn values_that_no_record_holds_are_left_at_the_server() {
        let mut table = table();
        table.columns[1].large = true;
        let sql = select(&table, None, None).unwrap();
        assert!(sql.contains("IF(OCTET_LENGTH(`note`) > 8388608, NULL, `note`)"), "{sql}");
        assert!(sql.contains("COALESCE(OCTET_LENGTH(`note`), 0) FROM"), "{sql}");
    }
}
