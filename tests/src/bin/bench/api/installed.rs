//! A control plane that holds a stock of resources.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use towpath_tests::api::Api;
use towpath_tests::fleet::{Fleet, Plan};

use super::stock::Stock;
use crate::measure::Spent;

/// How long a start may take, with all events to be replayed.
const START_WITHIN: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(2);
/// Nobody is held back by the limits that protect a control plane from one who asks too much.
const CONFIG: &str = "api: { rate: { per_principal: 4000000, per_address: 4000000 } }\n";

/// A control plane that holds a stock of resources.
pub(crate) struct Installed {
    pub(crate) fleet: Fleet,
    pub(crate) stock: Stock,
    /// The events with which it was filled.
    pub(crate) events: u64,
    /// Resident memory before it was filled, in bytes.
    pub(crate) empty_rss: u64,
}

impl Installed {
    /// Starts it, stops it, fills its catalog and starts it again.
    pub(crate) async fn start(resources: u64, events: u64, seed: u64) -> Result<Self> {
        let (log, agents, control_config) = ("warn".to_owned(), Vec::new(), Some(CONFIG.to_owned()));
        let mut fleet = Fleet::start(Plan { log, agents, control_config, ..Plan::default() }).await?;
        let empty_rss = fleet.control.usage()?.rss;
        fleet.control.terminate()?;
        let (stock, data, filling) =
            (Stock { resources, seed }, fleet.control.data().to_owned(), Instant::now());
        tokio::task::spawn_blocking(move || stock.fill(&data, events)).await??;
        println!("{resources} resources by {events} events: {:.1} s", filling.elapsed().as_secs_f64());
        let mut installed = Self { fleet, stock, events, empty_rss };
        installed.start_again().await?;
        Ok(installed)
    }

    /// Starts it, and returns how long it took until it was ready, and what that cost.
    pub(crate) async fn start_again(&mut self) -> Result<(Duration, Spent)> {
        let started = Instant::now();
        self.fleet.control.restart()?;
        while !self.fleet.api().is_ready().await {
            ensure!(self.fleet.control.is_running(), "the control plane ended\n{}", self.fleet.post_mortem());
            ensure!(
                started.elapsed() < START_WITHIN,
                "the control plane is not ready after {START_WITHIN:?}"
            );
            tokio::time::sleep(POLL).await;
        }
        let (took, used) = (started.elapsed(), self.fleet.control.usage()?);
        Ok((took, Spent::between("control", towpath_tests::usage::Usage::default(), used)))
    }

    /// Clients with a connection of their own each.
    pub(crate) fn clients(&self, count: usize) -> Result<Vec<Api>> {
        let context = self.fleet.control.context_file();
        (0..count).map(|_| Api::from_context(&context)).collect::<Result<_>>().context("no client")
    }
}
