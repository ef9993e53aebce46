//! The delivery checkpoint, one row per route and replay, beside the tables that it covers.

use bytes::Bytes;
use futures_util::future::try_join3;
use tokio_postgres::{Client, Statement};
use towpath_adapter_api::{Checkpoint, RouteKey};

use crate::config::Config;
use crate::error::PostgresError;
use crate::table::quoted;

/// The table of checkpoints. Removing a row makes its route start over.
pub(crate) const CHECKPOINT_TABLE: &str = "towpath_checkpoint";

/// Creates the table of checkpoints, and its schema, unless they are there.
pub(crate) async fn create(client: &Client, config: &Config) -> Result<(), PostgresError> {
    let table = table(config);
    let found = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await;
    let found: bool = found.map_err(PostgresError::server("look for the table of checkpoints"))?.get(0);
    if found {
        return Ok(());
    }
    // Two routes may do this at once; `IF NOT EXISTS` alone does not keep the second from failing.
    let schema = match config.create {
        true => format!("CREATE SCHEMA IF NOT EXISTS {};", quoted(&config.schema)),
        false => String::new(),
    };
    let sql = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('{CHECKPOINT_TABLE}', 0)); {schema} \
         CREATE TABLE IF NOT EXISTS {table} \
         (route text PRIMARY KEY, checkpoint bytea NOT NULL, updated_at timestamptz NOT NULL DEFAULT now()); COMMIT"
    );
    client.batch_execute(&sql).await.map_err(PostgresError::server("create the table of checkpoints"))
}

/// What keeps the checkpoint of one route: statements that are prepared once, as each commit needs all of them.
pub(crate) struct Position {
    route: String,
    /// What instances of the route wait for each other by.
    name: String,
    lock: Statement,
    read: Statement,
    write: Statement,
}

impl Position {
    /// Makes ready to keep the checkpoint of a route.
    pub(crate) async fn prepare(
        client: &Client,
        config: &Config,
        route: &RouteKey,
    ) -> Result<Self, PostgresError> {
        let table = table(config);
        let read = format!("SELECT checkpoint FROM {table} WHERE route = $1");
        let write = format!(
            "INSERT INTO {table} (route, checkpoint) VALUES ($1, $2) \
             ON CONFLICT (route) DO UPDATE SET checkpoint = excluded.checkpoint, updated_at = now()"
        );
        let prepared = try_join3(
            client.prepare("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"),
            client.prepare(&read),
            client.prepare(&write),
        );
        let prepared = prepared.await.map_err(PostgresError::server("prepare to keep the checkpoint"));
        let (lock, read, write) = prepared?;
        Ok(Self { route: route.to_string(), name: format!("{table} {route}"), lock, read, write })
    }

    /// The checkpoint that the database holds.
    pub(crate) async fn read(&self, client: &Client) -> Result<Option<Checkpoint>, PostgresError> {
        let found = client.query_opt(&self.read, &[&self.route]).await;
        let found = found.map_err(PostgresError::server("read the checkpoint"))?;
        Ok(found.map(|row| Checkpoint(Bytes::from(row.get::<_, Vec<u8>>(0)))))
    }

    /// Waits, until the end of the transaction, for every other instance that serves the route.
    pub(crate) async fn lock(&self, client: &Client) -> Result<(), PostgresError> {
        let locked = client.execute(&self.lock, &[&self.name]).await;
        locked.map(drop).map_err(PostgresError::server("wait for another instance of the route"))
    }

    /// Stores the checkpoint.
    pub(crate) async fn write(&self, client: &Client, checkpoint: &Checkpoint) -> Result<(), PostgresError> {
        let stored = client.execute(&self.write, &[&self.route, &&checkpoint.0[..]]).await;
        stored.map(drop).map_err(PostgresError::server("store the checkpoint"))
    }
}

fn table(config: &Config) -> String {
    format!("{}.{CHECKPOINT_TABLE}", quoted(&config.schema))
}
