//! A1: files to the durable region log, and on to a file sink.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Mutex as AsyncMutex;
use towpath_tests::data::{Bulk, Shape};
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::sinks::FileReader;

use crate::Options;
use crate::measure::{Figures, Subject, Trial, in_turn};
use crate::ours::Ours;
use crate::peers::{PeerSubject, Rsyslog, SyslogNg, Unpacked};
use crate::yardstick::{Append, Zstd};

/// What the README promises of the agent's memory during this bench.
const MOST_AGENT_RSS_MIB: f64 = 96.0;
const MOST_CPU_SECONDS_PER_GB: f64 = 12.0;
const LIMIT: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(20);

pub(crate) async fn run(options: &Options) -> Result<Figures> {
    let mut figures = Figures::new("files", "A1: files to the region log and to a file sink", options);
    let folder = tempfile::Builder::new().prefix("towpath-bench-").tempdir()?;
    let staged = [Shape::Csv, Shape::JsonLines].map(|shape| Staged::new(folder.path(), shape, options));
    let ours = Rc::new(AsyncMutex::new(Ours::start().await?));
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for staged in &staged {
        for to in [Goal::Log, Goal::Sink] {
            subjects.push(Box::new(FilesSubject::add(ours.clone(), staged.clone(), to).await?));
        }
        subjects.push(Box::new(Zstd(staged.clone())));
    }
    subjects.push(Box::new(Append(staged[1].clone())));
    let peers = Unpacked::into(&peers_folder()?)?;
    subjects.push(Box::new(PeerSubject { peer: Rsyslog(peers.clone()), staged: staged[1].clone() }));
    subjects.push(Box::new(PeerSubject { peer: SyslogNg(peers), staged: staged[1].clone() }));
    let names: Vec<_> = subjects.iter().map(|subject| subject.name()).collect();
    figures.series = in_turn(&mut subjects, options.runs, async |run| {
        staged.iter().try_for_each(|staged| staged.stage(run))
    })
    .await?;
    let [csv_log, csv_sink, csv_zstd, json_log, json_sink, json_zstd, append, rsyslog, syslog_ng] =
        &names[..]
    else {
        anyhow::bail!("the list of subjects changed");
    };
    figures.compare(json_sink, rsyslog, 8.0);
    figures.compare(json_sink, syslog_ng, 8.0);
    figures.compare(csv_log, csv_zstd, 0.5);
    figures.compare(json_log, json_zstd, 0.5);
    figures.compare(json_log, append, 0.0);
    for name in [csv_log, csv_sink, json_log, json_sink] {
        let Some(series) = figures.series(name) else { continue };
        let (cpu, rss) = (series.median(Trial::cpu_seconds_per_gigabyte), series.peak_rss_mib_of(PLANT));
        figures.at_most(format!("{name}: CPU of all processes"), cpu, MOST_CPU_SECONDS_PER_GB, "s per GB");
        figures.at_most(
            format!("{name}: peak memory of the agent that reads"),
            rss,
            MOST_AGENT_RSS_MIB,
            "MiB",
        );
    }
    figures.notes.push(format!(
        "The peers carry {} MiB, since they are slower by an order of magnitude; they do not fsync, we do.",
        options.peer_mib
    ));
    Ok(figures)
}

fn peers_folder() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let profile = executable.parent().context("the executable lies in a folder")?;
    Ok(profile.with_file_name("peers"))
}

/// Files of one shape, made before each run.
#[derive(Clone)]
pub(crate) struct Staged(Arc<Stage>);

struct Stage {
    folder: PathBuf,
    shape: Shape,
    large_bytes: u64,
    small_bytes: u64,
    seed: u64,
    made: Mutex<BTreeMap<PathBuf, Bulk>>,
}

impl Staged {
    pub(crate) fn new(folder: &Path, shape: Shape, options: &Options) -> Self {
        Self(Arc::new(Stage {
            folder: folder.to_owned(),
            shape,
            large_bytes: options.mib << 20,
            small_bytes: options.peer_mib << 20,
            seed: options.seed,
            made: Mutex::new(BTreeMap::new()),
        }))
    }

    pub(crate) fn shape(&self) -> Shape {
        self.0.shape
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Makes the files of a run and removes those of the run before. Each run has other content, since a source
    /// knows a file by its content.
    pub(crate) fn stage(&self, run: usize) -> Result<()> {
        let mut made = self.0.made.lock();
        for path in std::mem::take(&mut *made).into_keys() {
            fs::remove_file(path)?;
        }
        for (size, bytes) in [("large", self.0.large_bytes), ("small", self.0.small_bytes)] {
            let path = self.path(size, run);
            let bulk = self.0.shape.write(&path, bytes, self.0.seed.wrapping_add(run as u64))?;
            made.insert(path, bulk);
        }
        Ok(())
    }

    pub(crate) fn large(&self, run: usize) -> Result<(PathBuf, Bulk)> {
        self.made("large", run)
    }

    pub(crate) fn small(&self, run: usize) -> Result<(PathBuf, Bulk)> {
        self.made("small", run)
    }

    fn made(&self, size: &str, run: usize) -> Result<(PathBuf, Bulk)> {
        let path = self.path(size, run);
        let bulk = self.0.made.lock().get(&path).copied().context("the run was not staged")?;
        Ok((path, bulk))
    }

    fn path(&self, size: &str, run: usize) -> PathBuf {
        self.0.folder.join(format!("bulk-{size}-{}-{run}", self.0.shape.name()))
    }
}

/// How far the rows go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Log,
    Sink,
}

struct FilesSubject {
    ours: Rc<AsyncMutex<Ours>>,
    staged: Staged,
    to: Goal,
    drop: PathBuf,
    out: PathBuf,
}

impl FilesSubject {
    async fn add(ours: Rc<AsyncMutex<Ours>>, staged: Staged, to: Goal) -> Result<Self> {
        let shape = staged.shape();
        let word = shape.name().replace('_', "-");
        let (name, stream) = match to {
            Goal::Log => (format!("{word}-log"), format!("bench.{word}.log")),
            Goal::Sink => (format!("{word}-sink"), format!("bench.{word}.sink")),
        };
        let fleet = ours.lock().await;
        let (drop, out) = (fleet.add_source(&name, shape, &stream, &[]).await?, fleet.fleet.join(&name));
        if to == Goal::Sink {
            // As what it was read, one row on a line.
            let roll = json!({ "bytes": "64MiB", "every": "200ms" });
            let mut config = json!({ "path": out, "format": shape.name(), "roll": roll });
            if shape == Shape::Csv {
                config["csv"] = json!({ "header": false });
            }
            fleet.add_route(&name, "file", config, &stream).await?;
        }
        std::mem::drop(fleet);
        Ok(Self { ours, staged, to, drop, out })
    }

    /// Waits until every row stands in a finished file. Files are counted and taken away as they are finished, which
    /// costs little beside writing them.
    async fn wait_finished(&self, expected: u64) -> Result<()> {
        let (started, mut rows) = (Instant::now(), 0);
        loop {
            rows += self.empty_out()?;
            if rows == expected {
                return Ok(());
            }
            ensure!(rows < expected, "{rows} rows came out for {expected}");
            ensure!(started.elapsed() < LIMIT, "{rows} of {expected} rows came out in {LIMIT:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Counts the rows of the finished files and takes them away.
    fn empty_out(&self) -> Result<u64> {
        let mut rows = 0;
        for path in FileReader::new(&self.out).finished()? {
            let bytes = fs::read(&path)?;
            rows += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            fs::remove_file(path)?;
        }
        Ok(rows)
    }
}

impl Subject for FilesSubject {
    fn name(&self) -> String {
        let to = if self.to == Goal::Log { "region log" } else { "file sink" };
        format!("Towpath, {} to {to}", self.staged.shape().name())
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.staged.large(run)?;
            let dropped = self.drop.join(format!("bulk-{run}"));
            let mut ours = self.ours.lock().await;
            let hidden = self.drop.join("bulk.tmp");
            fs::copy(&file, &hidden)?;
            let measurement = ours.measure()?;
            fs::rename(&hidden, &dropped)?;
            if self.to == Goal::Sink {
                self.wait_finished(bulk.rows).await.with_context(|| ours.fleet.post_mortem())?;
            } else {
                ours.wait_archived(&dropped).await?;
            }
            let (elapsed, mut spent) = ours.measured(&measurement)?;
            if self.to == Goal::Sink {
                ours.wait_archived(&dropped).await?;
            } else {
                spent.retain(|process| process.process != CLOUD);
            }
            Ok(Trial::new(elapsed, bulk.bytes, bulk.rows, spent))
        })
    }
}
