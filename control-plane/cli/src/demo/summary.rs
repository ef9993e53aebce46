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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::crm::Row;
    use super::super::observe::Files;
    use super::super::place::Place;
    use super::*;

    const WRITTEN: Written = Written { inserts: 2, updates: 1, renames: 1, deletes: 0 };

    fn seen(logged: u64) -> Observation {
        let fleet = json!({
            "at": "2026-03-02T09:00:00Z", "version": "1", "generation": 1,
            "agents": [], "sources": [], "logs": [], "routes": [], "sinks": [],
        });
        let stream = json!({
            "name": crm::STREAM, "records": logged, "bytes": 1, "dead_letters": 0, "sources": [], "routes": [],
        });
        let (fleet, stream) =
            (serde_json::from_value(fleet).unwrap(), serde_json::from_value(stream).unwrap());
        Observation { fleet, streams: vec![stream], letters: Vec::new(), files: Files::default() }
    }

    fn contacts(budget: &str) -> Rows {
        let row = |number: &str, budget: &str| -> Row {
            [Some(number), Some("10001"), Some("Jörg Weiß"), None, Some(budget), None, None]
                .map(|text| text.map(str::to_owned))
        };
        [row("1001", "250.00"), row("1003", budget)].into_iter().collect()
    }

    /// A summary with a copy that has the budget of 5.50.
    fn summary(contacts: &Rows, logged: u64) -> Summary {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::fresh(Some(&directory.path().join("demo"))).unwrap();
        let copy = rusqlite::Connection::open(place.database()).unwrap();
        let sql = "CREATE TABLE crm_contacts (contact_no INTEGER PRIMARY KEY, customer_no INTEGER, name TEXT,
                email TEXT, budget TEXT, visited_at TEXT, notes TEXT);
            INSERT INTO crm_contacts VALUES
                (1001, 10001, 'Jörg Weiß', NULL, '250.00', NULL, NULL),
                (1003, 10001, 'Jörg Weiß', NULL, '5.50', NULL, NULL);";
        copy.execute_batch(sql).unwrap();
        let results = Results::read(&place).unwrap();
        Summary::new(&Account::default(), (WRITTEN, contacts), &results, &seen(logged))
    }

    #[test]
    fn a_copy_that_is_equal_in_every_column_is_balanced() {
        let summary = summary(&contacts("5.50"), WRITTEN.records());
        assert!(summary.is_balanced(), "{summary}");
        assert!(summary.to_string().contains("copy of the CRM's 2 contacts is equal"), "{summary}");
    }

    #[test]
    fn a_contact_that_differs_in_one_column_is_told_by_its_key() {
        let summary = summary(&contacts("5.51"), WRITTEN.records());
        assert!(!summary.is_balanced());
        let said = summary.to_string();
        assert!(said.contains("crm.contacts in the database: 1 not equal (1003)"), "{said}");
    }

    #[test]
    fn a_change_that_never_reached_the_log_is_told_even_if_the_tables_are_equal() {
        let summary = summary(&contacts("5.50"), WRITTEN.records() - 1);
        assert!(!summary.is_balanced());
        assert!(summary.to_string().contains("crm.contacts: 4 of 5 changes are in the log"), "{summary}");
    }
}
