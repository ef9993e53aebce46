//! `towpath status`

use std::io::Write;

use towpath_resource::api::fleet::{FleetStatus, Flow, Lag};
use towpath_resource::observed::{SinkGuarantee, Trouble};

use crate::args::{StatusArgs, StatusFormat};
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table, condition};

pub(super) async fn run(client: &Client, args: &StatusArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let status = client.status().await?;
    match args.output {
        StatusFormat::Json => Ok(output::json(&status, out)?),
        StatusFormat::Table => Ok(show(&status, out)?),
    }
}

fn show(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    agents(status, out)?;
    sources(status, out)?;
    logs(status, out)?;
    routes(status, out)?;
    sinks(status, out)?;
    troubles(status, out)
}

fn agents(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["agent", "site", "condition", "spool", "generation", "version"]);
    for agent in &status.agents {
        let (runs, shall) = (agent.applied_generation, agent.desired_generation);
        table.row([
            agent.name.to_string(),
            agent.site.to_string(),
            condition(agent.condition).to_owned(),
            human::bytes(agent.spool.bytes as f64),
            if runs == shall { runs.to_string() } else { format!("{runs} of {shall}") },
            agent.version.clone().unwrap_or_default(),
        ]);
    }
    table.write("no agent has enrolled; make a token: towpath token create --site SITE", out)
}

fn sources(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table =
        Table::new(["source", "agent", "condition", "records", "rate", "waiting", "age", "bad rows"]);
    for source in &status.sources {
        let [records, rate] = flow(&source.logged);
        let [waiting, age] = lag(&source.lag);
        table.row([
            source.name.to_string(),
            source.agent.to_string(),
            condition(source.condition).to_owned(),
            records,
            rate,
            waiting,
            age,
            human::count(source.dead_letters),
        ]);
    }
    writeln!(out)?;
    table.write("no sources", out)
}

fn logs(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["log", "records", "rate", "frames", "on disk"]);
    for log in &status.logs {
        let [records, rate] = flow(&log.logged);
        table.row([
            log.region.to_string(),
            records,
            rate,
            human::count(log.next_offset.0.saturating_sub(log.first_offset.0)),
            human::bytes(log.disk_bytes as f64),
        ]);
    }
    writeln!(out)?;
    table.write("no logs", out)
}

fn routes(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new([
        "route",
        "sink",
        "condition",
        "delivered",
        "rate",
        "behind",
        "age",
        "breaker",
        "dead letters",
    ]);
    for route in &status.routes {
        let [records, rate] = flow(&route.delivered);
        let [behind, age] = lag(&route.lag);
        table.row([
            route.name.to_string(),
            route.sink.to_string(),
            match &route.held {
                _ if route.paused => "paused".to_owned(),
                Some(hold) => format!("stopped before version {} of {}", hold.version, hold.stream),
                None => condition(route.condition).to_owned(),
            },
            records,
            rate,
            behind,
            age,
            route.breaker.as_str().to_owned(),
            human::count(route.dead_letters),
        ]);
    }
    writeln!(out)?;
    table.write("no routes", out)
}

fn sinks(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["sink", "agent", "condition", "guarantee"]);
    for sink in &status.sinks {
        table.row([
            sink.name.to_string(),
            sink.agent.to_string(),
            condition(sink.condition).to_owned(),
            guarantee(sink.guarantee).to_owned(),
        ]);
    }
    writeln!(out)?;
    table.write("no sinks", out)
}

/// What is wrong, each thing once: what an agent's absence does to its sources need not be said again.
fn troubles(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    let all = (status.agents.iter().map(|a| &a.trouble))
        .chain(status.sources.iter().map(|s| &s.trouble))
        .chain(status.logs.iter().map(|l| &l.trouble))
        .chain(status.routes.iter().map(|r| &r.trouble))
        .chain(status.sinks.iter().map(|s| &s.trouble));
    let mut told: Vec<&Trouble> = Vec::new();
    for trouble in all.flatten() {
        if told.iter().all(|before| before.message != trouble.message) {
            told.push(trouble);
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for trouble in told {
        writeln!(out, "! {}", human::harmless(&output::trouble(Some(trouble))))?;
    }
    Ok(())
}

fn flow(flow: &Flow) -> [String; 2] {
    [human::count(flow.records), human::rate(flow.records_per_second)]
}

/// How much waits and how old it is.
fn lag(lag: &Lag) -> [String; 2] {
    if lag.records == 0 && lag.bytes == 0 {
        return ["0".to_owned(), String::new()];
    }
    [
        format!("{} ({})", human::count(lag.records), human::bytes(lag.bytes as f64)),
        human::duration(lag.seconds),
    ]
}

/// The words for a guarantee.
pub(super) const fn guarantee(guarantee: SinkGuarantee) -> &'static str {
    match guarantee {
        SinkGuarantee::ExactlyOnce => "exactly once",
        SinkGuarantee::AtLeastOnce => "at least once",
        SinkGuarantee::Unknown => "not known yet",
    }
}
