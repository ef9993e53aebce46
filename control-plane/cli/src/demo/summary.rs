//! The reckoning: what was dropped beside what arrived.

use std::fmt;

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

use super::account::{Account, Difference};
use super::figures::count;
use super::observe::Observation;
use super::results::Results;
use super::stream::Stream;

const HEADER: [&str; 8] = [
    "stream",
    "dropped",
    "good",
    "bad",
    "in a repeated file",
    "dead letters",
    "in the outbox",
    "in the database",
];

/// What was dropped beside what arrived.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    lines: Vec<[String; HEADER.len()]>,
    faults: Vec<String>,
}

impl Summary {
    /// Compares what arrived with what was dropped, row by row.
    pub(super) fn new(account: &Account, results: &Results, seen: &Observation) -> Self {
        let mut summary = Self { lines: Vec::new(), faults: Vec::new() };
        for stream in Stream::ALL {
            let expected = account.of(stream);
            let (outbox, database) = (results.outbox(stream), results.database(stream));
            let letters = seen.dead_letters(stream);
            summary.lines.push([
                stream.name().to_owned(),
                count(expected.dropped),
                count(expected.good()),
                count(expected.bad),
                count(expected.duplicate),
                count(letters),
                count(outbox.rows()),
                count(database.rows()),
            ]);
            summary.differ(stream, "outbox", &expected.all().compare(outbox));
            let kept = if stream.is_keyed() { &expected.latest() } else { expected.all() };
            summary.differ(stream, "database", &kept.compare(database));
            if letters != expected.bad {
                let (name, bad) = (stream.name(), expected.bad);
                summary.faults.push(format!("{name}: {bad} bad rows became {letters} dead letters"));
            }
        }
        let refused = seen.refused_by_sinks();
        if refused > 0 {
            summary.faults.push(format!("the sinks refused {refused} rows; see `towpath deadletters list`"));
        }
        summary
    }

    /// Whether every row is accounted for exactly.
    pub(super) fn is_balanced(&self) -> bool {
        self.faults.is_empty()
    }

    fn differ(&mut self, stream: Stream, sink: &str, difference: &Difference) {
        if !difference.is_none() {
            self.faults.push(format!("{} in the {sink}: {difference}", stream.name()));
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Builder::default();
        table.push_record(HEADER);
        self.lines.iter().for_each(|line| table.push_record(line));
        let mut table = table.build();
        table.with(Style::blank()).modify(Columns::new(1..), Alignment::right());
        writeln!(f, "{table}\n")?;
        if self.is_balanced() {
            writeln!(
                f,
                "Every row is accounted for. The outbox has each good row once; the database has the latest row of"
            )?;
            return writeln!(f, "each customer and order, and every stock movement.");
        }
        writeln!(f, "Not every row is accounted for:")?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}
