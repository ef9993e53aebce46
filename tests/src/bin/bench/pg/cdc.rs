//! A6: changes to the durable region log, in small, middle and large transactions; beside a reader that discards what
//! the server sends, and `pg_recvlogical`.
//!
//! In each run the changes of each size are written once. Each reader has a slot of its own from before they were
//! written, so that all of them read the same log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::sync::Mutex as AsyncMutex;
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_tests::process::Launch;
use towpath_tests::scene::CLOUD;
use towpath_tests::usage::Usage;

use super::walsender::read_to;
use super::{COLUMNS, Server, rows};
use crate::database::{DatabaseOptions, LIMIT, add_source, remove_source, wait_first_in_log, wait_in_log};
use crate::measure::{Figures, Spent, Subject, Trial, in_turn};
use crate::ours::Ours;

const CHANGES: u64 = 2_000_000;
const SIZES: [u64; 3] = [1, 100, 200_000];
const OF_CEILING: f64 = 0.9;
const MOST_CPU_SECONDS_PER_MILLION: f64 = 6.0;

/// What is read: the changes of one size of transaction.
#[derive(Clone, Copy)]
struct Load {
    /// Changes in a transaction.
    size: u64,
    /// Changes in all.
    changes: u64,
    seed: u64,
}

/// Where the changes of each size end in the log, and how large a row is.
type Ends = Rc<AsyncMutex<BTreeMap<u64, (String, u64)>>>;

pub(crate) async fn run(options: &DatabaseOptions) -> Result<Figures> {
    let changes = options.rows.unwrap_or(CHANGES);
    let arguments = options.arguments(changes);
    let mut figures = Figures::of("pg-cdc", "A6: changes of PostgreSQL to the region log", &arguments);
    let server = Rc::new(Server::start().await?);
    let folder = tempfile::Builder::new().prefix("towpath-bench-").tempdir()?;
    let ours = Rc::new(AsyncMutex::new(Ours::start().await?));
    let ends = Ends::default();
    let (mut subjects, mut names, mut loads) = (Vec::<Box<dyn Subject>>::new(), Vec::new(), Vec::new());
    for size in SIZES {
        // Half of them are inserts and half are updates, in whole transactions.
        let size = size.min(changes / 2).max(1);
        let load = Load { size, changes: changes / (2 * size) * (2 * size), seed: options.seed };
        for way in [Way::Ours(ours.clone()), Way::Discards, Way::Recvlogical(folder.path().to_owned())] {
            subjects.push(Box::new(CdcSubject { way, load, server: server.clone(), ends: ends.clone() }));
        }
        names.push([3, 2, 1].map(|back| subjects[subjects.len() - back].name()));
        loads.push(load);
    }
    let stage = async |run: usize| {
        for load in &loads {
            load.write(&server, run, &ends).await?;
        }
        Ok(())
    };
    figures.series = in_turn(&mut subjects, options.runs, stage).await?;
    for [ours, ceiling, recvlogical] in &names {
        figures.compare(ours, ceiling, OF_CEILING);
        figures.compare(ours, recvlogical, 0.0);
        if let Some(series) = figures.series(ours) {
            let cpu = series.median(|trial| trial.cpu_seconds() / (trial.rows as f64 / 1e6));
            let what = format!("{ours}: processor time of a million changes");
            figures.at_most(what, cpu, MOST_CPU_SECONDS_PER_MILLION, "s");
        }
    }
    figures.notes.push(
        "Half of the changes are inserts, half are updates. MB are of the rows as text. Ours is measured from the first \
         change that is durable in the region log to the last; the yardsticks, from their connection on, discard what they \
         read."
            .to_owned(),
    );
    Ok(figures)
}

impl Load {
    fn table(self) -> String {
        format!("bench_{}", self.size)
    }

    /// Makes slots for the readers of a run, and then the changes.
    async fn write(self, server: &Server, run: usize, ends: &Ends) -> Result<()> {
        let table = self.table();
        server
            .run(&format!(
                "SET synchronous_commit = off; DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({COLUMNS}); \
                 DROP PUBLICATION IF EXISTS {table}; CREATE PUBLICATION {table} FOR TABLE {table}"
            ))
            .await?;
        for reader in ["ours", "discards", "recvlogical"] {
            server.keep_from_now(&self.slot(reader, run)).await?;
        }
        let (size, transactions) = (self.size, self.changes / self.size / 2);
        let fill = rows(self.seed, &format!("(t - 1) * {size} + 1"), &format!("t * {size}"));
        server
            .run(&format!(
                "DO $$ BEGIN FOR t IN 1::bigint..{transactions} LOOP INSERT INTO {table} {fill}; COMMIT; END LOOP; \
                 FOR t IN 1::bigint..{transactions} LOOP UPDATE {table} SET quantity = quantity + 1 \
                 WHERE seq BETWEEN (t - 1) * {size} + 1 AND t * {size}; COMMIT; END LOOP; END $$"
            ))
            .await?;
        // A commit that need not wait is in the log a moment later; this one waits.
        server
            .run("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'bench', 'end')")
            .await?;
        let (end, bytes) = (server.end_of_log().await?, server.row_bytes(&table).await?);
        ends.lock().await.insert(size, (end, bytes));
        Ok(())
    }

    fn slot(self, reader: &str, run: usize) -> String {
        format!("{reader}_{}_{run}", self.size)
    }
}

/// Who reads.
enum Way {
    Ours(Rc<AsyncMutex<Ours>>),
    Discards,
    Recvlogical(PathBuf),
}

struct CdcSubject {
    way: Way,
    load: Load,
    server: Rc<Server>,
    ends: Ends,
}

impl Subject for CdcSubject {
    fn name(&self) -> String {
        let way = match &self.way {
            Way::Ours(_) => "Towpath, changes to region log",
            Way::Discards => "the walsender's ceiling",
            Way::Recvlogical(_) => "pg_recvlogical",
        };
        match self.load.size {
            1 => format!("{way}, one in a transaction"),
            size => format!("{way}, {size} in a transaction"),
        }
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let ends = self.ends.lock().await;
            let (end, row_bytes) = ends.get(&self.load.size).context("the run was not staged")?;
            let Measured { changes, elapsed, spent, slot } = match &self.way {
                Way::Ours(ours) => self.ours(&mut *ours.lock().await, run).await?,
                Way::Discards => self.discards(end, run).await?,
                Way::Recvlogical(folder) => self.recvlogical(folder.clone(), end, run)?,
            };
            self.server.drop_slot(&slot).await?;
            Ok(Trial::new(elapsed, row_bytes * changes, changes, spent))
        })
    }
}

struct Measured {
    changes: u64,
    elapsed: Duration,
    spent: Vec<Spent>,
    slot: String,
}

impl CdcSubject {
    async fn ours(&self, ours: &mut Ours, run: usize) -> Result<Measured> {
        let (slot, table) = (self.load.slot("ours", run), self.load.table());
        let name = slot.replace('_', "-");
        let config = json!({
            "slot": slot, "publication": table, "create": false, "snapshot": "never",
            "tables": [format!("public.{table}")], "stream": format!("bench.{name}.{{table}}"),
        });
        add_source(ours, &name, "postgres", self.server.config(&config)).await?;
        let before = wait_first_in_log(ours, &name).await?;
        let measurement = ours.measure()?;
        wait_in_log(ours, &name, self.load.changes).await?;
        let (elapsed, mut spent) = ours.measured(&measurement)?;
        spent.retain(|process| process.process != CLOUD);
        remove_source(ours, &name).await?;
        Ok(Measured { changes: self.load.changes - before, elapsed, spent, slot })
    }

    async fn discards(&self, end: &str, run: usize) -> Result<Measured> {
        let (slot, table) = (self.load.slot("discards", run), self.load.table());
        let (port, end) = (self.server.process.port(), end.to_owned());
        let own = std::process::id();
        let (before, started) = (Usage::of(own)?, Instant::now());
        let read = {
            let slot = slot.clone();
            tokio::task::spawn_blocking(move || read_to(port, &slot, &table, &end))
        };
        read.await??;
        let (elapsed, after) = (started.elapsed(), Usage::of(own)?);
        let spent = vec![Spent::between("reader", before, after)];
        Ok(Measured { changes: self.load.changes, elapsed, spent, slot })
    }

    fn recvlogical(&self, folder: PathBuf, end: &str, run: usize) -> Result<Measured> {
        let (slot, table) = (self.load.slot("recvlogical", run), self.load.table());
        let url = self.server.process.url("postgres");
        let launch = Launch::new("pg_recvlogical", PostgresServer::program("pg_recvlogical")?, &folder)
            .arguments(["--start", "--no-loop", "-f", "/dev/null", "-d", &url, "-S", &slot, "-E", end])
            .arguments(["-o", "proto_version=2", "-o", "streaming=on", "-o"])
            .arguments([format!("publication_names={table}")]);
        let started = Instant::now();
        let usage = launch.run(LIMIT)?;
        let (changes, elapsed) = (self.load.changes, started.elapsed());
        let spent = vec![Spent::between("pg_recvlogical", Usage::default(), usage)];
        Ok(Measured { changes, elapsed, spent, slot })
    }
}
