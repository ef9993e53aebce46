//! The control plane's API: reads, changes and watching with many resources, and what many events cost at a start.
//!
//! Two control planes run, one with a tenth of the resources and events of the other, and are asked in turn with the
//! yardsticks. So what grows with the number of resources, and what does not, is seen in one run.

pub(crate) mod bare;
mod ask;
mod stock;
mod installed;
mod loads;
mod rebuild;
mod figures;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::measure::Figures;
use bare::Bare;
use figures::Told;
use installed::Installed;
use loads::Everyone;

/// How much smaller the smaller control plane is.
const TENTH: u64 = 10;

/// What this bench takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiOptions {
    /// How many resources there are.
    #[arg(long, default_value_t = 50_000)]
    resources: u64,
    /// How many events made them what they are.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Seed of what is changed and asked for.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often each is measured; the median is told.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How long each is measured, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    window_ms: u64,
    /// Folder of `benchmarks.md`, to be renewed with the figures.
    #[arg(long)]
    pub(crate) docs: Option<PathBuf>,
}

impl ApiOptions {
    fn arguments(&self) -> String {
        let Self { resources, events, seed, runs, .. } = self;
        format!("--resources {resources} --events {events} --seed {seed} --runs {runs}")
    }
}

pub(crate) async fn run(options: &ApiOptions) -> Result<Figures> {
    let ApiOptions { resources, events, seed, runs, .. } = *options;
    ensure!(
        resources >= 1_000 && events >= 2 * resources,
        "at least 1000 resources and twice as many events"
    );
    let mut small = Installed::start(resources / TENTH, events / TENTH, seed).await?;
    let mut large = Installed::start(resources, events, seed).await?;
    let small_starts = rebuild::measure(&mut small, runs).await?;
    let large_starts = rebuild::measure(&mut large, runs).await?;
    let mut bare = Bare::start(&large).await?;
    let series = Everyone::new(options, &mut small, &mut large, &mut bare)?.in_turn().await?;
    let mut figures = Figures::of("api", "The control plane's API", &options.arguments());
    Told { series, small: (small_starts, small), large: (large_starts, large) }.into_figures(&mut figures);
    Ok(figures)
}
