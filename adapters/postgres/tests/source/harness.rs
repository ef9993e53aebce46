//! Databases to read, a source that reads them, and a sink that makes a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use towpath_adapter_api::{Checkpoint, CommitReason, Delivery, Emission, RouteKey, Rows, Sink};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_adapter_conformance::{SourceRun, SourceStart, cell};
use towpath_record::{LaneId, Link, LogOffset, Op, Position, RegionName, RouteId, SourceId};

pub(crate) use towpath_adapter_conformance::shown;

/// How long a source is silent when it has read everything.
pub(crate) const QUIET: Duration = Duration::from_millis(1500);
const SETTINGS: &[&str] = &[
    "wal_level=logical",
    "logical_decoding_work_mem=64kB",
    "max_replication_slots=50",
    "max_wal_senders=50",
    "wal_sender_timeout=10s",
];

pub(crate) fn server() -> Result<Arc<PostgresServer>> {
    Ok(Arc::new(PostgresServer::start_with(SETTINGS, &[])?))
}

pub(crate) async fn connect(server: &PostgresServer, database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A database, and a source that reads it.
pub(crate) struct Database {
    pub(crate) server: Arc<PostgresServer>,
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl Database {
    pub(crate) async fn new(server: &Arc<PostgresServer>, name: &str, sql: &str) -> Result<Self> {
        connect(server, "postgres").await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let client = connect(server, name).await?;
        client.batch_execute(sql).await?;
        Ok(Self { server: server.clone(), name: name.to_owned(), client })
    }

    pub(crate) fn config(&self, extra: &Value) -> Value {
        let mut config = json!({
            "url": self.server.url(&self.name), "tls": { "mode": "disable" }, "slot": self.name,
            "tables": ["public.*"],
        });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        config
    }

    pub(crate) async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let rows = self.client.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect())
    }
}

pub(crate) fn start(config: &Value, position: &Position) -> Result<SourceRun> {
    start_with(config, SourceStart::default().at(position))
}

pub(crate) fn start_with(config: &Value, start: SourceStart) -> Result<SourceRun> {
    Ok(start.run((towpath_adapter_postgres::adapter().source.unwrap().build)(config)?))
}

/// Everything that a source emits until it is silent.
pub(crate) async fn read(config: &Value, position: &Position) -> Result<Vec<Emission>> {
    start(config, position)?.read(QUIET).await
}

/// A sink in a schema of its own, and a strict account of which rows there are.
pub(crate) struct Copy {
    sink: Box<dyn Sink>,
    offset: u64,
    present: BTreeMap<String, BTreeSet<Vec<Option<String>>>>,
}

impl Copy {
    pub(crate) async fn new(database: &Database, schema: &str) -> Result<Self> {
        let config = json!({
            "url": database.server.url(&database.name), "tls": { "mode": "disable" }, "schema": schema,
        });
        let mut sink = (towpath_adapter_postgres::adapter().sink.unwrap().build)(&config)?;
        sink.open(&RouteKey { route: RouteId::from_bytes([1; 16]), replay: 0 }).await?;
        Ok(Self { sink, offset: 0, present: BTreeMap::new() })
    }

    /// Applies an emission, which must fit what was there before: nothing doubled, nothing lost.
    pub(crate) async fn apply(&mut self, emission: Emission) -> Result<()> {
        let (stream, rows) = (emission.stream, emission.rows);
        let Rows::Records { schema, batch } = rows else {
            ensure!(matches!(rows, Rows::Progress), "there are dead letters: {rows:?}");
            return Ok(());
        };
        let places = schema.key().iter().map(|name| batch.schema().index_of(name));
        let keys = places.map(|place| cell::cells(batch.column(place?))).collect::<Result<Vec<_>>>()?;
        let present = self.present.entry(stream.to_string()).or_default();
        let ops = batch.column(0).as_primitive::<UInt8Type>().values();
        for (row, op) in ops.iter().enumerate() {
            let key: Vec<_> = keys.iter().map(|column| column[row].clone()).collect();
            let op = Op::from_code(*op).unwrap();
            let fits = match op {
                Op::Create | Op::Read => present.insert(key.clone()),
                Op::Update => present.contains(&key),
                Op::Delete => present.remove(&key),
                Op::Truncate => {
                    present.clear();
                    true
                }
            };
            ensure!(fits, "{stream}: {op:?} of {key:?} does not follow from what came before");
        }
        self.offset += 1;
        let delivery = Delivery {
            offset: LogOffset(self.offset),
            lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
            link: Link { epoch: 1, seq: self.offset, crc: 0 },
            stream,
            schema,
            batch,
            captured_at_us: 0,
        };
        let refused = self.sink.apply(&delivery).await?;
        ensure!(refused.is_empty(), "{}: refused: {refused:?}", delivery.stream);
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.sink.commit(&Checkpoint(Bytes::from_static(b"x")), CommitReason::Idle).await?;
        Ok(())
    }
}
