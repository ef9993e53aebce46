//! `towpath events`

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use crate::args::{EventsArgs, View};
use crate::client::{Client, EventArgs};
use crate::error::CliError;
use crate::human::harmless;
use crate::output;

/// How often to look for the next event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most events that are asked for at once.
const PAGE: usize = 1_000;

/// Members of an event that have a column of their own.
const IN_COLUMNS: [&str; 4] = ["seq", "at", "actor", "event"];

pub(super) async fn run(client: &Client, args: &EventsArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let limit = usize::from(args.limit);
    let mut after = match args.after {
        Some(after) => after,
        None => newest(client).await?.saturating_sub(u64::from(args.limit)),
    };
    let events = client.events(EventArgs { after, limit }).await?;
    if events.is_empty() && !args.follow && args.output == View::Table {
        writeln!(out, "nothing has happened after event {after}")?;
    }
    show(&events, args.output, &mut after, out)?;
    if !args.follow {
        return Ok(());
    }
    loop {
        let events = client.events(EventArgs { after, limit: PAGE }).await?;
        show(&events, args.output, &mut after, out)?;
        if events.len() < PAGE {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The number of the newest event; 0 if there is none. Numbers have no gaps, so it is found by halving.
async fn newest(client: &Client) -> Result<u64, CliError> {
    let (mut below, mut step) = (0, 1_024);
    let is_more_after = async |seq: u64| -> Result<bool, CliError> {
        Ok(!client.events(EventArgs { after: seq, limit: 1 }).await?.is_empty())
    };
    if !is_more_after(0).await? {
        return Ok(0);
    }
    while is_more_after(below + step).await? {
        below += step;
        step *= 2;
    }
    // The newest is above `below` and not above `top`.
    let mut top = below + step;
    while below + 1 < top {
        let middle = below + (top - below) / 2;
        if is_more_after(middle).await? {
            below = middle;
        } else {
            top = middle;
        }
    }
    Ok(top)
}

fn show(events: &[Value], view: View, after: &mut u64, out: &mut dyn Write) -> std::io::Result<()> {
    for event in events {
        output::next(view, event, out, |out| writeln!(out, "{}", harmless(&line(event))))?;
        *after = event["seq"].as_u64().unwrap_or(*after);
    }
    // Whoever reads along sees an event when it comes, not when a buffer is full.
    out.flush()
}

/// An event in one line: its number, when, by whom, what, and of what.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (seq, at) = (event["seq"].as_u64().unwrap_or_default(), text(&event["at"]));
    // Events last long; a second tells them apart well enough.
    let at = at.split_once('.').map_or_else(|| at.clone(), |(seconds, _)| format!("{seconds}Z"));
    let actor = &event["actor"];
    let by = match actor["name"].as_str() {
        Some(name) => format!("{} {name}", text(&actor["type"])),
        None => text(&actor["type"]),
    };
    let what = text(&event["event"]).replace('_', " ");
    format!("{seq:>6}  {at}  {by:20}  {what}{}", of_what(event))
}

fn of_what(event: &Value) -> String {
    let Some(members) = event.as_object() else { return String::new() };
    let rest = members.iter().filter(|(name, _)| !IN_COLUMNS.contains(&name.as_str()));
    let parts = rest.filter_map(|(name, value)| match value {
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(number) => Some(format!("{name}={number}")),
        Value::Bool(flag) => Some(format!("{name}={flag}")),
        // A resource is named; what it was then, `-o json` tells.
        Value::Object(resource) => {
            let name_of = resource.get("metadata").and_then(|metadata| metadata["name"].as_str());
            let kind = resource.get("kind").and_then(Value::as_str);
            Some(format!("{}/{}", kind?.to_lowercase(), name_of?))
        }
        _ => None,
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { String::new() } else { format!("  {}", parts.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_that_names_who_and_what() {
        let event = json!({ "seq": 7, "at": "2026-01-31T12:00:00.123456Z", "actor": { "type": "admin", "name": "ana" },
            "event": "resource_applied", "resource": { "kind": "Site", "metadata": { "name": "plant" }, "spec": {} } });
        assert_eq!(
            line(&event),
            "     7  2026-01-31T12:00:00Z  admin ana             resource applied  site/plant"
        );
    }
}
