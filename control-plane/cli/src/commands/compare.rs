//! `towpath compare`

use std::io::Write;

use towpath_resource::api::{CompareLine, CompareOrder, StreamVerdict};

use crate::args::CompareArgs;
use crate::client::{Client, ClientError};
use crate::error::CliError;
use crate::human;
use crate::output;

pub(super) async fn run(client: &Client, args: &CompareArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let order = CompareOrder {
        repair: args.repair,
        limit: args.limit,
        rows_per_second: args.rows_per_second,
        settle: args.settle,
    };
    let mut lines = client.compare(&args.route, &order).await?;
    let mut unequal = Vec::new();
    while let Some(line) = lines.next().await? {
        output::next(args.output, &line, out, |out| show(&line, out))?;
        // Streams are compared one after the other and may take long.
        out.flush()?;
        match line {
            CompareLine::Compared(verdict) if !verdict.is_equal() => unequal.push(verdict.stream.to_string()),
            CompareLine::Error(error) => return Err(ClientError::EndedEarly(error).into()),
            _ => {}
        }
    }
    if unequal.is_empty() {
        return Ok(());
    }
    let remedy = if args.repair { "" } else { "; `--repair` sends what differs again from the source" };
    Err(CliError::NotAsItShould(format!("source and sink are not equal in {}{remedy}", unequal.join(", "))))
}

fn show(line: &CompareLine, out: &mut dyn Write) -> std::io::Result<()> {
    match line {
        CompareLine::Summed(sums) => writeln!(
            out,
            "{}: {} rows at source {}, {} at the sink; {} of {} parts differ at first sight",
            sums.stream,
            human::count(sums.rows_at_source),
            sums.source,
            human::count(sums.rows_at_sink),
            human::count(sums.parts_that_differ),
            human::count(sums.parts),
        ),
        CompareLine::Differs(row) => writeln!(out, "  {}  {}", human::harmless(&row.key), row.kind.as_str()),
        CompareLine::Compared(verdict) => writeln!(out, "{}: {}", verdict.stream, words(verdict)),
        CompareLine::Error(_) => Ok(()),
    }
}

fn words(verdict: &StreamVerdict) -> String {
    let mut words = if verdict.is_equal() { "equal".to_owned() } else { "not equal".to_owned() };
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            words.push_str(&format!(", {} {what}", human::count(count)));
        }
    };
    say(verdict.settled, "were only on their way");
    say(verdict.differing, "differ");
    say(verdict.repaired, "of them repaired");
    if verdict.truncated {
        words.push_str("; there may be more than were listed");
    }
    words
}
