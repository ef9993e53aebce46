//! `towpath apply`

use std::io::Write;

use serde_json::Value;
use towpath_resource::api::{Applied, ApplyOutcome, ApplyReport};

use crate::args::ApplyArgs;
use crate::client::{Client, ClientError};
use crate::error::CliError;
use crate::files::{self, Found};
use crate::output;

pub(super) async fn run(
    args: &ApplyArgs,
    client: impl FnOnce() -> Result<Client, CliError>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let found = files::read(&args.files, &mut std::io::stdin().lock())?;
    let report = send(&client()?, &found, args.dry_run).await?;
    let would = if args.dry_run { " (dry run)" } else { "" };
    let taken = || report.results.iter().filter(|result| result.outcome != ApplyOutcome::Refused);
    let named = |result: &Applied| result.subject.replacen(' ', "/", 1);
    let taken: Vec<_> = taken().collect();
    output::list(
        args.output,
        &taken,
        |result| named(result),
        out,
        |out| {
            taken
                .iter()
                .try_for_each(|result| writeln!(out, "{} {}{would}", result.subject, result.outcome.as_str()))
        },
    )?;
    refused(&found, &report)
}

/// Sends documents to be applied, or to be checked only.
pub(super) async fn send(
    client: &Client,
    found: &[Found],
    dry_run: bool,
) -> Result<ApplyReport, ClientError> {
    let documents: Vec<_> = found.iter().map(Found::to_json).map(|json: Value| json.to_string()).collect();
    client.apply(&documents.join("\n---\n"), dry_run).await
}

/// Tells what was refused, if anything was.
pub(super) fn refused(found: &[Found], report: &ApplyReport) -> Result<(), CliError> {
    let pairs = || found.iter().zip(&report.results);
    let refused: Vec<_> = pairs().filter(|(_, result)| result.outcome == ApplyOutcome::Refused).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let faults = refused.iter().flat_map(|(found, result)| told(found, result)).collect();
    let summary = format!("{} of {} resources refused", refused.len(), report.results.len());
    Err(CliError::Refused { faults, summary })
}

fn told(found: &Found, result: &Applied) -> Vec<String> {
    let by_field = result.faults.iter().map(|fault| found.tell(fault));
    by_field.chain(result.error.iter().map(|error| found.tell_whole(error))).collect()
}
