//! The MySQL sink keeps the laws of sinks, and what it promises beyond them, at a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod read;
mod promises;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use serde_json::{Value, json};
use towpath_adapter_api::{Registry, SinkFactory};
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_adapter_conformance::{Row, SinkSubject, SinkTarget, registry_suite, sink_suite};
use towpath_record::{StreamName, StreamSchema};

pub(crate) fn factory() -> SinkFactory {
    towpath_adapter_mysql::adapter().sink.expect("it is a sink")
}

/// Connects beside the sink.
pub(crate) async fn connect(server: &MariaDbServer, database: &str) -> anyhow::Result<Conn> {
    let options = OptsBuilder::from_opts(Opts::from_url(&server.url(database))?).prefer_socket(false);
    Ok(Conn::new(options).await?)
}

struct Databases {
    server: Arc<MariaDbServer>,
    next: AtomicUsize,
}

struct Database {
    server: Arc<MariaDbServer>,
    name: String,
}

#[async_trait]
impl SinkSubject for Databases {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SinkTarget>> {
        let name = format!("suite_{}", self.next.fetch_add(1, Ordering::Relaxed));
        connect(&self.server, "towpath").await?.query_drop(format!("CREATE DATABASE {name}")).await?;
        Ok(Box::new(Database { server: self.server.clone(), name }))
    }

    fn has_every_float(&self) -> bool {
        false
    }
}

#[async_trait]
impl SinkTarget for Database {
    fn config(&self) -> Value {
        json!({ "url": self.server.url(&self.name), "tls": { "mode": "disable" } })
    }

    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
        let mut connection = connect(&self.server, &self.name).await?;
        read::rows(&mut connection, &stream.as_str().replace('.', "_"), schema).await
    }

    /// A table without a key gives its rows in the order in which they were added.
    fn keeps_order(&self) -> bool {
        true
    }

    async fn forbid(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        column: &str,
        value: i64,
    ) -> anyhow::Result<()> {
        let columns: Vec<_> =
            schema.columns().iter().map(|column| format!("`{}` bigint", column.name)).collect();
        let unique = match schema.key().is_empty() {
            true => String::new(),
            false => format!(", UNIQUE ({})", schema.key().join(", ")),
        };
        let (columns, table) = (columns.join(", "), stream.as_str().replace('.', "_"));
        let sql = format!("CREATE TABLE {table} ({columns}, CHECK (`{column}` <> {value}){unique})");
        Ok(connect(&self.server, &self.name).await?.query_drop(sql).await?)
    }
}

async fn keeps_the_laws(settings: &[&str]) -> anyhow::Result<()> {
    let server = Arc::new(MariaDbServer::start_with(settings, &[])?);
    sink_suite(factory(), &Databases { server, next: AtomicUsize::new(0) }, &[]).await
}

#[tokio::test]
async fn the_sink_keeps_the_laws_of_sinks() -> anyhow::Result<()> {
    keeps_the_laws(&[]).await
}

#[tokio::test]
async fn the_sink_keeps_the_laws_where_no_data_may_be_loaded_and_statements_are_short() -> anyhow::Result<()>
{
    keeps_the_laws(&["local-infile=OFF", "max-allowed-packet=4M"]).await
}

#[test]
fn the_configuration_is_described_and_misspelt_keys_are_named() -> anyhow::Result<()> {
    registry_suite(&Registry::new(vec![towpath_adapter_mysql::adapter()]))
}
