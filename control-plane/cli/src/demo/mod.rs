//! `towpath demo`: a whole Towpath on this machine, in one directory, with a sample to look at.
//!
//! Starts a control plane and two agents as processes of their own, enrols the agents, applies resources, drops a
//! legacy ERP's export day by day while a CRM's application writes to its database, and shows how every row finds its
//! way. What it dropped it keeps an account of, to the row; what arrived it reads back by means that are not Towpath's.

mod place;
mod programs;
mod processes;
mod control;
mod resources;
mod stream;
mod account;
mod export;
mod crm;
mod fleet;
mod observe;
mod figures;
mod guide;
mod view;
mod screen;
mod plain;
mod settle;
mod results;
mod summary;
mod play;
mod error;

use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

pub use control::ControlError;
pub use crm::{AskError, Choice, CrmError, PostgresError};
pub use error::DemoError;
pub use fleet::FleetError;
pub use place::PlaceError;
pub use processes::ProcessError;
pub use programs::MissingProgram;
pub use results::ResultsError;

use crm::Crm;
use export::Export;
use guide::Guide;
use place::Place;
use plain::Plain;
use play::{DAYS, Display, Ending, Play};
use processes::Processes;
use programs::Programs;
use screen::Screen;

/// How the demo runs.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// A new or empty directory for everything that the demo makes. Default: a new `towpath-demo-N` in the current one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Ends when everything is quiet, with a summary; the exit code tells whether every row is accounted for.
    #[arg(long)]
    exit_when_idle: bool,
    /// Good rows in the sample, about; bad ones come on top.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(300..=2_000_000))]
    rows: u64,
    /// The CRM's database.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    database: Choice,
    /// The seed of the sample: the same seed drops the same files and writes the same changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes plain lines instead of a live screen, as happens by itself without a terminal.
    #[arg(long)]
    no_screen: bool,
}

/// Runs the demo.
///
/// # Errors
/// [`DemoError`] says what failed. What was started is stopped in any case.
pub async fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<(), DemoError> {
    let programs = Programs::find()?;
    let place = Place::fresh(args.dir.as_deref())?;
    let mut processes = Processes::default();
    // Whichever way this ends, `processes` is dropped after it, and with it everything that was started.
    let ending = tokio::select! {
        ending = play(args, &programs, &place, &mut processes, &mut *out) => ending?,
        () = asked_to_end() => Ending::Left,
    };
    writeln!(out, "stops what it started")?;
    processes.stop();
    match ending {
        Ending::Settled(summary) => {
            write!(out, "\n{summary}")?;
            writeln!(out, "Everything is kept in {}.", place.root().display())?;
            if summary.is_balanced() { Ok(()) } else { Err(DemoError::NotBalanced(place.root().to_owned())) }
        }
        Ending::Left if args.exit_when_idle => Err(DemoError::Interrupted),
        Ending::Left => {
            writeln!(out, "everything is kept in {}", place.root().display())?;
            Ok(())
        }
    }
}

async fn play(
    args: &DemoArgs,
    programs: &Programs,
    place: &Place,
    processes: &mut Processes,
    out: &mut dyn Write,
) -> Result<Ending, DemoError> {
    writeln!(out, "the demo is in {}", place.root().display())?;
    // A closed output does not matter yet; it is noticed with the first line of news.
    let mut say = |step: &str| drop(writeln!(out, "{step}").and_then(|()| out.flush()));
    say("prepares a CRM's database");
    let rows_per_day = args.rows / DAYS;
    let crm = Crm::start(args.database, place, processes, (args.seed, rows_per_day)).await?;
    say(&crm.introduction());
    let control = fleet::start(place, programs, &crm, processes, &mut say).await?;
    let guide = Guide::new(place);
    let has_terminal = stdin().is_terminal() && stdout().is_terminal();
    let display = if has_terminal && !args.no_screen {
        Display::Screen(Box::new(Screen::take(guide)?))
    } else {
        plain::guide(&guide, out)?;
        Display::Plain(Plain::default())
    };
    let export = Export::new(args.seed, rows_per_day);
    Play::new(place, processes, control, display, out, (export, crm)).run(args.exit_when_idle).await
}

/// Ctrl-C, a request to terminate, or the terminal hanging up.
async fn asked_to_end() {
    let (terminate, hangup) = (signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut hangup)) = (terminate, hangup) else {
        return drop(tokio::signal::ctrl_c().await);
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
