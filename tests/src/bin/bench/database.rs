//! A database as the source: what its benches take, and how a source of ours reads it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use towpath_tests::resources::Documents;
use towpath_tests::scene::PLANT;

use crate::ours::Ours;

/// How long one step of a bench of a database may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(3600);
/// How often it is looked at whether a step is done. To look costs the processors that are measured.
pub(crate) const POLL: Duration = Duration::from_millis(25);

/// Most memory of an agent, whatever a database asks of it.
pub(crate) const MOST_MIB: f64 = 128.0;
/// How many rows with long values there are.
pub(crate) const LONG_ROWS: u64 = 4;
/// A value of 100 MB, and one whose row a record just holds, in pieces of 32 bytes.
pub(crate) const LONG_VALUES: [(&str, u64); 2] =
    [("values of 100 MB", 3_125_000), ("rows of 7.5 MiB", 245_000)];

/// What every bench of a database takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct DatabaseOptions {
    /// How many rows, changes or transactions; each bench has its own number by default.
    #[arg(long)]
    pub(crate) rows: Option<u64>,
    /// Seed of the data.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How often each is measured; the median is told.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Folder of `benchmarks.md`, to be renewed with the figures.
    #[arg(long)]
    pub(crate) docs: Option<PathBuf>,
}

impl DatabaseOptions {
    /// The options as they are given to run a bench again.
    pub(crate) fn arguments(&self, rows: u64) -> String {
        format!("--rows {rows} --seed {} --runs {}", self.seed, self.runs)
    }
}

/// Adds a source at the agent of the plant.
pub(crate) async fn add_source(ours: &Ours, name: &str, adapter: &str, config: Value) -> Result<()> {
    let spec = json!({ "agent": PLANT, "adapter": adapter, "config": config });
    ours.fleet.apply(&Documents::new().with("Source", name, &spec)).await
}

/// Removes it again.
pub(crate) async fn remove_source(ours: &Ours, name: &str) -> Result<()> {
    ours.fleet.api().delete(&format!("/v1/sources/{name}")).await
}

/// Waits until a source has emitted so many records and dead letters, and the region log has them all.
pub(crate) async fn wait_in_log(ours: &mut Ours, source: &str, records: u64) -> Result<()> {
    let all = |read, waiting| read >= records && waiting == 0;
    let read = wait_until(ours, source, all).await?;
    ensure!(read == records, "{source} emitted {read} records for {records}");
    Ok(())
}

/// Waits until the region log has some of a source's records, and returns how many.
pub(crate) async fn wait_first_in_log(ours: &mut Ours, source: &str) -> Result<u64> {
    let mut there = 0;
    let some = |read: u64, waiting| {
        there = read.saturating_sub(waiting);
        there > 0
    };
    wait_until(ours, source, some).await?;
    Ok(there)
}

/// Waits for what a source has read, and how much of it waits for the region log. Returns what was read.
async fn wait_until(ours: &mut Ours, source: &str, mut is_so: impl FnMut(u64, u64) -> bool) -> Result<u64> {
    let started = Instant::now();
    loop {
        let metrics = ours.fleet.agent(PLANT).metrics().await?;
        let of = |name: &str| metrics.sum(name, source) as u64;
        let read = of("towpath_source_records_total") + of("towpath_source_dead_letters_total");
        let waiting = of("towpath_source_lag_records").max(of("towpath_source_lag_frames"));
        if is_so(read, waiting) {
            return Ok(read);
        }
        ensure!(
            started.elapsed() < LIMIT,
            "{source} has emitted {read} records, and {waiting} of them wait\n{}",
            ours.fleet.post_mortem()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// The peak of the plant's agent, in MiB, while a new source copies so many rows and follows a change of so many.
pub(crate) async fn peak_mib(
    ours: &mut Ours,
    (name, adapter, config): (&str, &str, Value),
    (copied, changed): (u64, u64),
    change: impl AsyncFnOnce() -> Result<()>,
) -> Result<f64> {
    let measurement = ours.measure()?;
    add_source(ours, name, adapter, config).await?;
    wait_in_log(ours, name, copied).await?;
    change().await?;
    wait_in_log(ours, name, copied + changed).await?;
    let (_, spent) = ours.measured(&measurement)?;
    remove_source(ours, name).await?;
    Ok(spent.iter().filter(|process| process.process == PLANT).map(|process| process.peak_rss_mib).sum())
}
