//! A5: a table to the durable region log, beside `psql \copy` of it to nowhere.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::sync::Mutex as AsyncMutex;
use towpath_tests::process::Launch;
use towpath_tests::scene::CLOUD;
use towpath_tests::usage::Usage;

use super::{COLUMNS, Server, rows};
use crate::database::{DatabaseOptions, LIMIT, add_source, remove_source, wait_in_log};
use crate::measure::{Figures, Spent, Subject, Trial, in_turn};
use crate::ours::Ours;

const ROWS: u64 = 5_000_000;
const OF_YARDSTICK: f64 = 0.8;
const ROWS_PER_CPU_SECOND: f64 = 400_000.0;

pub(crate) async fn run(options: &DatabaseOptions) -> Result<Figures> {
    let count = options.rows.unwrap_or(ROWS);
    let mut figures =
        Figures::of("pg-snapshot", "A5: a PostgreSQL table to the region log", &options.arguments(count));
    let server = Rc::new(Server::start().await?);
    let fill = rows(options.seed, "1", &count.to_string());
    server
        .run(&format!("CREATE TABLE bench ({COLUMNS}); INSERT INTO bench {fill}; ANALYZE bench; CHECKPOINT"))
        .await?;
    let bytes = server.row_bytes("bench").await? * count;
    let folder = tempfile::Builder::new().prefix("towpath-bench-").tempdir()?;
    let ours = OursSubject {
        ours: Rc::new(AsyncMutex::new(Ours::start().await?)),
        server: server.clone(),
        count,
        bytes,
    };
    let copy = PsqlCopyOut { server, folder: folder.path().to_owned(), count, bytes };
    let (ours_name, copy_name) = (ours.name(), copy.name());
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(ours), Box::new(copy)];
    figures.series = in_turn(&mut subjects, options.runs, async |_| Ok(())).await?;
    figures.compare(&ours_name, &copy_name, OF_YARDSTICK);
    if let Some(series) = figures.series(&ours_name) {
        let per_core = series.median(|trial| trial.rows as f64 / trial.cpu_seconds());
        figures.at_least(
            "rows for each second of our processors",
            per_core / 1e3,
            ROWS_PER_CPU_SECOND / 1e3,
            "k",
        );
    }
    figures.notes.push(
        "MB are of the rows as text. Ours includes the start of the source, its slot and its publication, and ends when \
         the region log is durable; psql discards what it reads."
            .to_owned(),
    );
    Ok(figures)
}

struct OursSubject {
    ours: Rc<AsyncMutex<Ours>>,
    server: Rc<Server>,
    count: u64,
    bytes: u64,
}

impl Subject for OursSubject {
    fn name(&self) -> String {
        "Towpath, table to region log".to_owned()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (name, slot) = (format!("copy-{run}"), format!("copy_{run}"));
            let mut ours = self.ours.lock().await;
            let measurement = ours.measure()?;
            let stream = format!("bench.{name}.{{table}}");
            let config = json!({ "slot": slot, "tables": ["public.bench"], "stream": stream });
            add_source(&ours, &name, "postgres", self.server.config(&config)).await?;
            wait_in_log(&mut ours, &name, self.count).await?;
            let (elapsed, mut spent) = ours.measured(&measurement)?;
            spent.retain(|process| process.process != CLOUD);
            remove_source(&ours, &name).await?;
            self.server.drop_slot(&slot).await?;
            self.server.run(&format!("DROP PUBLICATION {slot}")).await?;
            Ok(Trial::new(elapsed, self.bytes, self.count, spent))
        })
    }
}

struct PsqlCopyOut {
    server: Rc<Server>,
    folder: PathBuf,
    count: u64,
    bytes: u64,
}

impl Subject for PsqlCopyOut {
    fn name(&self) -> String {
        "psql \\copy to /dev/null, binary".to_owned()
    }

    fn trial(&mut self, _run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let url = self.server.process.url("postgres");
            let copy = "\\copy bench to '/dev/null' (format binary)";
            let launch = Launch::new("psql", "psql", &self.folder).arguments([
                url.as_str(),
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                copy,
            ]);
            let started = Instant::now();
            let usage = launch.run(LIMIT)?;
            let spent = vec![Spent::between("psql", Usage::default(), usage)];
            Ok(Trial::new(started.elapsed(), self.bytes, self.count, spent))
        })
    }
}
