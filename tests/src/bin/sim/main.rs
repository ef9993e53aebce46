//! Simulations: the promises of the design, and someone who tries to break them.
//!
//! Each prints its seed, and the same seed makes the same choices; what real processes do with them also hangs on
//! their timing. The exit code is 0 only if no row was lost or doubled.
#![expect(clippy::print_stdout, reason = "a command for people")]

mod run;
mod crash;
mod partition;
mod diskfull;
mod torn;
mod losedisk;
mod db;
mod power;
mod session;
mod enrol_race;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Tries to break what Towpath promises.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    sim: Sim,
}

#[derive(Subcommand)]
enum Sim {
    /// kill -9 of agent, control plane or sink agent at random instants.
    Crash(Options),
    /// The link is cut and restored; datagrams are lost, doubled and reordered; addresses change.
    Partition(Options),
    /// The agent's disk, then the control plane's, is full for a time. Needs root, to mount small file systems.
    Diskfull(Options),
    /// The last segment of the spool, then of the region log, is cut short or damaged.
    Torn(Options),
    /// The agent's state is lost, all but its identity.
    Losedisk(Options),
    /// Databases at both ends: random transactions, and kill -9 of every process, the database servers among them.
    Db(Options),
    /// The power fails at every operation of the segment files, and what was not synced is lost or torn.
    Power(Options),
    /// The state machines of the link under virtual time against a reference model.
    Session(Options),
    /// Many use one enrolment token at once, and two use one identity.
    EnrolRace(Options),
}

/// What every simulation takes.
#[derive(Args, Clone, Copy)]
struct Options {
    /// How many rounds; each simulation has its own default.
    #[arg(long, visible_alias = "seeds")]
    rounds: Option<u64>,
    /// The seed. Default: of this moment.
    #[arg(long)]
    seed: Option<u64>,
}

impl Options {
    fn rounds_or(self, default: u64) -> u64 {
        self.rounds.unwrap_or(default)
    }

    fn seed(self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(1..1 << 32))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::parse().sim {
        Sim::Crash(options) => crash::run(options).await,
        Sim::Partition(options) => partition::run(options).await,
        Sim::Diskfull(options) => diskfull::run(options).await,
        Sim::Torn(options) => torn::run(options).await,
        Sim::Losedisk(options) => losedisk::run(options).await,
        Sim::Db(options) => db::run(options).await,
        Sim::Power(options) => power::run(options),
        Sim::Session(options) => session::run(options),
        Sim::EnrolRace(options) => enrol_race::run(options).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the simulation could not be carried out: {error:#}");
            ExitCode::FAILURE
        }
    }
}
