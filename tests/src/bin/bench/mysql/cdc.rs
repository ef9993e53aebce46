//! A6: changes of MariaDB to the durable region log, in small, middle and large transactions; beside `mariadb-binlog`, which
//! reads them from the same server, once as bytes alone and once decoded to rows.
//!
//! The changes of each size are written once, each by a server of its own and before anything is measured. Every reader
//! then reads the whole binlog, which is no shorter for having been read.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex as AsyncMutex;
use towpath_tests::process::Launch;
use towpath_tests::scene::CLOUD;
use towpath_tests::usage::Usage;

use super::binlog::{Binlog, Load};
use crate::database::{DatabaseOptions, LIMIT, add_source, remove_source, wait_in_log};
use crate::measure::{Figures, Spent, Subject, Trial, in_turn};
use crate::ours::Ours;

const CHANGES: u64 = 2_000_000;
const SIZES: [u64; 3] = [1, 100, 200_000];
const OF_YARDSTICK: f64 = 0.8;
const MOST_CPU_SECONDS_PER_MILLION: f64 = 6.0;

pub(crate) async fn run(options: &DatabaseOptions) -> Result<Figures> {
    let changes = options.rows.unwrap_or(CHANGES);
    ensure!(changes >= 2, "at least one row is inserted and updated");
    let arguments = options.arguments(changes);
    let mut figures = Figures::of("mysql-cdc", "A6: changes of MariaDB to the region log", &arguments);
    let folder = tempfile::Builder::new().prefix("towpath-bench-").tempdir()?;
    let ours = Rc::new(AsyncMutex::new(Ours::start().await?));
    let (mut subjects, mut names) = (Vec::<Box<dyn Subject>>::new(), Vec::new());
    for size in SIZES {
        let binlog = Rc::new(Binlog::write(Load::new(size, changes, options.seed)).await?);
        for way in [Way::Ours(ours.clone()), Way::Bytes, Way::Rows] {
            let folder = folder.path().to_owned();
            subjects.push(Box::new(CdcSubject { way, binlog: binlog.clone(), folder }));
        }
        names.push([3, 2, 1].map(|back| subjects[subjects.len() - back].name()));
    }
    figures.series = in_turn(&mut subjects, options.runs, async |_| Ok(())).await?;
    for [ours, bytes, rows] in &names {
        figures.compare(ours, bytes, OF_YARDSTICK);
        figures.compare(ours, rows, OF_YARDSTICK);
        if let Some(series) = figures.series(ours) {
            let cpu = series.median(|trial| trial.cpu_seconds() / (trial.rows as f64 / 1e6));
            let what = format!("{ours}: processor time of a million changes");
            figures.at_most(what, cpu, MOST_CPU_SECONDS_PER_MILLION, "s");
        }
    }
    figures.notes.push(
        "Half of the changes are inserts, half are updates. MB are of the rows as text. Ours includes the start of the \
         source and ends when the region log is durable; `mariadb-binlog --read-from-remote-server` writes to \
         /dev/null, with `--raw` what it reads and with `--verbose --base64-output=decode-rows` the rows."
            .to_owned(),
    );
    Ok(figures)
}

/// Who reads.
enum Way {
    Ours(Rc<AsyncMutex<Ours>>),
    /// `mariadb-binlog`, which looks into nothing but the heads of events.
    Bytes,
    /// `mariadb-binlog`, which prints each row.
    Rows,
}

struct CdcSubject {
    way: Way,
    binlog: Rc<Binlog>,
    folder: PathBuf,
}

impl Subject for CdcSubject {
    fn name(&self) -> String {
        let way = match &self.way {
            Way::Ours(_) => "Towpath, changes to region log",
            Way::Bytes => "mariadb-binlog, bytes",
            Way::Rows => "mariadb-binlog, rows",
        };
        match self.binlog.load.size {
            1 => format!("{way}, one in a transaction"),
            size => format!("{way}, {size} in a transaction"),
        }
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (elapsed, spent) = match &self.way {
                Way::Ours(ours) => self.ours(&mut *ours.lock().await, run).await?,
                Way::Bytes => self.bytes().await?,
                Way::Rows => self.rows().await?,
            };
            let changes = self.binlog.load.changes;
            Ok(Trial::new(elapsed, self.binlog.row_bytes * changes, changes, spent))
        })
    }
}

type Measured = (Duration, Vec<Spent>);

impl CdcSubject {
    async fn ours(&self, ours: &mut Ours, run: usize) -> Result<Measured> {
        let Load { size, changes, .. } = self.binlog.load;
        let name = format!("ours-{size}-{run}");
        let measurement = ours.measure()?;
        add_source(ours, &name, "mysql", self.binlog.source(&name)).await?;
        wait_in_log(ours, &name, changes).await?;
        let (elapsed, mut spent) = ours.measured(&measurement)?;
        spent.retain(|process| process.process != CLOUD);
        remove_source(ours, &name).await?;
        Ok((elapsed, spent))
    }

    /// Raw output goes to files that are named like the server's, behind a prefix; here each of them is no file.
    async fn bytes(&self) -> Result<Measured> {
        let nowhere = tempfile::Builder::new().prefix("raw-").tempdir_in(&self.folder)?;
        for file in &self.binlog.files {
            symlink("/dev/null", nowhere.path().join(file))?;
        }
        let prefix = format!("--result-file={}/", nowhere.path().display());
        self.mariadb_binlog(["--raw", &prefix]).await
    }

    async fn rows(&self) -> Result<Measured> {
        self.mariadb_binlog(["--verbose", "--base64-output=decode-rows", "--result-file=/dev/null"]).await
    }

    /// Runs `mariadb-binlog` over the whole binlog.
    async fn mariadb_binlog<const N: usize>(&self, output: [&str; N]) -> Result<Measured> {
        let launch = Launch::new("mariadb-binlog", "mariadb-binlog", &self.folder)
            .arguments(self.binlog.access())
            .arguments(["--read-from-remote-server", "--to-last-log"])
            .arguments(output)
            .arguments(self.binlog.files.first());
        let before = self.binlog.sent().await?;
        let started = Instant::now();
        let usage = launch.run(LIMIT)?;
        let elapsed = started.elapsed();
        // It discards what it reads, so the server says that it was all.
        let (sent, bytes) = (self.binlog.sent().await? - before, self.binlog.bytes);
        ensure!(sent >= bytes, "the server sent {sent} bytes to mariadb-binlog; its binlog has {bytes}");
        Ok((elapsed, vec![Spent::between("mariadb-binlog", Usage::default(), usage)]))
    }
}
