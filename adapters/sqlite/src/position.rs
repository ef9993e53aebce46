//! The delivery checkpoint, one row per route and replay, in the database that holds the rows it covers.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use towpath_adapter_api::{Checkpoint, RouteKey};

/// The table of checkpoints. Removing a row makes its route start over.
pub(crate) const CHECKPOINT_TABLE: &str = "_towpath_checkpoint";

/// Creates the table of checkpoints unless it is there.
pub(crate) fn create(database: &Connection) -> rusqlite::Result<()> {
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS _towpath_checkpoint \
         (route TEXT NOT NULL PRIMARY KEY, checkpoint BLOB NOT NULL) WITHOUT ROWID",
    )
}

/// The checkpoint that the database holds for a route.
pub(crate) fn read(database: &Connection, route: &RouteKey) -> rusqlite::Result<Option<Checkpoint>> {
    let mut statement =
        database.prepare_cached("SELECT checkpoint FROM _towpath_checkpoint WHERE route = ?1")?;
    let stored = statement.query_row([route.to_string()], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    Ok(stored.map(|bytes| Checkpoint(Bytes::from(bytes))))
}

/// Stores the checkpoint of a route.
pub(crate) fn write(
    database: &Connection,
    route: &RouteKey,
    checkpoint: &Checkpoint,
) -> rusqlite::Result<()> {
    let mut statement = database.prepare_cached(
        "INSERT INTO _towpath_checkpoint (route, checkpoint) VALUES (?1, ?2) \
         ON CONFLICT (route) DO UPDATE SET checkpoint = excluded.checkpoint",
    )?;
    statement.execute((route.to_string(), &checkpoint.0[..]))?;
    Ok(())
}
