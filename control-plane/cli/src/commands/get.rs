//! `towpath get`

mod columns;
mod watch;

use std::cmp::Ordering;
use std::io::Write;

use serde_json::Value;

use crate::args::{Format, GetArgs, Listing, Selector};
use crate::client::{Client, Those};
use crate::error::CliError;
use crate::output;

use columns::Columns;

pub(super) async fn run(client: &Client, args: &GetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let columns = Columns::of(args.listing);
    if args.watch {
        return watch::run(client, args, &columns, out).await;
    }
    let items = look(client, args, &columns).await?;
    show(args, &columns, &items, out)
}

/// What there is now of what was asked for, in the order that was asked for.
async fn look(client: &Client, args: &GetArgs, columns: &Columns) -> Result<Vec<Value>, CliError> {
    let mut items = match (args.listing, &args.name) {
        (Listing::Resources(kind), Some(name)) => vec![client.show(kind, name).await?],
        (Listing::Resources(kind), None) => client.list_those(kind, &those(args, columns)).await?,
        (Listing::Streams, name) => streams(client, name.as_deref()).await?,
    };
    if args.selector.is_some() && args.listing == Listing::Streams {
        return Err(CliError::Usage("streams have no labels to select by".to_owned()));
    }
    // What is observed changes from page to page, so that the control plane sorts by nothing of it.
    let by_others =
        args.sort.as_ref().filter(|field| !columns.are_resources() || order(field, columns).is_none());
    if let Some(field) = by_others {
        sort(&mut items, field, columns)?;
    }
    Ok(items)
}

/// What the control plane is asked for.
fn those(args: &GetArgs, columns: &Columns) -> Those {
    let sort = args.sort.as_ref().and_then(|field| order(field, columns));
    Those { filter: args.selector.as_ref().map(Selector::filter), sort }
}

/// The order by a field as the control plane knows it, if it does.
fn order(field: &str, columns: &Columns) -> Option<String> {
    let (field, minus) = field.strip_prefix('-').map_or((field, ""), |field| (field, "-"));
    let pointer = pointer(field, columns);
    let word = match pointer.strip_prefix("/metadata/")? {
        known @ ("name" | "generation" | "created_at" | "updated_at") => known.to_owned(),
        other => format!("label:{}", other.strip_prefix("labels/").filter(|key| !key.is_empty())?),
    };
    Some(format!("{minus}{word}"))
}

/// Where a column or a field stands in a resource.
fn pointer(field: &str, columns: &Columns) -> String {
    if let Some(label) = field.strip_prefix("metadata.labels.") {
        return format!("/metadata/labels/{label}");
    }
    columns.pointer(field).map_or_else(|| format!("/{}", field.replace('.', "/")), ToOwned::to_owned)
}

async fn streams(client: &Client, name: Option<&str>) -> Result<Vec<Value>, CliError> {
    let mut streams = client.streams().await?;
    if let Some(name) = name {
        streams.retain(|stream| stream.name.as_str() == name);
        if streams.is_empty() {
            return Err(CliError::Usage(format!(
                "there is no stream `{name}`; `towpath get streams` lists those there are"
            )));
        }
    }
    Ok(streams.iter().map(|stream| serde_json::to_value(stream).expect("a stream is always JSON")).collect())
}

fn sort(items: &mut [Value], field: &str, columns: &Columns) -> Result<(), CliError> {
    let (field, largest_first) = field.strip_prefix('-').map_or((field, false), |field| (field, true));
    let pointer = pointer(field, columns);
    if !items.is_empty() && items.iter().all(|item| item.pointer(&pointer).is_none()) {
        return Err(CliError::Usage(format!(
            "there is no field `{field}` to sort by; take one of {}, or a field such as `metadata.name`",
            columns.titles().collect::<Vec<_>>().join(", ")
        )));
    }
    items.sort_by(|a, b| {
        let order = compare(a.pointer(&pointer), b.pointer(&pointer));
        if largest_first { order.reverse() } else { order }
    });
    Ok(())
}

/// Numbers by size, anything else as text; what is not there comes first.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => {
            let text = |value: Option<&Value>| match value {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            text(a).cmp(&text(b))
        }
    }
}

fn show(args: &GetArgs, columns: &Columns, items: &[Value], out: &mut dyn Write) -> Result<(), CliError> {
    match args.output {
        Format::Json if args.name.is_some() && items.len() == 1 => output::json(&items[0], out)?,
        // Each is a document of its own, so that all of them can be applied again.
        Format::Yaml if columns.are_resources() => {
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    writeln!(out, "---")?;
                }
                output::yaml(item, out)?;
            }
        }
        format => output::list(
            format,
            items,
            |item| columns.name(item),
            out,
            |out| columns.table(items).write(&columns.nothing(), out),
        )?,
    }
    Ok(())
}
