//! `towpath schema`

use std::io::Write;

use jiff::Timestamp;
use towpath_record::Change;
use towpath_resource::api::{AcceptOrder, SchemaDescription, SchemaDiff, StreamSchemas, VersionStatus};

use crate::args::SchemaCommand;
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(
    client: &Client,
    command: SchemaCommand,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        SchemaCommand::List { output } => {
            let schemas = client.schemas().await?;
            output::list(
                output,
                &schemas,
                |schema| schema.stream.to_string(),
                out,
                |out| list(&schemas, out),
            )?;
        }
        SchemaCommand::Show { stream, version, source, output } => {
            let schema = client.schema(&stream, version, source.as_deref()).await?;
            output::view(output, &schema, out, |out| show(&schema, out))?;
        }
        SchemaCommand::Diff { stream, from, to, source, output } => {
            let diff = client.schema_diff(&stream, from, to, source.as_deref()).await?;
            output::view(output, &diff, out, |out| show_diff(&diff, out))?;
        }
        SchemaCommand::Accept { route, stream, version, source } => {
            let accepted = client.accept_schema(&route, &AcceptOrder { stream, source, version }).await?;
            let done = if accepted.is_new { "goes on with" } else { "had accepted before" };
            writeln!(out, "route {route} {done} version {} of stream {}", accepted.version, accepted.stream)?;
        }
    }
    Ok(())
}

fn list(schemas: &[StreamSchemas], out: &mut dyn Write) -> std::io::Result<()> {
    let now = Timestamp::now();
    let mut table = Table::new(["stream", "source", "versions", "since", "last change", "routes stopped"]);
    for schema in schemas {
        let stopped: Vec<_> = schema.held_routes.iter().map(ToString::to_string).collect();
        table.row([
            schema.stream.to_string(),
            schema.source.as_ref().map(ToString::to_string).unwrap_or_default(),
            schema.versions.to_string(),
            human::ago(schema.latest.first_seen_at, now),
            in_words(&schema.latest.changes),
            stopped.join(", "),
        ]);
    }
    table.write("no stream has brought a record yet", out)
}

fn show(schema: &SchemaDescription, out: &mut dyn Write) -> std::io::Result<()> {
    let from = schema.source.as_ref().map(|source| format!(" from {source}")).unwrap_or_default();
    writeln!(out, "stream {}{from}, version {}\n", schema.stream, schema.version)?;
    let mut columns = Table::new(["column", "type", "absent", "key", "class"]);
    for column in &schema.columns {
        let key = schema.key.iter().position(|name| *name == column.name);
        columns.row([
            column.name.clone(),
            column.column_type.to_string(),
            if column.nullable { "may be" } else { "never" }.to_owned(),
            key.map(|place| (place + 1).to_string()).unwrap_or_default(),
            column.class.clone().unwrap_or_default(),
        ]);
    }
    columns.write("it has no columns", out)?;
    writeln!(out)?;
    let mut versions = Table::new(["version", "first seen", "frame", "changes", "schema"]);
    for version in &schema.history {
        versions.row(version_cells(version));
    }
    versions.write("it has no versions", out)
}

fn version_cells(version: &VersionStatus) -> [String; 5] {
    /// Enough of a hash to tell versions apart by eye.
    const HASH_CHARS: usize = 12;
    [
        version.version.to_string(),
        version.first_seen_at.to_string(),
        version.first_offset.to_string(),
        in_words(&version.changes),
        version.schema.to_string().chars().take(HASH_CHARS).collect(),
    ]
}

fn show_diff(diff: &SchemaDiff, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["column", "change", "backward", "forward"]);
    let word = |keeps: bool| if keeps { "compatible" } else { "breaks" }.to_owned();
    for change in &diff.changes {
        let column = if change.column.is_empty() { "(key)".to_owned() } else { change.column.clone() };
        table.row([column, change.what.clone(), word(change.backward), word(change.forward)]);
    }
    table.write(&format!("versions {} and {} mean the same", diff.from, diff.to), out)?;
    let level = match (diff.backward, diff.forward) {
        (true, true) => "full",
        (true, false) => "backward",
        (false, true) => "forward",
        (false, false) => "none",
    };
    writeln!(out, "\ncompatibility from version {} to {}: {level}", diff.from, diff.to)
}

fn in_words(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
