//! `towpath-agent`: the agent's command line.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::Registry;
use towpath_agent::control::enrol::{EnrolOptions, enrol};
use towpath_agent::control::identity_store::IdentityStore;
use towpath_agent::control::server_address::ServerAddress;
use towpath_agent::control::token::EnrolmentToken;
use towpath_agent::log_ring::LogRing;
use towpath_agent::run::{Options, run};
use towpath_agent::{doctor, telemetry};
use towpath_record::{ByteSize, ResourceName};
use towpath_resource::api::Verdict;
use towpath_spool::SpoolConfig;

/// The exit code for what was looked at and is not as it should be.
const NOT_AS_IT_SHOULD: u8 = 3;

/// Reads and writes the systems beside it, and holds one outbound link to the control plane.
#[derive(Parser)]
#[command(name = "towpath-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes this machine an agent, with a one-time token from `towpath token create`.
    #[command(alias = "enrol")]
    Enroll(Enroll),
    /// Runs the agent.
    Run(Run),
    /// Looks for what keeps this agent from working: what is wrong, and what to do. Exit code 3 if anything. Needs no link,
    /// and may run beside the agent.
    Doctor(Doctor),
    /// Looks at the spool.
    Spool {
        #[command(subcommand)]
        command: SpoolCommand,
    },
}

#[derive(Args)]
struct State {
    /// Where the agent keeps its identity, spool and ledger.
    #[arg(long, env = "TOWPATH_AGENT_STATE", default_value = "/var/lib/towpath-agent")]
    state: PathBuf,
}

#[derive(Args)]
struct Enroll {
    #[command(flatten)]
    state: State,
    /// The control plane, as HOST or HOST:PORT.
    #[arg(long)]
    server: ServerAddress,
    /// The one-time token. Reads it from standard input when it is `-`.
    #[arg(long, env = "TOWPATH_TOKEN", hide_env_values = true)]
    token: String,
    /// The agent's name. Default: this machine's host name.
    #[arg(long)]
    name: Option<ResourceName>,
    /// Replaces an enrolment that is there.
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    state: State,
    /// Serves /healthz and /metrics on this address. Without it, nothing listens.
    #[arg(long, env = "TOWPATH_AGENT_METRICS")]
    metrics: Option<SocketAddr>,
    /// Most bytes that the spool may hold; when it is full, sources wait.
    #[arg(long, default_value = "10GiB")]
    spool_max_bytes: ByteSize,
    /// Bytes that the spool leaves free on its disk.
    #[arg(long, default_value = "256MiB")]
    spool_min_free: ByteSize,
    /// Writes logs as JSON.
    #[arg(long)]
    log_json: bool,
}

#[derive(Args)]
struct Doctor {
    #[command(flatten)]
    state: State,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Subcommand)]
enum SpoolCommand {
    /// Reads every frame in the spool and verifies it. Changes nothing; the agent may be running.
    Check(State),
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Without a backtrace: what an admin needs is the cause and the remedy.
            let _ = writeln!(std::io::stderr(), "towpath-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        .build()
        .context("the runtime cannot be started")?;
    match cli.command {
        Command::Enroll(command) => runtime.block_on(enroll(command))?,
        Command::Run(command) => {
            let log = telemetry::init_logging(command.log_json);
            runtime.block_on(work(command, log))?;
        }
        Command::Doctor(command) => return runtime.block_on(examine(command)),
        Command::Spool { command: SpoolCommand::Check(state) } => check(&state.state)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The adapters that this agent was built with, a line each.
fn registry() -> Registry {
    Registry::new(vec![
        towpath_adapter_file::adapter(),
        #[cfg(feature = "mysql")]
        towpath_adapter_mysql::adapter(),
        #[cfg(feature = "mysql")]
        towpath_adapter_mysql::query_adapter(),
        #[cfg(feature = "postgres")]
        towpath_adapter_postgres::adapter(),
        #[cfg(feature = "postgres")]
        towpath_adapter_postgres::query_adapter(),
        #[cfg(feature = "sqlite")]
        towpath_adapter_sqlite::adapter(),
        #[cfg(feature = "sqlite")]
        towpath_adapter_sqlite::query_adapter(),
        #[cfg(feature = "odbc")]
        towpath_adapter_odbc::adapter(),
    ])
}

async fn enroll(command: Enroll) -> anyhow::Result<()> {
    let token = match command.token.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("the token cannot be read")?,
        token => token.to_owned(),
    };
    let name = match command.name {
        Some(name) => name,
        None => host_name()?,
    };
    let token: EnrolmentToken = token.trim().parse()?;
    let store = IdentityStore::new(&command.state.state);
    let options = EnrolOptions { server: command.server, token, name, force: command.force };
    let identity = enrol(&store, options).await?;
    say(&format!(
        "enrolled as {} ({})\nstart it with: towpath-agent run --state {}\n",
        identity.enrolment().name,
        identity.uri(),
        command.state.state.display()
    ))
}

fn host_name() -> anyhow::Result<ResourceName> {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy().to_lowercase();
    let label = host.split('.').next().unwrap_or_default().to_owned();
    ResourceName::new(label).context("this machine's host name cannot name the agent; choose one with --name")
}

async fn work(command: Run, log: LogRing) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!("stops");
        asked.cancel();
    });
    let spool = SpoolConfig {
        max_bytes: command.spool_max_bytes.0,
        min_free_bytes: command.spool_min_free.0,
        ..SpoolConfig::default()
    };
    let options = Options { state_dir: command.state.state, spool, metrics: command.metrics, log };
    run(registry(), options, stop).await
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

async fn examine(command: Doctor) -> anyhow::Result<ExitCode> {
    let findings = doctor::examine(&registry(), &command.state.state).await;
    match command.output {
        Form::Json => say(&format!("{}\n", serde_json::to_string_pretty(&findings)?))?,
        Form::Text => findings.iter().try_for_each(|finding| say(&format!("{finding}\n")))?,
    }
    let is_well = findings.iter().all(|finding| finding.verdict != Verdict::Failed);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(NOT_AS_IT_SHOULD) })
}

fn check(state_dir: &Path) -> anyhow::Result<()> {
    let report = towpath_spool::check(&state_dir.join("spool"))?;
    let mut text = String::new();
    for lane in &report.lanes {
        let verdict = if lane.is_sound() { "sound" } else { "DAMAGED" };
        let range = lane.first.zip(lane.last).map_or_else(
            || "empty".to_owned(),
            |(first, last)| format!("frames {} to {}", first.seq, last.seq),
        );
        text += &format!("lane {}: {verdict}, {} frames, {range}\n", lane.lane, lane.frames);
        for fault in &lane.faults {
            text += &format!("  {fault}\n");
        }
    }
    text += if report.is_sound() { "the spool is sound\n" } else { "the spool is damaged\n" };
    say(&text)?;
    anyhow::ensure!(
        report.is_sound(),
        "start the agent: it sets damaged segments aside and reads what they held from the source again"
    );
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
