//! The connection to a database that belongs to an application: brief, patient, and aware of which file it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::SqliteError;
use towpath_adapter_api::os;

/// How long SQLite itself waits for a lock. Beyond it the source looks whether it shall stop, and tries again.
const BUSY_SLICE: Duration = Duration::from_millis(500);
const CACHE_KIB: i64 = 8 << 10;
const PREPARED_STATEMENTS: usize = 64;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Reading only; nothing is ever written.
    Read,
    /// Installing and reading.
    Install,
    /// Deleting what was released. It may be deleted again, so it need not survive power loss.
    Release,
}

/// An open database.
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    file: Vec<u64>,
}

impl Database {
    /// Opens the database file, which must be there.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, SqliteError> {
        let fault = |doing: &str| {
            let doing = doing.to_owned();
            move |source| SqliteError::Database { path: path.to_owned(), doing, source }
        };
        let file = file_of(path)?;
        let mode = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Install | Access::Release => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = Connection::open_with_flags(path, flags).map_err(fault("open the database"))?;
        connection.busy_timeout(BUSY_SLICE).map_err(fault("set the busy timeout"))?;
        connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        let set_up = || {
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            // The application's triggers must not fire on what the source does, and it does nothing to their tables.
            let synchronous = if access == Access::Release { "normal" } else { "full" };
            connection.pragma_update(None, "synchronous", synchronous)
        };
        set_up().map_err(fault("set up the connection"))?;
        Ok(Self { connection, path: path.to_owned(), file })
    }

    /// What tells the file from others on its machine.
    pub(super) fn file(&self) -> &[u64] {
        &self.file
    }

    /// Whether the path still leads to the file that is open.
    pub(super) fn is_in_place(&self) -> Result<bool, SqliteError> {
        Ok(file_of(&self.path)? == self.file)
    }

    /// Reads within one transaction, which sees one state of the database and lasts as long as `work` does.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let begun = self.connection.unchecked_transaction();
        let transaction = begun.map_err(|e| self.fault("begin to read", e))?;
        let worked = work(&transaction)?;
        transaction.commit().map_err(|e| self.fault("end reading", e))?;
        Ok(worked)
    }

    /// Writes within one transaction.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let begun = rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        let transaction = begun.map_err(|e| self.fault("begin to write", e))?;
        let worked = work(&transaction)?;
        transaction.commit().map_err(|e| self.fault("commit", e))?;
        Ok(worked)
    }

    pub(super) fn fault(&self, doing: &str, source: rusqlite::Error) -> SqliteError {
        SqliteError::Database { path: self.path.clone(), doing: doing.to_owned(), source }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn file_of(path: &Path) -> Result<Vec<u64>, SqliteError> {
    let metadata = std::fs::metadata(path).map_err(|source| SqliteError::Io {
        path: path.to_owned(),
        doing: "find the database",
        source,
    })?;
    let (device, inode) = os::file_id(&metadata);
    Ok(vec![device, inode])
}

/// A number that grows whenever the shape of the database does, or it is vacuumed.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA schema_version", [], |row| row.get(0))
}

/// A number that changes when another connection has committed.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}
