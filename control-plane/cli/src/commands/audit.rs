//! `towpath audit`

mod offline;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::Value;
use towpath_audit::Verification;
use towpath_resource::Kind;
use towpath_resource::api::AuditFilter;

use crate::args::{AuditArgs, AuditCommand, AuditFilterArgs, View};
use crate::client::Client;
use crate::error::CliError;
use crate::human::harmless;
use crate::output::{self, Table};

/// Most events of one page.
const PAGE: usize = 1_000;

/// Members of an event that have a column of their own.
const IN_COLUMNS: [&str; 5] = ["seq", "at", "actor", "origin", "event"];

pub(super) async fn run(
    args: &AuditArgs,
    client: impl FnOnce() -> Result<Client, CliError>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match &args.command {
        None => list(&client()?, &args.filter, out).await,
        Some(AuditCommand::Verify { files, keys, output }) => {
            let found = if files.is_empty() {
                client()?.verify_audit().await?
            } else {
                offline::verify(files, keys)?
            };
            tell(&found, *output, out)
        }
        Some(AuditCommand::Export { file }) => export(&client()?, file.as_deref(), out).await,
        Some(AuditCommand::Checkpoints { output }) => checkpoints(&client()?, *output, out).await,
        Some(AuditCommand::Key) => Ok(write!(out, "{}", client()?.audit_key().await?)?),
    }
}

async fn list(client: &Client, args: &AuditFilterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let filter = AuditFilter {
        actor: args.actor.clone(),
        subject: args.subject.clone(),
        event: args.event.clone(),
        since: args.since,
        until: args.until,
        outcome: args.outcome,
    };
    let (limit, mut before) = (args.limit as usize, None);
    let mut events: Vec<Value> = Vec::new();
    loop {
        let page = client.audit(&filter, before, PAGE.min(limit - events.len())).await?;
        events.extend(page.items);
        before = page.next;
        if before.is_none() || events.len() >= limit {
            break;
        }
    }
    events.reverse();
    Ok(output::view(args.output, &events, out, |out| table_of(&events, out))?)
}

fn table_of(events: &[Value], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["event", "at", "who", "from", "what", "of what"]);
    for event in events {
        table.row([
            event["seq"].to_string(),
            text(&event["at"]),
            who(event),
            origin(event),
            what(event),
            of_what(event),
        ]);
    }
    table.write("there are no such events", out)
}

fn tell(found: &Verification, view: View, out: &mut dyn Write) -> Result<(), CliError> {
    output::view(view, found, out, |out| say(found, out))?;
    match found.findings.len() {
        0 => Ok(()),
        1 => Err(CliError::NotAsItShould("the audit trail has one fault".to_owned())),
        many => Err(CliError::NotAsItShould(format!("the audit trail has {many} faults"))),
    }
}

fn say(found: &Verification, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "events {} to {} ({}), {} checkpoints, signed up to event {}",
        found.first, found.last, found.events, found.checkpoints, found.vouched
    )?;
    for finding in &found.findings {
        writeln!(out, "  {}", harmless(&finding.to_string()))?;
    }
    if found.is_sound() { writeln!(out, "everything is as it was written") } else { Ok(()) }
}

async fn export(client: &Client, file: Option<&Path>, out: &mut dyn Write) -> Result<(), CliError> {
    let mut lines = client.export_audit().await?;
    let mut opened = file.map(File::create).transpose()?.map(BufWriter::new);
    let to: &mut dyn Write = opened.as_mut().map_or(out, |file| file);
    while let Some(line) = lines.next().await? {
        writeln!(to, "{}", line.get())?;
    }
    Ok(to.flush()?)
}

async fn checkpoints(client: &Client, view: View, out: &mut dyn Write) -> Result<(), CliError> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().and_then(|last| last["checkpoint"]["number"].as_u64()).unwrap_or(0);
        let page = client.checkpoints(after).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    Ok(output::view(view, &all, out, |out| table_of_checkpoints(&all, out))?)
}

fn table_of_checkpoints(all: &[Value], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["checkpoint", "at", "signs up to event", "hash", "key", "anchor"]);
    for signed in all {
        let said = &signed["checkpoint"];
        table.row([
            said["number"].to_string(),
            text(&said["at"]),
            said["seq"].to_string(),
            text(&said["head"]).chars().take(16).collect(),
            text(&signed["key"]),
            if said["snapshot"].is_null() { String::new() } else { "yes".to_owned() },
        ]);
    }
    table.write("there are no checkpoints yet", out)
}

fn who(event: &Value) -> String {
    let actor = &event["actor"];
    match actor["name"].as_str() {
        Some(name) => format!("{} {name}", text(&actor["type"])),
        None => text(&actor["type"]),
    }
}

fn origin(event: &Value) -> String {
    let origin = &event["origin"];
    [text(&origin["address"]), text(&origin["interface"])].join(" ").trim().to_owned()
}

fn what(event: &Value) -> String {
    text(&event["event"]).replace('_', " ")
}

fn of_what(event: &Value) -> String {
    let rest =
        event.as_object().into_iter().flatten().filter(|(name, _)| !IN_COLUMNS.contains(&name.as_str()));
    let part = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(number) => Some(format!("{name}={number}")),
        Value::Object(_) => {
            let (kind, name) = (value["kind"].as_str()?, value["metadata"]["name"].as_str()?);
            let kind = kind.parse::<Kind>().map_or_else(|_| kind.to_lowercase(), |kind| kind.to_string());
            Some(format!("{kind} {name}"))
        }
        _ => None,
    };
    rest.filter_map(part).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
