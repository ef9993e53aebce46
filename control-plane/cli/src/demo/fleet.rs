//! Starts a control plane and two agents, enrols the agents and tells them what to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use super::control::{Control, ControlError};
use super::crm::Crm;
use super::place::Place;
use super::processes::{ProcessError, Processes, command};
use super::programs::Programs;
use super::resources::{self, CLOUD, Document, PLANT};

/// How long a start, an enrolment or a connection may take, on a busy machine and a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const CONTROL: &str = "control";

/// The fleet did not come up.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A process is not as it should be.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The control plane said no.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A file of resources cannot be written.
    #[error("the resources cannot be written to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something took too long.
    #[error("{what} took longer than {} s; {} may say why", PATIENCE.as_secs(), log.display())]
    Late {
        /// What did.
        what: String,
        /// A log that may say why.
        log: PathBuf,
    },
    /// An agent could not be enrolled.
    #[error("agent {agent} could not be enrolled: {said}")]
    Enrol {
        /// The agent.
        agent: &'static str,
        /// What it said.
        said: String,
    },
}

/// Starts everything and returns the way to the control plane. Each step is told.
pub(super) async fn start(
    place: &Place,
    programs: &Programs,
    crm: &Crm,
    processes: &mut Processes,
    say: &mut impl FnMut(&str),
) -> Result<Control, FleetError> {
    say("starts the control plane");
    // Port 0: the control plane takes one that is free on TCP and UDP, and writes it into the admin's context.
    let arguments = ["run", "--listen", "127.0.0.1:0", "--data"];
    let program = program(&programs.control, &arguments, &place.control_data());
    processes.start(CONTROL, program, place.log(CONTROL))?;
    let control = wait_ready(place, processes).await?;
    apply(place, &control, &resources::sites()).await?;
    for agent in [PLANT, CLOUD] {
        say(&format!("enrols and starts agent {agent}"));
        let token = control.token(agent).await?;
        enrol(agent, &place.agent_state(agent), &programs.agent, &control, &token).await?;
        let program = self::program(&programs.agent, &["run", "--state"], &place.agent_state(agent));
        processes.start(agent, program, place.log(agent))?;
    }
    wait_connected(place, processes, &control).await?;
    say("applies two sources, two sinks and three routes");
    for document in resources::flows(place).into_iter().chain([crm.document(place)]) {
        apply(place, &control, &document).await?;
    }
    Ok(control)
}

fn program(program: &Path, words: &[&str], path: &Path) -> Command {
    let mut command = command(program);
    command.args(words).arg(path);
    command
}

async fn wait_ready(place: &Place, processes: &mut Processes) -> Result<Control, FleetError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        processes.check()?;
        if place.context().exists() {
            let control = Control::from_context(&place.context())?;
            if control.is_ready().await {
                return Ok(control);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    Err(FleetError::Late { what: "the start of the control plane".to_owned(), log: place.log(CONTROL) })
}

async fn wait_connected(
    place: &Place,
    processes: &mut Processes,
    control: &Control,
) -> Result<(), FleetError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        processes.check()?;
        let fleet = control.fleet().await?;
        let is_connected =
            |name: &str| fleet.agents.iter().any(|agent| agent.name.as_str() == name && agent.connected);
        let Some(missing) = [PLANT, CLOUD].into_iter().find(|name| !is_connected(name)) else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let what = format!("the connection of agent {missing}");
            return Err(FleetError::Late { what, log: place.log(missing) });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Keeps the resources for the user, then applies them.
async fn apply(place: &Place, control: &Control, document: &Document) -> Result<(), FleetError> {
    let path = place.resources().join(document.file);
    fs::write(&path, &document.text).map_err(|source| FleetError::Write { path: path.clone(), source })?;
    Ok(control.apply(&path, &document.text).await?)
}

async fn enrol(
    agent: &'static str,
    state: &Path,
    program: &Path,
    control: &Control,
    token: &str,
) -> Result<(), FleetError> {
    let failed = |said: String| FleetError::Enrol { agent, said };
    let mut command = tokio::process::Command::from(command(program));
    // The token goes through a pipe, where a list of processes does not show it.
    command
        .args(["enroll", "--name", agent, "--token", "-", "--server", control.address(), "--state"])
        .arg(state);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // An agent that ended before it read the token says why itself.
            let _ = stdin.write_all(token.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let Output { status, stderr, .. } = match timeout(PATIENCE, run).await {
        Ok(ended) => ended.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("{status}: {}", String::from_utf8_lossy(&stderr).trim())))
}
