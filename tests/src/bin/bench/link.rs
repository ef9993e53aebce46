//! A3: sealed frames from the spool to durable in the region log.
//!
//! The spool is filled while the control plane is away. Measured is the time from the first byte that reaches the region
//! log to the release of the last file, which the agent does when the log says that everything is durable.

pub(crate) mod quinn;

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex as AsyncMutex;
use towpath_tests::data::Shape;
use towpath_tests::scene::PLANT;
use walkdir::WalkDir;

use crate::Options;
use crate::files::Staged;
use crate::measure::{Figures, Spent, Subject, Trial, in_turn};
use crate::ours::Ours;
use crate::yardstick::Append;

const LIMIT: Duration = Duration::from_secs(300);

pub(crate) async fn run(options: &Options) -> Result<Figures> {
    let mut figures = Figures::new("link", "A3: the spool to the region log over QUIC", options);
    let folder = tempfile::Builder::new().prefix("towpath-bench-").tempdir()?;
    let staged = Staged::new(folder.path(), Shape::Csv, options);
    let ours = Rc::new(AsyncMutex::new(Ours::start().await?));
    let drop = ours.lock().await.add_source("csv", Shape::Csv, "bench.csv", &[]).await?;
    let frame_bytes = Rc::new(std::cell::Cell::new(0));
    let link = LinkSubject { ours, staged: staged.clone(), drop, frame_bytes: frame_bytes.clone() };
    let bare = quinn::Bare { folder: folder.path().to_owned(), bytes: frame_bytes };
    let append = Append(staged.clone());
    let (ours_name, bare_name, append_name) = (link.name(), bare.name(), append.name());
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(link), Box::new(bare), Box::new(append)];
    figures.series = in_turn(&mut subjects, options.runs, async |run| staged.stage(run)).await?;
    figures.compare(&ours_name, &bare_name, 0.8);
    figures.compare(&ours_name, &append_name, 0.8);
    figures.notes.push(
        "MB are of sealed, compressed frames. Bare quinn discards what it receives; ours is durable, which cannot be \
         faster than the disk under it appends and syncs."
            .to_owned(),
    );
    Ok(figures)
}

struct LinkSubject {
    ours: Rc<AsyncMutex<Ours>>,
    staged: Staged,
    drop: std::path::PathBuf,
    /// How many bytes of frames the last trial shipped, for bare quinn to ship as many.
    frame_bytes: Rc<std::cell::Cell<u64>>,
}

impl Subject for LinkSubject {
    fn name(&self) -> String {
        "Towpath, spool to durable in the region log".to_owned()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.staged.large(run)?;
            let mut ours = self.ours.lock().await;
            ours.fleet.agent(PLANT).wait_linked().await?;
            ours.fleet.control.terminate()?;
            let (hidden, dropped) = (self.drop.join("bulk.tmp"), self.drop.join(format!("bulk-{run}")));
            std::fs::copy(&file, &hidden)?;
            std::fs::rename(&hidden, &dropped)?;
            let bytes = wait_spooled(&mut ours, bulk.rows).await?;
            self.frame_bytes.set(bytes);
            let restarted = SystemTime::now();
            ours.fleet.control.restart()?;
            wait_first_append(ours.fleet.control.data(), restarted).await?;
            let (started, agent) = (Instant::now(), ours.fleet.agent(PLANT).usage_from_now()?);
            let control = ours.fleet.control.usage_from_now()?;
            ours.wait_archived(&dropped).await?;
            let elapsed = started.elapsed();
            let spent = vec![
                Spent::between(PLANT, agent, ours.fleet.agent(PLANT).usage()?),
                Spent::between("control", control, ours.fleet.control.usage()?),
            ];
            Ok(Trial::new(elapsed, bytes, bulk.rows, spent))
        })
    }
}

/// Waits until every row waits in the spool, and returns how many bytes of frames that is.
async fn wait_spooled(ours: &mut Ours, rows: u64) -> Result<u64> {
    let started = Instant::now();
    loop {
        let metrics = ours.fleet.agent(PLANT).metrics().await?;
        if metrics.sum("towpath_source_lag_records", "") as u64 >= rows {
            return Ok(metrics.sum("towpath_source_lag_bytes", "") as u64);
        }
        ensure!(
            started.elapsed() < LIMIT,
            "the spool was not filled in {LIMIT:?}\n{}",
            ours.fleet.post_mortem()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_first_append(data: &Path, after: SystemTime) -> Result<()> {
    let started = Instant::now();
    loop {
        let appended = WalkDir::new(data).into_iter().flatten().any(|entry| {
            let frames = entry.path().parent().is_some_and(|log| log.ends_with("frames"));
            frames && entry.metadata().ok().and_then(|m| m.modified().ok()).is_some_and(|at| at > after)
        });
        if appended {
            return Ok(());
        }
        ensure!(started.elapsed() < LIMIT, "nothing reached the region log in {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
