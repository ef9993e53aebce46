//! A4: the region log to SQLite, PostgreSQL and Parquet, beside the importers that come with them.

mod importers;

use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use futures_util::future::LocalBoxFuture;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_tests::data::{Bulk, Shape};
use towpath_tests::scene::CLOUD;
use towpath_tests::sinks::FileReader;

use crate::Options;
use crate::files::Staged;
use crate::measure::{Figures, Subject, Trial, in_turn};
use crate::ours::{Ours, PASSWORD_VARIABLE};

use importers::{PsqlCopy, Pyarrow, SqliteImport};

const APPEND: f64 = 0.6;
const UPSERT: f64 = 0.3;
const PLAIN_STREAM: &str = "bench.plain";
const KEYED_STREAM: &str = "bench.keyed";

pub(crate) async fn run(options: &Options) -> Result<Figures> {
    let mut figures = Figures::new("sink", "A4: the region log to SQLite, PostgreSQL and Parquet", options);
    let folder = tempfile::Builder::new().prefix("towpath-bench-").tempdir()?;
    let staged = Staged::new(folder.path(), Shape::Csv, options);
    staged.stage(0)?;
    let server =
        Rc::new(PostgresServer::start_with(&["fsync=on", "full_page_writes=on", "max_wal_size=4GB"], &[])?);
    let ours = Rc::new(AsyncMutex::new(Ours::start().await?));
    let bulk = load_log(&mut *ours.lock().await, &staged).await?;
    let sink = |target: Target, stream: &'static str| -> Box<dyn Subject> {
        Box::new(SinkSubject { ours: ours.clone(), server: server.clone(), target, stream, bulk })
    };
    let mut subjects: Vec<Box<dyn Subject>> = vec![
        sink(Target::Sqlite, PLAIN_STREAM),
        sink(Target::Sqlite, KEYED_STREAM),
        Box::new(SqliteImport(staged.clone())),
        sink(Target::Postgres, PLAIN_STREAM),
        sink(Target::Postgres, KEYED_STREAM),
        Box::new(PsqlCopy { staged: staged.clone(), server: server.clone() }),
        sink(Target::Parquet, PLAIN_STREAM),
    ];
    match Pyarrow::find(staged.clone()) {
        Some(pyarrow) => subjects.push(Box::new(pyarrow)),
        None => figures.notes.push(
            "pyarrow was not there (`python3 -c 'import pyarrow'` failed), so Parquet has no yardstick in this run."
                .to_owned(),
        ),
    }
    let names: Vec<_> = subjects.iter().map(|subject| subject.name()).collect();
    figures.series = in_turn(&mut subjects, options.runs, async |_| Ok(())).await?;
    for (ours, yardstick, goal) in
        [(0, 2, APPEND), (1, 2, UPSERT), (3, 5, APPEND), (4, 5, UPSERT), (6, 7, APPEND)]
    {
        if let (Some(ours), Some(yardstick)) = (names.get(ours), names.get(yardstick)) {
            figures.compare(ours, yardstick, goal);
        }
    }
    figures
        .notes
        .push("MB are of the CSV file that the rows came from. Ours is exactly once, with fsync.".to_owned());
    Ok(figures)
}

/// Fills the region log with the rows, once without a key and once with one.
async fn load_log(ours: &mut Ours, staged: &Staged) -> Result<Bulk> {
    let (file, bulk) = staged.large(0)?;
    for (name, stream, key) in [("plain", PLAIN_STREAM, &[][..]), ("keyed", KEYED_STREAM, &["seq"][..])] {
        let drop = ours.add_source(name, Shape::Csv, stream, key).await?;
        let (hidden, dropped) = (drop.join("bulk.tmp"), drop.join("bulk-0"));
        std::fs::copy(&file, &hidden)?;
        std::fs::rename(&hidden, &dropped)?;
        ours.wait_archived(&dropped).await?;
    }
    Ok(bulk)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Sqlite,
    Postgres,
    Parquet,
}

struct SinkSubject {
    ours: Rc<AsyncMutex<Ours>>,
    server: Rc<PostgresServer>,
    target: Target,
    stream: &'static str,
    bulk: Bulk,
}

impl Subject for SinkSubject {
    fn name(&self) -> String {
        let way = if self.stream == KEYED_STREAM { "upsert" } else { "append" };
        match self.target {
            Target::Sqlite => format!("Towpath, log to SQLite, {way}"),
            Target::Postgres => format!("Towpath, log to PostgreSQL, {way}"),
            Target::Parquet => "Towpath, log to Parquet".to_owned(),
        }
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let word = match self.target {
                Target::Sqlite => "sqlite",
                Target::Postgres => "postgres",
                Target::Parquet => "parquet",
            };
            let kind = self.stream.rsplit('.').next().unwrap_or_default();
            let name = format!("{word}-{kind}-{run}");
            let mut ours = self.ours.lock().await;
            let place = ours.fleet.join(&name);
            let (adapter, config) = self.sink(&name, &place);
            let delivered = ours.delivered().await?;
            let measurement = ours.measure()?;
            ours.add_route(&name, adapter, config, self.stream).await?;
            ours.wait_delivered(delivered + self.bulk.rows).await?;
            let (elapsed, mut spent) = ours.measured(&measurement)?;
            spent.retain(|process| process.process == CLOUD || process.process == "control");
            let rows = self.count(&name, &place).await?;
            ensure!(rows == self.bulk.rows, "{name} holds {rows} of {} rows", self.bulk.rows);
            ours.remove_route(&name).await?;
            Ok(Trial::new(elapsed, self.bulk.bytes, self.bulk.rows, spent))
        })
    }
}

impl SinkSubject {
    fn sink(&self, name: &str, place: &std::path::Path) -> (&'static str, Value) {
        match self.target {
            Target::Sqlite => ("sqlite", json!({ "path": place, "table": "bench" })),
            Target::Postgres => {
                let (table, port) = (name.replace('-', "_"), self.server.port());
                let account = json!({
                    "host": "127.0.0.1", "port": port, "database": "postgres", "user": "towpath",
                    "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" }, "table": table,
                });
                ("postgres", account)
            }
            Target::Parquet => {
                let roll = json!({ "bytes": "256MiB", "every": "500ms" });
                ("file", json!({ "path": place, "format": "parquet", "roll": roll }))
            }
        }
    }

    async fn count(&self, name: &str, place: &std::path::Path) -> Result<u64> {
        match self.target {
            Target::Sqlite => {
                let database = rusqlite::Connection::open(place)?;
                Ok(database
                    .query_row("SELECT count(*) FROM bench", [], |row| row.get::<_, i64>(0))?
                    .try_into()?)
            }
            Target::Postgres => {
                let (client, connection) =
                    tokio_postgres::connect(&self.server.url("postgres"), tokio_postgres::NoTls).await?;
                let connection = tokio::spawn(connection);
                let query = format!("SELECT count(*) FROM {}", name.replace('-', "_"));
                let rows: i64 = client.query_one(&query, &[]).await?.get(0);
                drop(client);
                connection.await??;
                Ok(rows.try_into()?)
            }
            Target::Parquet => {
                let mut rows = 0;
                for path in FileReader::new(place).finished()? {
                    let file = SerializedFileReader::new(std::fs::File::open(&path)?);
                    let file = file.with_context(|| format!("{} is not Parquet", path.display()))?;
                    rows += file.metadata().file_metadata().num_rows();
                }
                Ok(rows.try_into()?)
            }
        }
    }
}
