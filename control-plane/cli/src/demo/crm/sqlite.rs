//! The CRM's database as a SQLite file, as small applications keep it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::rows::Rows;

/// The table of contacts.
pub(super) const TABLE: &str = "contacts";
/// Budgets are text, for SQLite has no exact decimals.
pub(super) const SCHEMA: &str = "
CREATE TABLE contacts (
    contact_no INTEGER PRIMARY KEY,
    customer_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    budget TEXT NOT NULL,
    visited_at TEXT,
    notes TEXT
);
";
/// How long a lock of the source is waited for, which holds it for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Sqlite(PathBuf);

impl Sqlite {
    /// Makes the file, with the table.
    pub(super) fn create(path: PathBuf) -> rusqlite::Result<Self> {
        let database = Connection::open(&path)?;
        // Readers and the writer do not wait for each other then.
        database.pragma_update(None, "journal_mode", "wal")?;
        database.execute_batch(SCHEMA)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes as the application does.
    pub(super) fn write(&self, script: &str) -> rusqlite::Result<()> {
        let database = Connection::open_with_flags(&self.0, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        database.execute_batch(script)
    }

    /// What the table holds.
    pub(super) fn read(&self) -> rusqlite::Result<Rows> {
        let database = Connection::open_with_flags(&self.0, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        Rows::read(&database, TABLE)
    }
}
