//! What the CRM's application writes, made up from a seed: the same seed gives the same statements.
//!
//! Each day has new contacts, changed ones, some that get another number and some that go. The statements are such that
//! PostgreSQL and SQLite take them alike. Once a day the application deletes everything and thinks better of it.

use std::fmt::Write;
use std::ops::Range;

use super::super::account::decimal;
use super::super::export::words::{FAMILIES, NOTES, pick};

const FIRST_NUMBER: i64 = 1_001;
/// Customers of the ERP that contacts belong to.
const CUSTOMERS: Range<i64> = 10_001..10_400;
/// In hundredths.
const BUDGETS: Range<i64> = 0..5_000_000;
/// Changes that the application commits together.
const IN_A_TRANSACTION: usize = 8;
/// One of so many new contacts comes with the report of a visit.
const VISITED_ONE_IN: u64 = 12;
/// So many sentences make a report that PostgreSQL stores apart from its row.
const REPORT_SENTENCES: usize = 120;
/// One of these has the quote in it that SQL must not trip over.
const FIRST_NAMES: &[&str] = &["Anneliese", "Jörg", "Zoë", "Łukasz", "Fátima", "D'Arcy", "Søren", "Ülkü"];

/// The changes of a day, over and over.
const DAY: [Change; 10] = [
    Change::Insert,
    Change::Update,
    Change::Update,
    Change::Rename,
    Change::Insert,
    Change::Update,
    Change::Delete,
    Change::Update,
    Change::Insert,
    Change::Update,
];

#[derive(Clone, Copy, Debug)]
enum Change {
    Insert,
    Update,
    Rename,
    Delete,
}

/// The CRM's application.
#[derive(Debug)]
pub(super) struct Contacts {
    table: &'static str,
    rng: fastrand::Rng,
    per_day: u64,
    day: u64,
    numbers: Vec<i64>,
    next: i64,
    written: Written,
}

/// How much was written so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::demo) struct Written {
    pub(in crate::demo) inserts: u64,
    pub(in crate::demo) updates: u64,
    /// Changes of the key.
    pub(in crate::demo) renames: u64,
    pub(in crate::demo) deletes: u64,
}

impl Written {
    /// How many records the source makes of it: a change of the key is a delete and a create.
    pub(in crate::demo) fn records(&self) -> u64 {
        self.inserts + self.updates + 2 * self.renames + self.deletes
    }
}

impl Contacts {
    /// An application that writes to this table, with so many contacts at first and as many changes a day.
    pub(super) fn new(table: &'static str, seed: u64, per_day: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            table,
            rng,
            per_day,
            day: 0,
            numbers: Vec::new(),
            next: FIRST_NUMBER,
            written: Written::default(),
        }
    }

    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// The statements that fill the table before anyone reads it.
    pub(super) fn fill(&mut self) -> String {
        let inserts: String = (0..self.per_day).map(|_| self.insert()).collect();
        format!("BEGIN;\n{inserts}COMMIT;\n")
    }

    /// The statements of the next day.
    pub(super) fn next_day(&mut self) -> String {
        self.day += 1;
        let changes: Vec<_> =
            DAY.iter().cycle().zip(0..self.per_day).map(|(change, _)| self.change(*change)).collect();
        let mut script = String::new();
        for transaction in changes.chunks(IN_A_TRANSACTION) {
            script += &format!("BEGIN;\n{}COMMIT;\n", transaction.concat());
        }
        script + &format!("BEGIN;\nDELETE FROM {};\nROLLBACK;\n", self.table)
    }

    fn change(&mut self, change: Change) -> String {
        let table = self.table;
        let chosen = self.rng.usize(..self.numbers.len().max(1));
        // A day has more new contacts than it deletes, so there is always one to choose.
        let Some(&number) = self.numbers.get(chosen) else { return self.insert() };
        let mut sql = String::new();
        let written = match change {
            Change::Insert => return self.insert(),
            Change::Update => {
                let (budget, visited_at) = (self.budget(), self.visited_at());
                write!(sql, "UPDATE {table} SET budget = '{budget}', visited_at = '{visited_at}'")
                    .map(|()| &mut self.written.updates)
            }
            Change::Rename => {
                self.numbers[chosen] = self.next;
                self.next += 1;
                write!(sql, "UPDATE {table} SET contact_no = {}", self.numbers[chosen])
                    .map(|()| &mut self.written.renames)
            }
            Change::Delete => {
                self.numbers.swap_remove(chosen);
                write!(sql, "DELETE FROM {table}").map(|()| &mut self.written.deletes)
            }
        };
        *written.expect("text takes all that is written to it") += 1;
        sql + &format!(" WHERE contact_no = {number};\n")
    }

    fn insert(&mut self) -> String {
        let number = self.next;
        self.next += 1;
        self.numbers.push(number);
        self.written.inserts += 1;
        let rng = &mut self.rng;
        let (customer, first, family) = (rng.i64(CUSTOMERS), pick(rng, FIRST_NAMES), pick(rng, FAMILIES));
        let email = (rng.u32(..4) > 0).then(|| format!("kontakt-{number}@kunde-{customer}.example"));
        let visited = rng.u64(..VISITED_ONE_IN) == 0;
        let report = visited.then(|| {
            let sentences = (0..REPORT_SENTENCES).map(|_| *pick(rng, NOTES)).collect::<Vec<_>>();
            sentences.join(".\n")
        });
        let visited_at = visited.then(|| self.visited_at());
        let values = [
            Some(number.to_string()),
            Some(customer.to_string()),
            Some(format!("{first} {family}")),
            email,
            Some(self.budget()),
            visited_at,
            report,
        ];
        format!("INSERT INTO {} VALUES ({});\n", self.table, values.map(literal).join(", "))
    }

    fn budget(&mut self) -> String {
        decimal(self.rng.i64(BUDGETS))
    }

    fn visited_at(&mut self) -> String {
        let (hour, minute, micros) = (self.rng.u32(8..18), self.rng.u32(..60), self.rng.u32(..1_000_000));
        format!("2026-03-{:02}T{hour:02}:{minute:02}:00.{micros:06}Z", 2 + self.day % 28)
    }
}

fn literal(value: Option<String>) -> String {
    value.map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::super::sqlite::TABLE;
    use super::*;

    const SEED: u64 = 7;

    #[test]
    fn the_same_seed_gives_the_same_statements_and_another_seed_others() {
        let days = |seed| {
            let mut contacts = Contacts::new(TABLE, seed, 50);
            [contacts.fill(), contacts.next_day(), contacts.next_day()]
        };
        assert_eq!(days(SEED), days(SEED));
        assert_ne!(days(SEED), days(SEED + 1));
    }

    #[test]
    fn what_is_said_to_be_written_is_what_a_trigger_sees_committed() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let seen = "CREATE TABLE seen (what TEXT);
            CREATE TRIGGER i AFTER INSERT ON contacts BEGIN INSERT INTO seen VALUES ('insert'); END;
            CREATE TRIGGER d AFTER DELETE ON contacts BEGIN INSERT INTO seen VALUES ('delete'); END;
            CREATE TRIGGER u AFTER UPDATE ON contacts BEGIN
                INSERT INTO seen VALUES (CASE WHEN old.contact_no = new.contact_no THEN 'update' ELSE 'rename' END);
            END;";
        database.execute_batch(super::super::sqlite::SCHEMA).unwrap();
        database.execute_batch(seen).unwrap();
        let mut contacts = Contacts::new(TABLE, SEED, 40);
        database.execute_batch(&contacts.fill()).unwrap();
        for _ in 0..5 {
            database.execute_batch(&contacts.next_day()).unwrap();
        }
        let count =
            |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
        let seen = |what| count(&format!("SELECT count(*) FROM seen WHERE what = '{what}'"));
        let Written { inserts, updates, renames, deletes } = contacts.written();
        assert_eq!([inserts, updates, renames, deletes], ["insert", "update", "rename", "delete"].map(seen));
        assert!(renames > 0 && deletes > 0);
        assert_eq!(count("SELECT count(*) FROM contacts"), inserts - deletes);
        let budgets = count("SELECT count(*) FROM contacts WHERE CAST(budget AS REAL) BETWEEN 0 AND 50000");
        assert_eq!(budgets, inserts - deletes, "each fits the columns of both databases");
    }

    #[test]
    fn some_reports_are_longer_than_a_row_of_postgresql_holds_by_itself() {
        let mut contacts = Contacts::new(TABLE, SEED, 100);
        assert!(contacts.fill().lines().count() > REPORT_SENTENCES);
        assert!(REPORT_SENTENCES * NOTES.iter().map(|note| note.len()).min().unwrap() > 700);
    }
}
