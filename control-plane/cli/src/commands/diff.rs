//! `towpath diff`: what applying would change, field by field.

use std::io::Write;

use serde::Serialize;
use towpath_resource::api::ApplyOutcome;
use towpath_resource::{FieldChange, field_changes};

use super::apply;
use crate::args::DiffArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::files::{self, Found};
use crate::human::harmless;
use crate::output::{self, Tone};

/// What would become of a resource.
#[derive(Serialize)]
struct Difference {
    subject: String,
    outcome: ApplyOutcome,
    fields: Vec<FieldChange>,
}

pub(super) async fn run(
    args: &DiffArgs,
    client: impl FnOnce() -> Result<Client, CliError>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let found = files::read(&args.files, &mut std::io::stdin().lock())?;
    let client = client()?;
    // The control plane knows best what it would take, and what of it is new.
    let report = apply::send(&client, &found, true).await?;
    apply::refused(&found, &report)?;
    let mut differences = Vec::new();
    for (found, result) in found.iter().zip(&report.results) {
        if result.outcome != ApplyOutcome::Unchanged {
            differences.push(difference(&client, found, result.outcome).await?);
        }
    }
    let named = |difference: &Difference| difference.subject.replacen(' ', "/", 1);
    output::list(args.output, &differences, named, out, |out| {
        differences.iter().try_for_each(|one| show(one, out))
    })?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(CliError::NotAsItShould(format!("{} of {} resources would change", differences.len(), found.len())))
}

async fn difference(client: &Client, found: &Found, outcome: ApplyOutcome) -> Result<Difference, CliError> {
    let (kind, name) = found.target();
    let before = match client.show(kind, &name).await {
        Ok(before) => Some(files::manifest_of(&before).ok_or_else(|| {
            CliError::Usage(format!(
                "{} is of a form that this version of towpath does not know",
                found.subject()
            ))
        })?),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let fields = field_changes(before.as_ref(), Some(found.manifest()));
    Ok(Difference { subject: found.subject().to_owned(), outcome, fields })
}

fn show(difference: &Difference, out: &mut dyn Write) -> std::io::Result<()> {
    let Difference { subject, outcome, fields } = difference;
    writeln!(out, "{subject} would be {}", outcome.as_str())?;
    for FieldChange { field, from, to } in fields {
        if let Some(from) = from {
            writeln!(out, "{}", Tone::Bad.paint(&harmless(&format!("  - {field}: {from}"))))?;
        }
        if let Some(to) = to {
            writeln!(out, "{}", Tone::Good.paint(&harmless(&format!("  + {field}: {to}"))))?;
        }
    }
    Ok(())
}
