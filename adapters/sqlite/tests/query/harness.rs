//! An agent's core in small: keeps what became durable, and starts the source again from there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{AdapterError, Emission, MemoryCache, Rows};
use towpath_adapter_conformance::{SourceRun, SourceStart, cell, shown};
use towpath_adapter_query::{Clock, QuerySource};
use towpath_adapter_sqlite::SqliteQueries;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Op, Position};

/// Longer than anything here takes, so that what is waited for in vain fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a source needs to notice something.
const QUIET: Duration = Duration::from_millis(600);

/// The durable side of an agent, and the database that its source queries.
pub(crate) struct Agent {
    folder: TempDir,
    config: Value,
    /// Another clock than that of the machine.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) cache: Arc<MemoryCache>,
    /// What became durable, in order.
    pub(crate) durable: Vec<Emission>,
}

/// The query that most tests run.
pub(crate) fn orders(more: Value) -> Value {
    let mut query = json!({
        "stream": "{source}.orders", "sql": "SELECT id, item, seen FROM orders", "mark": "seen", "key": ["id"]
    });
    merge(&mut query, more);
    json!({ "queries": [query], "schedule": { "every": "20ms" } })
}

impl Agent {
    /// An agent whose source `erp` queries a database that this SQL has made.
    pub(crate) fn new(sql: &str, settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({ "connection": { "path": folder.path().join("erp.db") } });
        merge(&mut config, settings);
        let agent = Self { folder, config, clock: None, cache: Arc::default(), durable: Vec::new() };
        agent.sql(sql);
        agent
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("erp.db")
    }

    /// Writes as an application does.
    pub(crate) fn sql(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    pub(crate) fn connect(&self) -> Connection {
        let database = Connection::open(self.path()).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database
    }

    /// Changes the configuration, as an admin does between two runs.
    pub(crate) fn configure(&mut self, settings: Value) {
        merge(&mut self.config, settings);
    }

    pub(crate) fn start(&self) -> SourceRun {
        let mut source = QuerySource::<SqliteQueries>::new(&self.config).unwrap();
        if let Some(clock) = &self.clock {
            source = source.with_clock(clock.clone());
        }
        let start = SourceStart { cache: self.cache.clone(), ..SourceStart::default() };
        start.at(&self.position()).run(Box::new(source))
    }

    pub(crate) fn position(&self) -> Position {
        self.durable.last().map_or_else(Position::default, |emission| emission.position.clone())
    }

    /// Makes the next emission durable; false if there is none for a while.
    pub(crate) async fn receive(&mut self, run: &mut SourceRun) -> bool {
        let emission = run.next(QUIET).await.unwrap();
        let came = emission.is_some();
        self.durable.extend(emission);
        came
    }

    /// Makes emissions durable until one has not come for a while.
    pub(crate) async fn receive_all(&mut self, run: &mut SourceRun) {
        while self.receive(run).await {}
    }

    /// Runs the source until it is silent, then stops it.
    pub(crate) async fn run(&mut self) {
        let mut run = self.start();
        self.receive_all(&mut run).await;
        run.stop().await.unwrap();
    }

    /// Runs the source until it fails.
    pub(crate) async fn run_to_failure(&mut self) -> AdapterError {
        let (seen, ended) = self.start().end().await.unwrap();
        self.durable.extend(seen);
        ended.expect_err("the source fails")
    }

    /// What was read from the emission with this number on, as `op: value | value`.
    pub(crate) fn shown(&self, from: usize) -> Vec<String> {
        let records = |emission: &&Emission| matches!(emission.rows, Rows::Records { .. });
        let records: Vec<_> = self.durable[from..].iter().filter(records).cloned().collect();
        shown(&records).unwrap()
    }

    /// What a sink would hold of a stream whose first column is its key.
    pub(crate) fn replica(&self, stream: &str) -> BTreeMap<String, Vec<Option<String>>> {
        let mut replica = BTreeMap::new();
        for emission in self.durable.iter().filter(|it| it.stream.as_str() == stream) {
            let Rows::Records { batch, .. } = &emission.rows else { continue };
            let ops = batch.column(0).as_primitive::<UInt8Type>().values().iter();
            for (op, row) in ops.zip(cell::rows(batch).unwrap()) {
                let key = row[0].clone().unwrap();
                match Op::from_code(*op).unwrap() {
                    Op::Truncate => replica.clear(),
                    Op::Delete => {
                        assert!(replica.remove(&key).is_some(), "{key} was not there to be deleted");
                    }
                    _ => {
                        replica.insert(key, row);
                    }
                }
            }
        }
        replica
    }

    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        let letters = self.durable.iter().filter_map(|emission| match &emission.rows {
            Rows::DeadLetters(letters) => Some(letters.clone()),
            _ => None,
        });
        letters.flatten().collect()
    }
}

pub(crate) fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { return };
    into.as_object_mut().unwrap().extend(from);
}
