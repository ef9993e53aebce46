//! An agent's core in small: keeps what became durable, and starts the source again from there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{AdapterError, Emission, Rows};
use towpath_adapter_conformance::{Row, SourceRun, SourceStart, cell};
use towpath_adapter_sqlite::adapter;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Op, Position};

use crate::replica::Replica;

/// Longer than anything here takes, so that what is waited for in vain fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a source needs to notice something.
const QUIET: Duration = Duration::from_millis(500);

/// The durable side of an agent, and the database that its source reads.
pub(crate) struct Agent {
    folder: TempDir,
    config: Value,
    /// What became durable, in order.
    pub(crate) durable: Vec<Emission>,
    pub(crate) released: usize,
}

impl Agent {
    /// An agent whose source `crm` reads a database that this SQL has made.
    pub(crate) fn new(sql: &str, settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({ "path": folder.path().join("crm.db"), "poll": "10ms" });
        merge(&mut config, settings);
        let agent = Self { folder, config, durable: Vec::new(), released: 0 };
        agent.connect().execute_batch(sql).unwrap();
        agent
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("crm.db")
    }

    /// A connection as the application has one.
    pub(crate) fn connect(&self) -> Connection {
        connect(&self.path())
    }

    /// Changes the configuration, as an admin does between two runs.
    pub(crate) fn configure(&mut self, settings: Value) {
        merge(&mut self.config, settings);
    }

    pub(crate) fn config(&self) -> Value {
        self.config.clone()
    }

    pub(crate) fn start(&self) -> SourceRun {
        let source = (adapter().source.unwrap().build)(&self.config).unwrap();
        SourceStart { name: "crm", ..SourceStart::default() }.at(&self.position()).run(source)
    }

    pub(crate) fn position(&self) -> Position {
        self.durable.last().map_or_else(Position::default, |emission| emission.position.clone())
    }

    pub(crate) fn replica(&self) -> Replica {
        Replica::of(&self.durable)
    }

    /// Makes the next emission durable.
    pub(crate) async fn receive(&mut self, run: &mut SourceRun) {
        self.durable.push(run.expect().await.unwrap());
    }

    /// Makes emissions durable until one has not come for a while.
    pub(crate) async fn receive_all(&mut self, run: &mut SourceRun) {
        while let Some(emission) = run.next(QUIET).await.unwrap() {
            self.durable.push(emission);
        }
    }

    /// Makes emissions durable until they amount to `enough`.
    pub(crate) async fn receive_until(&mut self, run: &mut SourceRun, enough: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !enough(self) {
            assert!(begun.elapsed() < PATIENCE, "what is waited for has not come");
            self.durable.extend(run.next(QUIET).await.unwrap());
        }
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

    /// Releases everything that is durable.
    pub(crate) async fn release(&mut self, run: &SourceRun) {
        run.release(&self.position(), &[]).await.unwrap();
        self.released = self.durable.len();
    }

    /// What happened to the rows of a stream, from the emission with this number on.
    pub(crate) fn events(&self, stream: &str, from: usize) -> Vec<(Op, Row)> {
        let mut events = Vec::new();
        for emission in self.durable[from..].iter().filter(|it| it.stream.as_str() == stream) {
            let Rows::Records { batch, .. } = &emission.rows else { continue };
            let ops = batch.column(0).as_primitive::<UInt8Type>().values().iter();
            let ops = ops.map(|code| Op::from_code(*code).unwrap());
            events.extend(ops.zip(cell::rows(batch).unwrap()));
        }
        events
    }

    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        let letters = self.durable.iter().filter_map(|emission| match &emission.rows {
            Rows::DeadLetters(letters) => Some(letters.clone()),
            _ => None,
        });
        letters.flatten().collect()
    }

    /// How many changes wait in the database for their release.
    pub(crate) fn changes_kept(&self) -> i64 {
        let sql = "SELECT count(*) FROM \"_towpath_crm_changes\"";
        self.connect().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Everything in the database that is Towpath's.
    pub(crate) fn installed(&self) -> Vec<String> {
        let database = self.connect();
        let sql = "SELECT name FROM sqlite_schema WHERE name LIKE '!_towpath!_%' ESCAPE '!' ORDER BY name";
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// Opens a database as an application does.
pub(crate) fn connect(path: &std::path::Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database
}

/// A row of texts.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(|cell| Some(cell.to_owned())).to_vec()
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { return };
    into.as_object_mut().unwrap().extend(from);
}
