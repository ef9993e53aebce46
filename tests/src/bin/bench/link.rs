//! A3: sealed frames from the spool to durable in the region log.
//!
//! The spool is filled while the control plane is away. Measured is the time from the first acknowledgement that reaches
//! the agent to the last one, so that neither finding each other again nor putting the file away is part of it.

pub(crate) mod quinn;

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex as AsyncMutex;
use towpath_tests::data::Shape;
use towpath_tests::scene::PLANT;

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
        "MB are of sealed, compressed frames. Bare quinn discards what it receives; ours is read from the spool, checked, \
         appended and synced before it is acknowledged. Both ends share one machine, so what is left of quinn's speed is \
         what its processor time leaves beside that of an append."
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
            ours.fleet.control.restart()?;
            let first_left = wait_waiting(&mut ours, |rows| rows < bulk.rows).await?;
            let (started, agent) = (Instant::now(), ours.fleet.agent(PLANT).usage_from_now()?);
            let control = ours.fleet.control.usage_from_now()?;
            wait_waiting(&mut ours, |rows| rows == 0).await?;
            let elapsed = started.elapsed();
            let spent = vec![
                Spent::between(PLANT, agent, ours.fleet.agent(PLANT).usage()?),
                Spent::between("control", control, ours.fleet.control.usage()?),
            ];
            ours.wait_archived(&dropped).await?;
            let shipped = (bytes as f64 * first_left as f64 / bulk.rows as f64) as u64;
            Ok(Trial::new(elapsed, shipped, first_left, spent))
        })
    }
}

/// Waits until every row waits in the spool, and returns how many bytes of frames that is.
async fn wait_spooled(ours: &mut Ours, rows: u64) -> Result<u64> {
    wait_waiting(ours, |waiting| waiting >= rows).await?;
    let metrics = ours.fleet.agent(PLANT).metrics().await?;
    Ok(metrics.sum("towpath_source_lag_bytes", "") as u64)
}

/// Waits until the number of rows that the region log does not have yet is as wanted, and returns it.
async fn wait_waiting(ours: &mut Ours, wanted: impl Fn(u64) -> bool) -> Result<u64> {
    let started = Instant::now();
    loop {
        let metrics = ours.fleet.agent(PLANT).metrics().await?;
        let waiting = metrics.sum("towpath_source_lag_records", "") as u64;
        if wanted(waiting) {
            return Ok(waiting);
        }
        ensure!(
            started.elapsed() < LIMIT,
            "after {LIMIT:?}, {waiting} rows wait in the spool\n{}",
            ours.fleet.post_mortem()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
