//! `towpath get --watch`: what there is, then what changes.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use towpath_resource::Kind;

use super::columns::Columns;
use super::{look, show};
use crate::args::{Format, GetArgs, Listing};
use crate::client::Client;
use crate::error::CliError;
use crate::output::{self, Table, Tone};

/// What was shown last of each thing, by its name.
type Shown = BTreeMap<String, Value>;

pub(super) async fn run(
    client: &Client,
    args: &GetArgs,
    columns: &Columns,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    // Streams have no events of their own; they grow by what routes and sources do.
    let kind = if let Listing::Resources(kind) = args.listing { kind } else { Kind::Route };
    let mut changes = client.changes(kind).await;
    let items = look(client, args, columns).await?;
    let widths = columns.table(&items).widths();
    match args.output {
        Format::Json => items.iter().try_for_each(|item| output::json_line(&changed(item), out))?,
        _ => show(args, columns, &items, out)?,
    }
    out.flush()?;
    let mut shown: Shown = items.into_iter().map(|item| (columns.name(&item), item)).collect();
    loop {
        changes.next().await;
        let now = match look(client, args, columns).await {
            Ok(items) => items.into_iter().map(|item| (columns.name(&item), item)).collect(),
            // The one that was watched is gone.
            Err(CliError::Client(error)) if args.name.is_some() && error.is_not_found() => Shown::new(),
            Err(error) => return Err(error),
        };
        tell(args.output, columns, &widths, (&shown, &now), out)?;
        out.flush()?;
        shown = now;
    }
}

/// Tells what is different.
fn tell(
    format: Format,
    columns: &Columns,
    widths: &[usize],
    (before, now): (&Shown, &Shown),
    out: &mut dyn Write,
) -> Result<(), CliError> {
    for (name, item) in now {
        let known = before.get(name);
        let looks_the_same = || known.is_some_and(|known| columns.cells(known) == columns.cells(item));
        match format {
            Format::Table if !looks_the_same() => {
                let mut table = Table::new(columns.titles());
                table.row(columns.cells(item));
                table.write_below(widths, out)?;
            }
            Format::Name if known.is_none() => writeln!(out, "{name}")?,
            Format::Json if known != Some(item) => output::json_line(&changed(item), out)?,
            Format::Yaml if known != Some(item) => {
                writeln!(out, "---")?;
                output::yaml(item, out)?;
            }
            _ => {}
        }
    }
    for (name, item) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        match format {
            Format::Json => output::json_line(&json!({ "change": "deleted", "item": item }), out)?,
            _ => writeln!(out, "{name} {}", Tone::Bad.paint("deleted"))?,
        }
    }
    Ok(())
}

fn changed(item: &Value) -> Value {
    json!({ "change": "present", "item": item })
}
