//! A control plane and its agents as separate processes in a fresh directory.

mod agent;
mod control;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::api::Api;
use crate::binaries::Binaries;
use crate::process::{Launch, log_tail};
use crate::resources::Documents;
use crate::small_disk::SmallDisk;

pub use agent::Agent;
pub use control::Control;

/// How long a start, an enrolment or a stop may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

const LOG_LINES: usize = 25;

/// How a fleet is set up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The agents' names; each is in a site of the same name.
    pub agents: Vec<String>,
    /// The control plane's configuration file, if it shall have one.
    pub control_config: Option<String>,
    /// More arguments for each agent's `run`.
    pub agent_arguments: Vec<String>,
    /// Environment variables of each agent.
    pub agent_environment: Vec<(String, String)>,
    /// What `TOWPATH_LOG` is set to.
    pub log: String,
    /// Small disks to mount below the fleet's directory before anything starts: folder and size in bytes.
    pub small_disks: Vec<(String, u64)>,
}

impl Default for Plan {
    fn default() -> Self {
        let agents = ["plant", "cloud"].map(str::to_owned).to_vec();
        Self {
            agents,
            control_config: None,
            agent_arguments: Vec::new(),
            agent_environment: Vec::new(),
            log: "info".to_owned(),
            small_disks: Vec::new(),
        }
    }
}

/// A running fleet. Dropped means killed; its directory stays when a test failed.
pub struct Fleet {
    /// The control plane.
    pub control: Control,
    /// The agents, in the order of the plan.
    pub agents: Vec<Agent>,
    binaries: Binaries,
    small_disks: Vec<SmallDisk>,
    directory: Option<tempfile::TempDir>,
    plan: Plan,
}

impl Fleet {
    /// Starts a control plane, enrols the agents and starts them.
    ///
    /// # Errors
    /// A process did not come up; the end of its log is told.
    pub async fn start(plan: Plan) -> Result<Self> {
        let mut fleet = Self::start_control(plan).await?;
        for name in fleet.plan.agents.clone() {
            let port = fleet.control.port();
            let added = fleet.add_agent(&name, port).await;
            added.with_context(|| fleet.post_mortem())?;
        }
        Ok(fleet)
    }

    /// Starts a control plane without agents.
    ///
    /// # Errors
    /// It did not come up.
    pub async fn start_control(plan: Plan) -> Result<Self> {
        let binaries = Binaries::find()?;
        let directory = tempfile::Builder::new().prefix("towpath-fleet-").tempdir()?;
        let mount =
            |(folder, bytes): &(String, u64)| SmallDisk::mount(&directory.path().join(folder), *bytes);
        let small_disks = plan.small_disks.iter().map(mount).collect::<Result<_>>()?;
        let control = Control::start(&binaries, directory.path(), &plan).await?;
        Ok(Self { control, agents: Vec::new(), binaries, small_disks, directory: Some(directory), plan })
    }

    /// Enrols an agent in a site of its name, by way of `port`, and starts it.
    ///
    /// # Errors
    /// It was refused or did not come up.
    pub async fn add_agent(&mut self, name: &str, port: u16) -> Result<()> {
        self.apply(&Documents::new().with("Site", name, &serde_json::json!({}))).await?;
        let token = self.api().create_token(name).await?;
        let mut agent = Agent::new(name, &self.binaries, self.path(), &self.plan)?;
        agent.enrol(port, &token)?;
        agent.start()?;
        self.agents.push(agent);
        Ok(())
    }

    /// The client of the control plane's API.
    pub fn api(&self) -> &Api {
        self.control.api()
    }

    /// Applies resources.
    ///
    /// # Errors
    /// One of them was refused.
    pub async fn apply(&self, documents: &Documents) -> Result<()> {
        self.api().apply(&documents.to_yaml()).await.map(drop)
    }

    /// An agent by its name.
    ///
    /// # Panics
    /// There is no such agent in the plan.
    pub fn agent(&mut self, name: &str) -> &mut Agent {
        self.agents.iter_mut().find(|agent| agent.name() == name).expect("the plan names the agent")
    }

    /// The fleet's directory.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("it is taken only when the fleet is dropped").path()
    }

    /// A path below the fleet's directory.
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path().join(below)
    }

    /// The small disks of the plan, in its order.
    pub fn small_disks(&self) -> &[SmallDisk] {
        &self.small_disks
    }

    /// The executables under test.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The admins' command line with the admin's context, to be given arguments.
    pub fn cli(&self) -> std::process::Command {
        let mut command = std::process::Command::new(self.binaries.cli());
        command.env("TOWPATH_CONTEXT", self.control.context_file()).stdin(std::process::Stdio::null());
        command
    }

    /// Runs the command line and returns what it printed.
    ///
    /// # Errors
    /// It ended badly; what it printed to its error output is told.
    pub fn run_cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli().args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "towpath {} ended with {}: {said}",
            arguments.join(" "),
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The end of every log.
    pub fn post_mortem(&self) -> String {
        let launches = std::iter::once(self.control.launch()).chain(self.agents.iter().map(Agent::launch));
        launches.map(|launch: &Launch| log_tail(&launch.name, &launch.log, LOG_LINES) + "\n").collect()
    }

    /// Keeps the directory when the fleet is dropped, and says where it is.
    pub fn keep(&mut self) -> Option<PathBuf> {
        self.directory.as_mut().map(|directory| {
            directory.disable_cleanup(true);
            directory.path().to_owned()
        })
    }
}

impl Drop for Fleet {
    #[expect(clippy::print_stderr, reason = "a failed test tells where its remains are")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.keep();
            eprintln!("{}\nthe fleet's directory is kept: {kept:?}", self.post_mortem());
        }
        // Processes first, so that none writes into a directory that is being removed.
        self.agents.clear();
        self.control.kill_quietly();
        self.small_disks.clear();
        drop(self.directory.take());
    }
}
