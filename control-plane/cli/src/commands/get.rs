//! `towpath get`

use std::io::Write;

use serde_json::Value;
use towpath_resource::Kind;
use towpath_resource::api::StreamStatus;

use crate::args::{Format, GetArgs, Listing};
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(client: &Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    match args.listing {
        Listing::Streams => streams(client, args, out).await,
        Listing::Resources(kind) => resources(client, kind, args, out).await,
    }
}

async fn resources(client: &Client, kind: Kind, args: &GetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let items = match &args.name {
        Some(name) => vec![client.show(kind, name).await?],
        None => client.list(kind).await?,
    };
    match args.output {
        Format::Table => table(kind, &items, out)?,
        Format::Json if args.name.is_some() => output::json(&items[0], out)?,
        Format::Json => output::json(&items, out)?,
        Format::Yaml => documents(&items, out)?,
        Format::Name => {
            for item in &items {
                writeln!(out, "{}/{}", kind.noun(), text(item, "/metadata/name"))?;
            }
        }
    }
    Ok(())
}

fn documents(items: &[Value], out: &mut dyn Write) -> Result<(), CliError> {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            writeln!(out, "---")?;
        }
        output::yaml(item, out)?;
    }
    Ok(())
}

fn table(kind: Kind, items: &[Value], out: &mut dyn Write) -> Result<(), CliError> {
    let nothing = format!("there are no {}", kind.plural());
    let columns = kind.columns();
    let head = std::iter::once("name").chain(columns.iter().map(|(title, _)| *title));
    let mut table = Table::new(head);
    for item in items {
        let cells = columns.iter().map(|(_, pointer)| text(item, pointer));
        table.row(std::iter::once(text(item, "/metadata/name")).chain(cells));
    }
    Ok(table.write(&nothing, out)?)
}

/// A value for a table cell.
fn text(item: &Value, pointer: &str) -> String {
    match item.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(Value::Number(number)) => number.as_u64().map_or_else(|| number.to_string(), human::count),
        Some(other) => other.to_string(),
    }
}

async fn streams(client: &Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let mut items = client.streams().await?;
    if let Some(name) = &args.name {
        items.retain(|stream| stream.name.as_str() == name);
        if items.is_empty() {
            return Err(CliError::Usage(format!(
                "there is no stream `{name}`; `towpath get streams` lists those there are"
            )));
        }
    }
    match args.output {
        Format::Table => Ok(stream_table(&items, out)?),
        Format::Json => Ok(output::json(&items, out)?),
        Format::Yaml => Ok(output::yaml(&items, out)?),
        Format::Name => {
            for item in &items {
                writeln!(out, "{}", item.name)?;
            }
            Ok(())
        }
    }
}

fn stream_table(items: &[StreamStatus], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["name", "records", "bytes", "dead letters", "sources", "routes"]);
    let names = |names: &[towpath_record::ResourceName]| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    for item in items {
        table.row([
            item.name.to_string(),
            human::count(item.records),
            human::bytes(item.bytes as f64),
            human::count(item.dead_letters),
            names(&item.sources),
            names(&item.routes),
        ]);
    }
    table.write("there are no streams yet", out)
}
