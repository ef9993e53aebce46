//! The control plane's process.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::api::Api;
use crate::binaries::Binaries;
use crate::fleet::{PATIENCE, Plan};
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::usage::Usage;
use crate::wait::wait_until;

/// A control plane: its data, and its process while it runs.
pub struct Control {
    launch: Launch,
    process: Option<Process>,
    data: PathBuf,
    port: u16,
    metrics_port: u16,
    api: Api,
}

impl Control {
    pub(super) async fn start(binaries: &Binaries, directory: &Path, plan: &Plan) -> Result<Self> {
        let (data, port, metrics_port) = (directory.join("control"), free_port()?, free_port()?);
        let mut launch = Launch::new("control", binaries.control(), directory)
            .arguments(["run", "--listen", &format!("127.0.0.1:{port}")])
            .arguments(["--metrics", &format!("127.0.0.1:{metrics_port}"), "--data"])
            .arguments([&data])
            .environment("TOWPATH_LOG", &plan.log);
        if let Some(config) = &plan.control_config {
            let file = directory.join("control.yaml");
            std::fs::write(&file, config)?;
            launch = launch.arguments(["--config"]).arguments([file]);
        }
        let mut process = launch.start()?;
        let context_file = data.join("admin-context.yaml");
        let api = wait_until("the control plane writes its admin context", PATIENCE, async || {
            still_runs(&mut process)?;
            Ok(if context_file.exists() { Api::from_context(&context_file).ok() } else { None })
        })
        .await
        .with_context(|| process.log_tail(40))?;
        let mut control = Self { launch, process: Some(process), data, port, metrics_port, api };
        control.wait_ready().await?;
        Ok(control)
    }

    /// The port of its API, of enrolment (TCP) and of the link (UDP).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of its metrics.
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The file from which the command line takes address and token.
    pub fn context_file(&self) -> PathBuf {
        self.data.join("admin-context.yaml")
    }

    /// The file with the authority of its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.data.join("ca/ca.pem")
    }

    /// A client of its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// How it is started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage(&mut self) -> Result<Usage> {
        self.process.as_mut().context("the control plane does not run")?.usage()
    }

    /// Begins a new measurement: the peak of its memory is forgotten.
    ///
    /// # Errors
    /// It does not run.
    pub fn usage_from_now(&mut self) -> Result<Usage> {
        self.process.as_mut().context("the control plane does not run")?.usage_from_now()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
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

    /// Starts it again on the same data and ports, without waiting until it is ready.
    ///
    /// # Errors
    /// The executable cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process = Some(self.launch.start()?);
        Ok(())
    }

    /// Waits until it says it is ready.
    ///
    /// # Errors
    /// It ended, or was not ready in time.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let (api, process) =
            (self.api.clone(), self.process.as_mut().context("the control plane does not run")?);
        let ready = wait_until("the control plane is ready", PATIENCE, async || {
            still_runs(process)?;
            Ok(api.is_ready().await.then_some(()))
        });
        ready.await.with_context(|| process.log_tail(40))
    }

    pub(super) fn kill_quietly(&mut self) {
        drop(self.process.take());
    }
}

fn still_runs(process: &mut Process) -> Result<()> {
    if process.is_running() { Ok(()) } else { bail!("the control plane ended by itself") }
}
