//! `towpath logs`

use std::io::Write;
use std::time::Duration;

use towpath_resource::api::{LogLevel, LogLine, LogPage};

use crate::args::{LogsArgs, View};
use crate::client::Client;
use crate::error::CliError;
use crate::human::{count, harmless};
use crate::output::{self, Tone};

/// How often to ask for the next lines.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(client: &Client, args: &LogsArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let mut log = client.agent_log(&args.agent, None, args.tail).await?.page;
    show(&log, args.output, out)?;
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        log = client.agent_log(&args.agent, Some(&log.cursor), args.tail).await?.page;
        show(&log, args.output, out)?;
    }
}

fn show(log: &LogPage, view: View, out: &mut dyn Write) -> std::io::Result<()> {
    if log.missed > 0 && view == View::Table {
        writeln!(out, "… {} lines are missing: they came faster than they were read", count(log.missed))?;
    }
    for line in &log.lines {
        output::next(view, line, out, |out| writeln!(out, "{}", text(line)))?;
    }
    // Whoever reads along sees a line when it comes, not when a buffer is full.
    out.flush()
}

fn text(LogLine { at, level, message }: &LogLine) -> String {
    let word = format!("{level:5}");
    let word = match level {
        LogLevel::Error => Tone::Bad.paint(&word),
        LogLevel::Warn => Tone::Doubtful.paint(&word),
        LogLevel::Info => word,
    };
    format!("{at:.3}  {word}  {}", harmless(message))
}
