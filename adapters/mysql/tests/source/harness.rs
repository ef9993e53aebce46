//! Databases to read, a source that reads them, and an account of what it emits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{
    Adapter, AdapterError, Emission, MemoryCache, Precedence, Resume, Rows, SourceContext, SourceDriver,
};
use towpath_adapter_conformance::cell;
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_record::{Op, Position, ResourceName};

/// How long a source is silent when it has read everything.
pub(crate) const QUIET: Duration = Duration::from_millis(1500);

pub(crate) fn server() -> Result<Arc<MariaDbServer>> {
    Ok(Arc::new(MariaDbServer::start()?))
}

pub(crate) async fn connect(server: &MariaDbServer, database: &str) -> Result<Conn> {
    let mut connection = Conn::new(Opts::from_url(&server.url(database))?).await?;
    connection.query_drop("SET NAMES utf8mb4, time_zone = '+00:00'").await?;
    Ok(connection)
}

/// A database, and a source that reads it.
pub(crate) struct Database {
    pub(crate) server: Arc<MariaDbServer>,
    pub(crate) name: String,
    connection: Mutex<Conn>,
}

impl Database {
    /// A database in which each line of `sql` was run.
    pub(crate) async fn new(server: &Arc<MariaDbServer>, name: &str, sql: &str) -> Result<Self> {
        connect(server, "towpath").await?.query_drop(format!("CREATE DATABASE {name}")).await?;
        let connection = Mutex::new(connect(server, name).await?);
        let database = Self { server: server.clone(), name: name.to_owned(), connection };
        database.run(sql).await?;
        Ok(database)
    }

    /// Runs statements, each of which ends with `;` and the line.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        let mut connection = self.connection.lock().await;
        for statement in sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            connection.query_drop(statement).await.with_context(|| statement.to_owned())?;
        }
        Ok(())
    }

    pub(crate) fn config(&self, extra: &Value) -> Value {
        let mut config = json!({ "url": self.server.url(&self.name), "tls": { "mode": "disable" } });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        config
    }

    pub(crate) async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let rows: Vec<Row> = self.connection.lock().await.query(sql).await?;
        let first = |row: Row| row.get::<Option<String>, _>(0).flatten().unwrap_or_default();
        Ok(rows.into_iter().map(first).collect())
    }
}

/// A run of a source.
pub(crate) struct Run {
    pub(crate) driver: SourceDriver,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), AdapterError>>,
}

impl Run {
    pub(crate) fn start(config: &Value, position: &Position) -> Result<Self> {
        Self::start_of(towpath_adapter_mysql::adapter(), config, position, Arc::default())
    }

    /// A run of another adapter, whose cache outlives it.
    pub(crate) fn start_of(
        adapter: Adapter,
        config: &Value,
        position: &Position,
        cache: Arc<MemoryCache>,
    ) -> Result<Self> {
        let source = (adapter.source.unwrap().build)(config)?;
        let (output, releases, driver) = SourceDriver::channels(1);
        let stop = CancellationToken::new();
        let context = SourceContext {
            name: ResourceName::new("erp")?,
            resume: Resume { position: position.clone(), rebuild: None },
            output,
            releases,
            cache,
            turn: Precedence::default().turn(ResourceName::new("erp")?),
            stop: stop.clone(),
        };
        Ok(Self { driver, stop, task: tokio::spawn(source.run(context)) })
    }

    /// Everything that is emitted until the source is silent.
    pub(crate) async fn all(mut self, quiet: Duration) -> Result<Vec<Emission>> {
        let mut seen = Vec::new();
        while let Some(emission) = self.next(quiet).await? {
            seen.push(emission);
        }
        self.stop().await?;
        Ok(seen)
    }

    /// The next emission, or `None` when the source has been silent for a while.
    pub(crate) async fn next(&mut self, quiet: Duration) -> Result<Option<Emission>> {
        match tokio::time::timeout(quiet, self.driver.emissions.recv()).await {
            Ok(Some(emission)) => Ok(Some(emission)),
            Ok(None) => {
                Err((&mut self.task).await?.err().context("the source ended without being stopped")?.into())
            }
            Err(_) => Ok(None),
        }
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        drop(self.driver);
        tokio::time::timeout(Duration::from_secs(10), self.task).await.context("it did not stop")??.ok();
        Ok(())
    }
}

/// Everything that a source emits until it is silent.
pub(crate) async fn read(config: &Value, position: &Position) -> Result<Vec<Emission>> {
    Run::start(config, position)?.all(QUIET).await
}

/// Where a source may go on after what it emitted.
pub(crate) fn end(emissions: &[Emission]) -> Result<Position> {
    Ok(emissions.last().context("something was emitted")?.position.clone())
}

/// The rows of emissions as `op: value | value`.
pub(crate) fn shown(emissions: &[Emission]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for emission in emissions {
        match &emission.rows {
            Rows::Records { batch, .. } => {
                let ops = batch.column(0).as_primitive::<UInt8Type>().values();
                for (op, row) in ops.iter().zip(cell::rows(batch)?) {
                    let cells: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect();
                    lines.push(format!("{}: {}", Op::from_code(*op).unwrap().as_str(), cells.join(" | ")));
                }
            }
            Rows::DeadLetters(letters) => {
                lines.extend(
                    letters.iter().map(|l| format!("refused: {} {:?}: {}", l.resource, l.column, l.reason)),
                );
            }
            Rows::Progress => {}
        }
    }
    Ok(lines)
}

type Key = Vec<Option<String>>;

/// A strict account of which rows there are.
#[derive(Default)]
pub(crate) struct Account(pub(crate) BTreeMap<String, BTreeMap<Key, Vec<Option<String>>>>);

impl Account {
    /// Applies an emission, which must fit what was there before: nothing doubled, nothing lost.
    pub(crate) fn apply(&mut self, emission: &Emission) -> Result<()> {
        let Rows::Records { schema, batch } = &emission.rows else {
            ensure!(matches!(emission.rows, Rows::Progress), "there are dead letters: {:?}", emission.rows);
            return Ok(());
        };
        let columns = schema.columns();
        let places: Vec<_> = schema
            .key()
            .iter()
            .filter_map(|name| columns.iter().position(|column| &column.name == name))
            .collect();
        let rows = self.0.entry(emission.stream.to_string()).or_default();
        let ops = batch.column(0).as_primitive::<UInt8Type>().values();
        for (op, row) in ops.iter().zip(cell::rows(batch)?) {
            let key: Key = places.iter().map(|place| row[*place].clone()).collect();
            let op = Op::from_code(*op).unwrap();
            let shown =
                format!("{}: {op:?} of {key:?} does not follow from what came before", emission.stream);
            let fits = match op {
                Op::Create | Op::Read => rows.insert(key, row).is_none(),
                Op::Update => rows.insert(key, row).is_some(),
                Op::Delete => rows.remove(&key).is_some(),
                Op::Truncate => {
                    rows.clear();
                    true
                }
            };
            ensure!(fits, shown);
        }
        Ok(())
    }
}
