//! `towpath describe`

use std::io::Write;

use towpath_resource::Kind;
use towpath_resource::api::RouteDescription;

use super::stages::guarantee;
use crate::args::TargetArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, condition};

pub(super) async fn run(client: &Client, args: &TargetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    if args.kind == Kind::Route {
        return Ok(route(&client.describe_route(&args.name).await?, out)?);
    }
    Ok(output::yaml(&client.show(args.kind, &args.name).await?, out)?)
}

fn route(route: &RouteDescription, out: &mut dyn Write) -> std::io::Result<()> {
    let patterns: Vec<_> = route.patterns.iter().map(ToString::to_string).collect();
    writeln!(out, "route {}: {} → {}", route.name, patterns.join(", "), route.sink.name)?;
    writeln!(out, "guarantee: {}", guarantee(route.guarantee))?;
    for stage in &route.guarantee_text {
        writeln!(out, "  {}", human::harmless(stage))?;
    }
    sources(route, out)?;
    streams(route, out)?;
    delivery(route, out)?;
    let sink = &route.sink;
    writeln!(out, "\nsink {} (agent {})", sink.name, sink.agent)?;
    output::fields(
        "  ",
        &[
            ("condition", condition(sink.condition).to_owned()),
            ("trouble", output::trouble(sink.trouble.as_ref())),
        ],
        out,
    )
}

fn sources(route: &RouteDescription, out: &mut dyn Write) -> std::io::Result<()> {
    for source in &route.sources {
        writeln!(out, "\nsource {} (agent {})", source.name, source.agent)?;
        let waiting = if source.lag.records == 0 && source.lag.bytes == 0 {
            "nothing".to_owned()
        } else {
            format!(
                "{} records, {}, {} old",
                human::count(source.lag.records),
                human::bytes(source.lag.bytes as f64),
                human::duration(source.lag.seconds)
            )
        };
        output::fields(
            "  ",
            &[
                ("condition", condition(source.condition).to_owned()),
                ("in the log", format!("{} records", human::count(source.logged.records))),
                ("rate", human::rate(source.logged.records_per_second)),
                ("waiting", waiting),
                ("bad rows", human::count(source.dead_letters)),
                ("trouble", output::trouble(source.trouble.as_ref())),
            ],
            out,
        )?;
    }
    Ok(())
}

fn streams(route: &RouteDescription, out: &mut dyn Write) -> std::io::Result<()> {
    if route.streams.is_empty() {
        return writeln!(out, "\nno stream matches yet; `towpath get streams` lists those there are");
    }
    writeln!(out, "\nstreams")?;
    for stream in &route.streams {
        let feeders: Vec<_> = stream.feeders.iter().map(|feeder| feeder.source.to_string()).collect();
        let from = if feeders.is_empty() { String::new() } else { format!(" from {}", feeders.join(", ")) };
        writeln!(out, "  {}: {} records{from}", stream.stream, human::count(stream.records))?;
    }
    Ok(())
}

fn delivery(route: &RouteDescription, out: &mut dyn Write) -> std::io::Result<()> {
    let status = &route.status;
    let paused = if status.paused { "paused by an admin" } else { condition(status.condition) };
    let behind = format!(
        "{} records, {}, {}",
        human::count(status.lag.records),
        human::bytes(status.lag.bytes as f64),
        human::duration(status.lag.seconds)
    );
    writeln!(out, "\ndelivery")?;
    output::fields(
        "  ",
        &[
            ("condition", paused.to_owned()),
            ("delivered", format!("{} records", human::count(status.delivered.records))),
            ("rate", human::rate(status.delivered.records_per_second)),
            ("behind", behind),
            ("breaker", status.breaker.as_str().to_owned()),
            (
                "failures",
                if status.failures == 0 { String::new() } else { format!("{} in a row", status.failures) },
            ),
            ("next try", status.next_try_at.map(|at| at.to_string()).unwrap_or_default()),
            ("replays", if status.replay == 0 { String::new() } else { status.replay.to_string() }),
            ("dead letters", human::count(status.dead_letters)),
            (
                "stopped before",
                status
                    .held
                    .as_ref()
                    .map(|hold| format!("version {} of {}", hold.version, hold.stream))
                    .unwrap_or_default(),
            ),
            ("trouble", output::trouble(status.trouble.as_ref())),
        ],
        out,
    )
}
