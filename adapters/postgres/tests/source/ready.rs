//! What keeps a source from reading is named, with the SQL that puts it right.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, ErrorKind, Registry};
use towpath_adapter_conformance::registry_suite;
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_record::Position;

use crate::harness::{Database, read, server, start};

async fn failure(config: &Value, position: &Position) -> Result<AdapterError> {
    let mut run = start(config, position)?;
    match run.next(crate::harness::QUIET).await {
        Ok(_) => anyhow::bail!("it does not fail"),
        Err(error) => error.downcast(),
    }
}

#[test]
fn the_configuration_is_described_and_misspelt_keys_are_named() -> Result<()> {
    registry_suite(&Registry::new(vec![towpath_adapter_postgres::adapter()]))
}

#[tokio::test]
async fn a_server_that_keeps_too_little_log_is_told_what_to_set() -> Result<()> {
    let server = std::sync::Arc::new(PostgresServer::start()?);
    let database = Database::new(&server, "replica", "CREATE TABLE t (id int PRIMARY KEY)").await?;
    let error = failure(&database.config(&json!({})), &Position::default()).await?;
    ensure!(
        error.kind == ErrorKind::Config && error.message.contains("SET wal_level = 'logical'"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_user_may_not_do_is_named_with_its_remedy() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (line text);
        CREATE ROLE reader LOGIN PASSWORD 'reader'";
    let database = Database::new(&server, "rights", sql).await?;
    let url = server.url("rights").replace("towpath:towpath", "reader:reader");
    let config = database.config(&json!({ "url": url }));
    let refused = failure(&config, &Position::default()).await?;
    ensure!(refused.kind == ErrorKind::Permission && refused.message.contains("REPLICATION"), "{refused}");
    database.client.batch_execute("ALTER ROLE reader REPLICATION").await?;
    let refused = failure(&config, &Position::default()).await?;
    ensure!(refused.kind == ErrorKind::Permission, "{refused}");
    ensure!(
        refused.message.contains("CREATE PUBLICATION \"rights\" FOR TABLE \"public\".\"t\" WITH"),
        "{refused}"
    );
    database.client.batch_execute("CREATE PUBLICATION rights FOR TABLE t").await?;
    let refused = failure(&config, &Position::default()).await?;
    ensure!(refused.kind == ErrorKind::Permission && refused.message.contains("SELECT"), "{refused}");
    // These are the least privileges with which it works.
    database.client.batch_execute("GRANT SELECT ON t TO reader; INSERT INTO t VALUES (1)").await?;
    ensure!(!read(&config, &Position::default()).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_slot_that_is_gone_or_was_moved_is_no_silent_gap() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "gone", "CREATE TABLE t (id int PRIMARY KEY)").await?;
    let config = database.config(&json!({}));
    let position =
        read(&config, &Position::default()).await?.last().context("it says something")?.position.clone();
    database.client.batch_execute("INSERT INTO t VALUES (1)").await?;
    // The server notices a moment later that its reader has gone.
    let idle = "SELECT 'idle' FROM pg_replication_slots WHERE slot_name = 'gone' AND NOT active";
    while database.texts(idle).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let advance = "SELECT pg_replication_slot_advance('gone', pg_current_wal_lsn())";
    database.client.batch_execute(advance).await?;
    let moved = failure(&config, &position).await?;
    ensure!(moved.kind == ErrorKind::PositionLost && moved.message.contains("another reader"), "{moved}");
    database.client.batch_execute("SELECT pg_drop_replication_slot('gone')").await?;
    let gone = failure(&config, &position).await?;
    ensure!(gone.kind == ErrorKind::PositionLost && gone.message.contains("was dropped"), "{gone}");
    let forbidden = database.config(&json!({ "create": false }));
    let missing = failure(&forbidden, &Position::default()).await?;
    let standby = database.config(&json!({ "failover": true }));
    let older = failure(&standby, &Position::default()).await?;
    // No server that is tested with has such slots.
    ensure!(older.kind == ErrorKind::Config && older.message.contains("from 17 on"), "{older}");
    ensure!(missing.message.contains("pg_create_logical_replication_slot(E'gone', 'pgoutput')"), "{missing}");
    Ok(())
}
