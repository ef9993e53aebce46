//! The delivery checkpoint, one row per route and replay, beside the tables that it covers.
//!
//! A route's row is made when the route is first opened, with no checkpoint in it: a row can be locked, and the
//! lack of one cannot.

use bytes::Bytes;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use towpath_adapter_api::{Checkpoint, RouteKey};

use crate::error::MysqlError;

/// The table of checkpoints. Removing a row makes its route start over.
pub(crate) const CHECKPOINT_TABLE: &str = "towpath_checkpoint";

/// Creates the table of checkpoints, unless it is there, so that a user without the right to create can go on.
pub(crate) async fn create(connection: &mut Conn) -> Result<(), MysqlError> {
    let sql = format!("SHOW TABLES LIKE '{}'", CHECKPOINT_TABLE.replace('_', "\\_"));
    let found: Option<String> =
        connection.query_first(sql).await.map_err(MysqlError::server("look for the table of checkpoints"))?;
    if found.is_some() {
        return Ok(());
    }
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {CHECKPOINT_TABLE} (\
         route VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
         checkpoint LONGBLOB, \
         updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)\
         ) ENGINE = InnoDB"
    );
    connection.query_drop(sql).await.map_err(MysqlError::server("create the table of checkpoints"))
}

/// The checkpoint that the database holds for a route, which has a row from now on.
pub(crate) async fn open(connection: &mut Conn, route: &RouteKey) -> Result<Option<Checkpoint>, MysqlError> {
    if let Some(found) = select(connection, route, "").await? {
        return Ok(found);
    }
    let sql = format!("INSERT IGNORE INTO {CHECKPOINT_TABLE} (route) VALUES (?)");
    let made = connection.exec_drop(sql, (route.to_string(),)).await;
    made.map_err(MysqlError::server("make a row for the checkpoint"))?;
    Ok(select(connection, route, "").await?.flatten())
}

/// The same, after waiting for every other instance that serves the route; none other goes on until the end of the
/// transaction.
pub(crate) async fn lock(connection: &mut Conn, route: &RouteKey) -> Result<Option<Checkpoint>, MysqlError> {
    Ok(select(connection, route, " FOR UPDATE").await?.flatten())
}

/// Stores the checkpoint of a route.
pub(crate) async fn write(
    connection: &mut Conn,
    route: &RouteKey,
    checkpoint: &Checkpoint,
) -> Result<(), MysqlError> {
    let sql = format!(
        "INSERT INTO {CHECKPOINT_TABLE} (route, checkpoint) VALUES (?, ?) \
         ON DUPLICATE KEY UPDATE checkpoint = VALUES(checkpoint)"
    );
    let stored = connection.exec_drop(sql, (route.to_string(), &checkpoint.0[..])).await;
    stored.map_err(MysqlError::server("store the checkpoint"))
}

async fn select(
    connection: &mut Conn,
    route: &RouteKey,
    how: &str,
) -> Result<Option<Option<Checkpoint>>, MysqlError> {
    let sql = format!("SELECT checkpoint FROM {CHECKPOINT_TABLE} WHERE route = ?{how}");
    let found: Result<Option<Option<Vec<u8>>>, _> = connection.exec_first(sql, (route.to_string(),)).await;
    let found = found.map_err(MysqlError::server("read the checkpoint"))?;
    Ok(found.map(|checkpoint| checkpoint.map(|bytes| Checkpoint(Bytes::from(bytes)))))
}
