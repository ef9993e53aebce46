//! Deletes the changes that are durable where it counts, in brief transactions, beside the thread that reads.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio_util::sync::CancellationToken;

use crate::error::SqliteError;
use crate::source::database::{Access, Database};
use crate::source::install::Names;
use crate::source::position::ChangePosition;

/// How many changes one transaction deletes: few, so that the application is not kept from writing.
const CHANGES_AT_ONCE: i64 = 1_000;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Deletes changes that were released.
pub(super) struct Releasing {
    path: PathBuf,
    names: Names,
    stop: CancellationToken,
    database: Option<Database>,
    /// What was released last: installation and change.
    last: (Vec<u8>, i64),
}

impl Releasing {
    pub(super) fn new(path: PathBuf, names: Names, stop: CancellationToken) -> Self {
        Self { path, names, stop, database: None, last: (Vec::new(), 0) }
    }

    /// Deletes the changes up to a position. Another installation's are left alone: they are not what was read.
    pub(super) fn release(&mut self, position: &ChangePosition) -> Result<(), SqliteError> {
        let up_to = (position.installation.clone(), position.last_id);
        if self.last == up_to || position.last_id == 0 {
            return Ok(());
        }
        while !self.stop.is_cancelled() {
            match self.delete_some(position) {
                Ok(true) => {}
                Ok(false) => {
                    self.last = up_to;
                    return Ok(());
                }
                Err(error) if error.is_busy() => std::thread::sleep(BUSY_PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes some changes. Returns whether there may be more.
    fn delete_some(&mut self, position: &ChangePosition) -> Result<bool, SqliteError> {
        let database = match self.database.take() {
            Some(database) if database.is_in_place()? => self.database.insert(database),
            _ => self.database.insert(Database::open(&self.path, Access::Release)?),
        };
        let Names { prefix, state, changes, .. } = &self.names;
        let delete = |connection: &Connection| -> rusqlite::Result<bool> {
            if !connection.table_exists(Some("main"), &*format!("{prefix}state"))? {
                return Ok(false);
            }
            let sql = format!("SELECT installation FROM {state} WHERE id = 1");
            let installation: Option<Vec<u8>> =
                connection.query_row(&sql, [], |row| row.get(0)).optional()?;
            if installation.as_ref() != Some(&position.installation) {
                return Ok(false);
            }
            let sql = format!("UPDATE {state} SET released = ?1 WHERE id = 1 AND released < ?1");
            connection.execute(&sql, [position.last_id])?;
            let deleted = connection.execute(
                &format!(
                    "DELETE FROM {changes} WHERE id IN \
                     (SELECT id FROM {changes} WHERE id <= ?1 ORDER BY id LIMIT {CHANGES_AT_ONCE})"
                ),
                [position.last_id],
            )?;
            Ok(i64::try_from(deleted).unwrap_or(i64::MAX) == CHANGES_AT_ONCE)
        };
        database.write(|connection| {
            delete(connection).map_err(|e| database.fault("delete changes that were released", e))
        })
    }
}
