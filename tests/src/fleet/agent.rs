//! One agent's process.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::binaries::Binaries;
use crate::fleet::{PATIENCE, Plan};
use crate::metrics::Metrics;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::usage::Usage;
use crate::wait::wait_until;

/// An agent: its state, and its process while it runs.
pub struct Agent {
    name: String,
    binaries: Binaries,
    directory: PathBuf,
    state: PathBuf,
    launch: Launch,
    process: Option<Process>,
    metrics_port: u16,
}

impl Agent {
    /// An agent that is not enrolled yet, with its state below `directory`.
    ///
    /// # Errors
    /// No port is free.
    pub fn new(name: &str, binaries: &Binaries, directory: &Path, plan: &Plan) -> Result<Self> {
        let (state, metrics_port) = (directory.join(name), free_port()?);
        let mut launch = Launch::new(name, binaries.agent(), directory)
            .arguments(["run", "--metrics", &format!("127.0.0.1:{metrics_port}"), "--state"])
            .arguments([&state])
            .arguments(&plan.agent_arguments)
            .environment("TOWPATH_LOG", &plan.log)
            // As in its packages.
            .environment("MALLOC_ARENA_MAX", "1");
        launch.environment.extend(plan.agent_environment.iter().cloned());
        Ok(Self {
            name: name.to_owned(),
            binaries: binaries.clone(),
            directory: directory.to_owned(),
            state,
            launch,
            process: None,
            metrics_port,
        })
    }

    /// Enrols it.
    ///
    /// # Errors
    /// It was refused; what it said is told.
    pub fn enrol(&self, port: u16, token: &str) -> Result<()> {
        Launch::new(format!("{}-enroll", self.name), self.binaries.agent(), &self.directory)
            .arguments(["enroll", "--server", &format!("127.0.0.1:{port}"), "--token", token])
            .arguments(["--name", &self.name, "--state"])
            .arguments([&self.state])
            .run(PATIENCE)
            .map(drop)
    }

    /// Another agent, not started yet, with a copy of this one's identity and nothing else: what a thief would have.
    ///
    /// # Errors
    /// The identity cannot be copied, or no port is free.
    pub fn double(&self) -> Result<Self> {
        let (name, plan) = (format!("{}-double", self.name), Plan::default());
        let double = Self::new(&name, &self.binaries, &self.directory, &plan)?;
        let (from, to) = (self.state.join("identity"), double.state.join("identity"));
        for entry in WalkDir::new(&from) {
            let entry =
                entry.with_context(|| format!("the identity of agent {} cannot be read", self.name))?;
            let copy = to.join(entry.path().strip_prefix(&from)?);
            match entry.file_type().is_dir() {
                true => std::fs::create_dir_all(&copy)?,
                false => drop(std::fs::copy(entry.path(), &copy)?),
            }
        }
        Ok(double)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The port of its metrics.
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// What it counts.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.metrics_port).await
    }

    /// Waits until it is linked to the control plane.
    ///
    /// # Errors
    /// It was not in time.
    pub async fn wait_linked(&self) -> Result<()> {
        let what = format!("agent {} is linked", self.name);
        wait_until(&what, PATIENCE, async || Ok(self.is_linked().await.then_some(()))).await
    }

    /// Whether it is linked to the control plane, as far as it knows.
    pub async fn is_linked(&self) -> bool {
        self.metrics().await.is_ok_and(|metrics| metrics.sum("towpath_agent_linked", "") > 0.0)
    }

    /// How it is started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How it is started, to be changed before the next start.
    pub fn launch_mut(&mut self) -> &mut Launch {
        &mut self.launch
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage(&mut self) -> Result<Usage> {
        self.process.as_mut().with_context(|| format!("agent {} does not run", self.name))?.usage()
    }

    /// Begins a new measurement: the peak of its memory is forgotten.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage_from_now(&mut self) -> Result<Usage> {
        self.process.as_mut().with_context(|| format!("agent {} does not run", self.name))?.usage_from_now()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Starts it.
    ///
    /// # Errors
    /// The executable cannot be started.
    pub fn start(&mut self) -> Result<()> {
        self.process = Some(self.launch.start()?);
        Ok(())
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It did not, or ended badly.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.terminate(PATIENCE).map(drop))
    }
}
