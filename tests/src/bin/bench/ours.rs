//! Towpath as a subject: one fleet for all trials, a fresh file for each.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use towpath_tests::data::Shape;
use towpath_tests::fleet::{Fleet, Plan};
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::usage::Usage;

use crate::measure::Spent;

const LIMIT: Duration = Duration::from_secs(900);
/// The environment variable in which agents find the password of the private database servers.
pub(crate) const PASSWORD_VARIABLE: &str = "TOWPATH_BENCH_PASSWORD";
const PASSWORD: &str = "towpath";
const POLL: Duration = Duration::from_millis(2);

/// A fleet that is measured.
pub(crate) struct Ours {
    pub(crate) fleet: Fleet,
}

/// A measurement of the fleet's processes under way.
pub(crate) struct Measurement {
    started: Instant,
    before: Vec<(&'static str, Usage)>,
}

impl Ours {
    /// Starts a control plane and two agents.
    pub(crate) async fn start() -> Result<Self> {
        let agent_environment = vec![(PASSWORD_VARIABLE.to_owned(), PASSWORD.to_owned())];
        let plan = Plan { log: "warn".to_owned(), agent_environment, ..Plan::default() };
        Ok(Self { fleet: Fleet::start(plan).await? })
    }

    /// Makes a source of files of this shape, with its own drop folder, and returns the folder.
    pub(crate) async fn add_source(
        &self,
        name: &str,
        shape: Shape,
        stream: &str,
        key: &[&str],
    ) -> Result<PathBuf> {
        let folder = self.fleet.join("drop").join(name);
        std::fs::create_dir_all(&folder)?;
        let mut rule = json!({ "include": ["bulk-*"], "stream": stream, "format": shape.format() });
        if !key.is_empty() {
            rule["key"] = json!(key);
        }
        let config =
            json!({ "path": folder, "files": [rule], "ready": { "stable_for": "10ms" }, "rescan": "1s" });
        let spec = json!({ "agent": PLANT, "adapter": "file", "config": config });
        self.fleet.apply(&Documents::new().with("Source", name, &spec)).await?;
        Ok(folder)
    }

    /// Makes a sink and a route of the same name.
    pub(crate) async fn add_route(
        &self,
        name: &str,
        adapter: &str,
        config: Value,
        stream: &str,
    ) -> Result<()> {
        let sink = json!({ "agent": CLOUD, "adapter": adapter, "config": config });
        let route = json!({ "streams": [stream], "sink": name, "from": "earliest" });
        self.fleet.apply(&Documents::new().with("Sink", name, &sink).with("Route", name, &route)).await
    }

    /// Removes them again.
    pub(crate) async fn remove_route(&self, name: &str) -> Result<()> {
        self.fleet.api().delete(&format!("/v1/routes/{name}")).await?;
        self.fleet.api().delete(&format!("/v1/sinks/{name}")).await
    }

    /// Begins to measure the processes.
    pub(crate) fn measure(&mut self) -> Result<Measurement> {
        let mut before = vec![("control", self.fleet.control.usage_from_now()?)];
        for name in [PLANT, CLOUD] {
            before.push((name, self.fleet.agent(name).usage_from_now()?));
        }
        Ok(Measurement { started: Instant::now(), before })
    }

    /// Ends a measurement: elapsed time, and what each process used.
    pub(crate) fn measured(&mut self, of: &Measurement) -> Result<(Duration, Vec<Spent>)> {
        let elapsed = of.started.elapsed();
        let mut spent = Vec::new();
        for (name, before) in &of.before {
            let after = match *name {
                "control" => self.fleet.control.usage()?,
                agent => self.fleet.agent(agent).usage()?,
            };
            spent.push(Spent::between(name, *before, after));
        }
        Ok((elapsed, spent))
    }

    /// Rows that the sink agent has made durable since it was started.
    pub(crate) async fn delivered(&mut self) -> Result<u64> {
        let metrics = self.fleet.agent(CLOUD).metrics().await?;
        Ok(metrics.sum("towpath_sink_records_total", "") as u64)
    }

    /// Waits until the sink agent has made so many rows durable in all.
    pub(crate) async fn wait_delivered(&mut self, rows: u64) -> Result<()> {
        let started = Instant::now();
        loop {
            let now = self.delivered().await?;
            if now >= rows {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                anyhow::bail!(
                    "{now} of {rows} rows are delivered after {LIMIT:?}\n{}",
                    self.fleet.post_mortem()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a dropped file was put away, which is done when its rows are durable in the region log.
    pub(crate) async fn wait_archived(&mut self, dropped: &Path) -> Result<()> {
        let started = Instant::now();
        while dropped.exists() {
            if started.elapsed() > LIMIT {
                anyhow::bail!(
                    "{} is still there after {LIMIT:?}\n{}",
                    dropped.display(),
                    self.fleet.post_mortem()
                );
            }
            tokio::time::sleep(POLL).await;
        }
        let name = dropped.file_name().context("a dropped file has a name")?;
        let archived = dropped.with_file_name("archive").join(name);
        ensure!(
            archived.exists(),
            "{} is not in the archive\n{}",
            dropped.display(),
            self.fleet.post_mortem()
        );
        Ok(std::fs::remove_file(archived)?)
    }
}
