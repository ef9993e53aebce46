//! `towpath delete`

use std::io::Write;

use serde_json::json;
use towpath_resource::Kind;

use crate::args::{DeleteArgs, Format};
use crate::client::Client;
use crate::error::CliError;
use crate::files;
use crate::output;

pub(super) async fn run(
    args: &DeleteArgs,
    client: impl FnOnce() -> Result<Client, CliError>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let targets = targets(args)?;
    let client = client()?;
    let (mut deleted, mut faults) = (Vec::new(), Vec::new());
    for (kind, name) in &targets {
        match client.delete(*kind, name).await {
            Ok(()) => {
                if args.output == Format::Table {
                    writeln!(out, "{kind} {name} deleted")?;
                }
                deleted.push((*kind, name));
            }
            Err(error) if args.ignore_missing && error.is_not_found() => {}
            // A single refusal needs no summary; of several, each is told, and the others are gone on with.
            Err(error) if targets.len() == 1 => return Err(error.into()),
            Err(error) => faults.push(error.to_string()),
        }
    }
    if args.output != Format::Table {
        let items: Vec<_> =
            deleted.iter().map(|(kind, name)| json!({ "kind": kind.as_str(), "name": name })).collect();
        let named = |n: usize| format!("{}/{}", deleted[n].0.noun(), deleted[n].1);
        match args.output {
            Format::Name => (0..deleted.len()).try_for_each(|n| writeln!(out, "{}", named(n)))?,
            Format::Yaml => output::yaml(&items, out)?,
            _ => output::json(&items, out)?,
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let summary = format!("{} of {} resources were not deleted", faults.len(), targets.len());
    Err(CliError::Refused { faults, summary })
}

/// What is meant: those first that need others, which is the order of kinds from the last to the first.
fn targets(args: &DeleteArgs) -> Result<Vec<(Kind, String)>, CliError> {
    if let (Some(kind), Some(name)) = (args.kind, &args.name) {
        return Ok(vec![(kind, name.clone())]);
    }
    let found = files::read(&args.files, &mut std::io::stdin().lock())?;
    let mut targets: Vec<_> = found.iter().map(files::Found::target).collect();
    targets.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(targets)
}
