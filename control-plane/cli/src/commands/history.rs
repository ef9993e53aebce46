//! `towpath history`

use std::io::Write;

use towpath_resource::api::ResourceVersion;
use towpath_resource::{AnyManifest, FieldChange, field_changes};

use crate::args::HistoryArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::files;
use crate::human::harmless;
use crate::output::{self, Table};

pub(super) async fn run(client: &Client, args: &HistoryArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let versions = client.history(args.kind, &args.name).await?;
    if args.from.is_some() || args.to.is_some() {
        return between(&versions, args, out);
    }
    Ok(output::view(args.output, &versions, out, |out| table_of(&versions, out))?)
}

fn table_of(versions: &[ResourceVersion], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["generation", "at", "by", "what", "fields"]);
    for version in versions {
        let by = version.actor["name"].as_str().or_else(|| version.actor["type"].as_str());
        let fields: Vec<_> = version.changes.iter().map(|change| change.field.as_str()).collect();
        table.row([
            version.generation.to_string(),
            version.at.to_string(),
            by.unwrap_or_default().to_owned(),
            version.happened.as_str().to_owned(),
            fields.join(" "),
        ]);
    }
    table.write("the trail tells of no version", out)
}

/// What is different between two generations.
fn between(versions: &[ResourceVersion], args: &HistoryArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let place = |generation: u64| {
        let found = versions.iter().position(|version| version.generation == generation);
        found.ok_or_else(|| {
            let known: Vec<_> = versions.iter().map(|version| version.generation.to_string()).collect();
            let (kind, name) = (args.kind, &args.name);
            CliError::Usage(format!(
                "{kind} {name} has no generation {generation}; there are {}",
                known.join(", ")
            ))
        })
    };
    let to = args.to.map(place).transpose()?.or_else(|| versions.len().checked_sub(1));
    let from = args.from.map(place).transpose()?.or_else(|| to.and_then(|to| to.checked_sub(1)));
    let manifest = |at: Option<usize>| at.map_or(Ok(None), |at| manifest(&versions[at]));
    let changes = field_changes(manifest(from)?.as_ref(), manifest(to)?.as_ref());
    Ok(output::view(args.output, &changes, out, |out| show(&changes, out))?)
}

fn show(changes: &[FieldChange], out: &mut dyn Write) -> std::io::Result<()> {
    if changes.is_empty() {
        writeln!(out, "nothing is different")?;
    }
    for FieldChange { field, from, to } in changes {
        for (sign, value) in [("-", from), ("+", to)] {
            if let Some(value) = value {
                writeln!(out, "{}", harmless(&format!("{sign} {field}: {value}")))?;
            }
        }
    }
    Ok(())
}

/// What an admin would write to have it so; nothing for one that was deleted.
fn manifest(version: &ResourceVersion) -> Result<Option<AnyManifest>, CliError> {
    let Some(json) = &version.manifest else { return Ok(None) };
    let known = files::manifest_of(json).map(Some);
    known.ok_or_else(|| {
        let generation = version.generation;
        CliError::Usage(format!(
            "generation {generation} is of a form that this version of towpath does not know"
        ))
    })
}
