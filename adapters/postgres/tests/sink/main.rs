//! The PostgreSQL sink keeps the laws of sinks, and what it promises beyond them, at a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod read;
mod promises;
mod modes;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use towpath_adapter_api::{Registry, SinkFactory};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_adapter_conformance::{Row, SinkSubject, SinkTarget, registry_suite, sink_suite};
use towpath_record::{StreamName, StreamSchema};

pub(crate) fn factory() -> SinkFactory {
    towpath_adapter_postgres::adapter().sink.expect("it is a sink")
}

/// Connects beside the sink.
pub(crate) async fn connect(server: &PostgresServer) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

struct Schemas {
    server: Arc<PostgresServer>,
    next: AtomicUsize,
}

struct Schema {
    server: Arc<PostgresServer>,
    name: String,
}

#[async_trait]
impl SinkSubject for Schemas {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SinkTarget>> {
        let name = format!("Suite {}", self.next.fetch_add(1, Ordering::Relaxed));
        Ok(Box::new(Schema { server: self.server.clone(), name }))
    }
}

#[async_trait]
impl SinkTarget for Schema {
    fn config(&self) -> Value {
        json!({ "url": self.server.url("postgres"), "schema": self.name, "tls": { "mode": "disable" } })
    }

    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
        let table = format!("\"{}\".{}", self.name, stream.as_str().replace('.', "_"));
        read::rows(&connect(&self.server).await?, &table, schema).await
    }

    /// PostgreSQL puts a row wherever there is space for it.
    fn keeps_order(&self) -> bool {
        false
    }

    async fn forbid(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        column: &str,
        value: i64,
    ) -> anyhow::Result<()> {
        let columns: Vec<_> =
            schema.columns().iter().map(|column| format!("\"{}\" bigint", column.name)).collect();
        let unique = match schema.key().is_empty() {
            true => String::new(),
            false => format!(", UNIQUE ({})", schema.key().join(", ")),
        };
        let (columns, table) = (columns.join(", "), stream.as_str().replace('.', "_"));
        let sql = format!(
            "CREATE SCHEMA \"{0}\"; CREATE TABLE \"{0}\".{table} ({columns}, CHECK (\"{column}\" <> {value}){unique})",
            self.name
        );
        Ok(connect(&self.server).await?.batch_execute(&sql).await?)
    }
}

#[tokio::test]
async fn the_sink_keeps_the_laws_of_sinks() -> anyhow::Result<()> {
    let server = Arc::new(PostgresServer::start()?);
    sink_suite(factory(), &Schemas { server, next: AtomicUsize::new(0) }, &[]).await
}

#[test]
fn the_configuration_is_described_and_misspelt_keys_are_named() -> anyhow::Result<()> {
    registry_suite(&Registry::new(vec![towpath_adapter_postgres::adapter()]))
}
