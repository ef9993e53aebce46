//! The reckoning: what was written beside what arrived.

use std::fmt::{self, Display};

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

use super::account::Account;
use super::crm::{self, Rows, Written};
use super::figures::count;
use super::observe::Observation;
use super::results::Results;
use super::stream::Stream;

const HEADER: [&str; 8] = [
    "stream",
    "written",
    "good",
    "bad",
    "in a repeated file",
    "dead letters",
    "in the outbox",
    "in the database",
];

/// What was written beside what arrived.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    lines: Vec<[String; HEADER.len()]>,
    contacts: u64,
    faults: Vec<String>,
}

impl Summary {
    /// Compares what arrived with what was written, row by row: with the account of the files, and with the table that
    /// the CRM's application wrote to.
    pub(super) fn new(
        account: &Account,
        (written, contacts): (Written, &Rows),
        results: &Results,
        seen: &Observation,
    ) -> Self {
        let mut summary = Self { lines: Vec::new(), contacts: contacts.count(), faults: Vec::new() };
        for stream in Stream::ALL {
            let expected = account.of(stream);
            let (outbox, database) = (results.outbox(stream), results.database(stream));
            let letters = seen.dead_letters(stream.name());
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
            let difference = expected.all().compare(outbox);
            summary.differ(stream.name(), "outbox", difference.is_none(), &difference);
            let kept = if stream.is_keyed() { &expected.latest() } else { expected.all() };
            let difference = kept.compare(database);
            summary.differ(stream.name(), "database", difference.is_none(), &difference);
            summary.bury(stream.name(), expected.bad, letters);
        }
        summary.reckon_contacts(written, contacts, results, seen);
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

    /// The CRM's table is itself the account of its rows. What its user changes in it besides the sample is welcome.
    fn reckon_contacts(&mut self, written: Written, contacts: &Rows, results: &Results, seen: &Observation) {
        let (logged, letters) = (seen.logged(crm::STREAM), seen.dead_letters(crm::STREAM));
        let (records, none) = (written.records(), String::new);
        let copy = results.contacts();
        self.lines.push([
            crm::STREAM.to_owned(),
            count(records),
            count(records),
            count(0),
            none(),
            count(letters),
            none(),
            count(copy.count()),
        ]);
        if logged < records {
            self.faults.push(format!("{}: {logged} of {records} changes are in the log", crm::STREAM));
        }
        let difference = contacts.compare(copy);
        self.differ(crm::STREAM, "database", difference.is_none(), &difference);
        self.bury(crm::STREAM, 0, letters);
    }

    fn differ(&mut self, stream: &str, sink: &str, is_equal: bool, difference: &dyn Display) {
        if !is_equal {
            self.faults.push(format!("{stream} in the {sink}: {difference}"));
        }
    }

    fn bury(&mut self, stream: &str, bad: u64, letters: u64) {
        if letters != bad {
            self.faults.push(format!("{stream}: {bad} bad rows became {letters} dead letters"));
        }
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Builder::default();
        table.push_record(HEADER);
        self.lines.iter().for_each(|line| table.push_record(line));
        let mut table = table.build();
        table.with(Style::blank()).modify(Columns::new(1..), Alignment::right());
        writeln!(f, "{table}\n")?;
        if self.is_balanced() {
            return writeln!(
                f,
                "Every row is accounted for. The outbox has each good row once; the database has the latest row of\n\
                 each customer and order, and every stock movement. Its copy of the CRM's {} contacts is equal to the\n\
                 original, row by row and column by column.",
                count(self.contacts)
            );
        }
        writeln!(f, "Not every row is accounted for:")?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}
