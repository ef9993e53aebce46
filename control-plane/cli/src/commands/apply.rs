//! `towpath apply`

use std::io::Write;

use towpath_resource::api::{Applied, ApplyOutcome};

use crate::args::ApplyArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::files::{self, Found};

pub(super) async fn run(
    args: &ApplyArgs,
    client: impl FnOnce() -> Result<Client, CliError>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let found = files::read(&args.files, &mut std::io::stdin().lock())?;
    let text = found.iter().map(Found::to_json).collect::<Vec<_>>().join("\n---\n");
    let report = client()?.apply(&text, args.dry_run).await?;
    let would = if args.dry_run { " (dry run)" } else { "" };
    let mut faults = Vec::new();
    for (found, result) in found.iter().zip(&report.results) {
        if result.outcome == ApplyOutcome::Refused {
            faults.extend(told(found, result));
        } else {
            writeln!(out, "{} {}{would}", result.subject, result.outcome.as_str())?;
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let refused = report.results.iter().filter(|result| result.outcome == ApplyOutcome::Refused).count();
    Err(CliError::Refused {
        faults,
        summary: format!("{refused} of {} resources refused", report.results.len()),
    })
}

fn told(found: &Found, result: &Applied) -> Vec<String> {
    let by_field = result.faults.iter().map(|fault| found.tell(fault));
    by_field.chain(result.error.iter().map(|error| found.tell_whole(error))).collect()
}
