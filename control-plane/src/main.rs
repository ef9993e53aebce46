//! `towpath-control`: the control plane's command line.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use towpath_control::api::openapi::document;
use towpath_control::bootstrap;
use towpath_control::config::ControlConfig;
use towpath_control::serve::{Options, serve};
use tracing_subscriber::EnvFilter;

/// Environment variable with the log filter, in the syntax of `tracing_subscriber::EnvFilter`.
const LOG_ENV: &str = "TOWPATH_LOG";

/// Decides where data may live, who gets it, and that it arrives once and in order.
#[derive(Parser)]
#[command(name = "towpath-control", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the control plane.
    Run(Run),
    /// Makes a new token for the first admin, when the old one is lost or was taken back. Old ones hold no longer.
    AdminToken(AdminToken),
    /// Prints the OpenAPI document of the API.
    Openapi,
}

#[derive(Args)]
struct AdminToken {
    /// Takes the old token back and makes a new one. The control plane must not run meanwhile.
    #[arg(long, required = true)]
    reset: bool,
    /// Where the control plane keeps everything.
    #[arg(long, env = "TOWPATH_CONTROL_DATA", default_value = "/var/lib/towpath-control")]
    data: PathBuf,
}

#[derive(Args)]
struct Run {
    /// Where it keeps everything: its CA, the catalog, the region's log.
    #[arg(long, env = "TOWPATH_CONTROL_DATA", default_value = "/var/lib/towpath-control")]
    data: PathBuf,
    /// Where it listens: the API and enrolment on TCP, agents' links on UDP, the same port number.
    #[arg(long, env = "TOWPATH_CONTROL_LISTEN", default_value = "0.0.0.0:7443")]
    listen: SocketAddr,
    /// Serves /metrics and /healthz without authentication on this address. Without it, only the API port has them.
    #[arg(long, env = "TOWPATH_CONTROL_METRICS")]
    metrics: Option<SocketAddr>,
    /// The configuration file; defaults are used without it.
    #[arg(long, env = "TOWPATH_CONTROL_CONFIG")]
    config: Option<PathBuf>,
    /// Writes logs as JSON.
    #[arg(long)]
    log_json: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(command) => start(command),
        Command::AdminToken(command) => bootstrap::reset_admin(&command.data),
        Command::Openapi => print_document(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a backtrace: what an admin needs is the cause and the remedy.
            let _ = writeln!(std::io::stderr(), "towpath-control: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Run) -> anyhow::Result<()> {
    init_logging(command.log_json);
    let config = command.config.as_deref().map(ControlConfig::read).transpose()?.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(async move {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        tokio::spawn(async move {
            stop_signal().await;
            tracing::info!("stops");
            asked.cancel();
        });
        let options =
            Options { data_dir: command.data, listen: command.listen, metrics: command.metrics, config };
        serve(options, stop).await
    })
}

fn print_document() -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{:#}", document()).context("the document cannot be printed")
}

fn init_logging(json: bool) {
    let filter = EnvFilter::try_from_env(LOG_ENV).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        logs.json().init();
    } else {
        logs.with_target(false).init();
    }
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
