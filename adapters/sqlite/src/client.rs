//! Opening a database so that a commit survives power loss.
//!
//! The write-ahead log with `synchronous=FULL` is synced at every commit. SQLite does not sync the folder
//! entry of a database that it has just created, so this module does.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::SqliteError;
use towpath_adapter_api::os;

/// Statements kept prepared: two for each of the streams that a route usually has.
const PREPARED_STATEMENTS: usize = 64;
/// The page cache, in KiB. What a transaction changes beyond it waits in the write-ahead log.
const CACHE_KIB: i64 = 16 << 10;
/// The write-ahead log is cut back to this after a large transaction.
const WAL_KEPT_BYTES: i64 = 64 << 20;

/// Opens the database at `path`, creating it when it is missing.
pub(crate) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, SqliteError> {
    let fault = |doing: &str| {
        let doing = doing.to_owned();
        move |source| SqliteError::Database { path: path.to_owned(), doing, source }
    };
    let is_new = !path.exists();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let database = Connection::open_with_flags(path, flags).map_err(fault("open the database"))?;
    database.busy_timeout(busy_timeout).map_err(fault("set the busy timeout"))?;
    database.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    let found: String = database
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(fault("switch to the write-ahead log"))?;
    if found != "wal" {
        return Err(SqliteError::NoWal { path: path.to_owned(), found });
    }
    database.pragma_update(None, "synchronous", "full").map_err(fault("set synchronous writes"))?;
    database.pragma_update(None, "cache_size", -CACHE_KIB).map_err(fault("set the cache size"))?;
    database
        .pragma_update_and_check(None, "journal_size_limit", WAL_KEPT_BYTES, |_| Ok(()))
        .map_err(fault("limit the write-ahead log"))?;
    if is_new {
        sync_folder_of(path)?;
    }
    Ok(database)
}

fn sync_folder_of(path: &Path) -> Result<(), SqliteError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = os::sync_folder(folder);
    synced.map_err(|source| SqliteError::Io { path: folder.to_owned(), doing: "sync the folder", source })
}
