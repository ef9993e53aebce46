//! Expected against found: every row accounted for, once, unaltered, in order of its key.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::data::{DropFile, Feed, Row};

const EXAMPLES: usize = 5;

/// What was expected of a sink and what has been found in it so far. Takes rows as they are read, so that a run of
/// hundreds of rounds reads each row once.
#[derive(Clone, Default, Debug)]
pub struct Account {
    expected: BTreeMap<Feed, Expected>,
    found: HashMap<Feed, Found>,
    faults: Faults,
}

#[derive(Clone, Default, Debug)]
struct Expected {
    hash_of: HashMap<u64, u64>,
    dead_letters: usize,
}

#[derive(Clone, Default, Debug)]
struct Found {
    seen: HashSet<u64>,
    last_of_key: HashMap<String, u64>,
}

/// What is wrong.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Rows that never arrived.
    pub lost: usize,
    /// Rows that arrived more than once.
    pub doubled: usize,
    /// Rows that arrived with other values, or that nobody sent.
    pub altered: usize,
    /// Rows that arrived after a later row of their key.
    pub disordered: usize,
    /// The first few of them in words.
    pub examples: Vec<String>,
}

impl Account {
    /// Expects what a dropped file holds.
    pub fn expect(&mut self, file: &DropFile) {
        let expected = self.expected.entry(file.feed).or_default();
        expected.dead_letters += file.bad;
        expected.hash_of.extend(file.rows.iter().map(|row| (row.seq, hash(&row.values))));
    }

    /// How many rows are expected in all.
    pub fn expected_rows(&self) -> usize {
        self.expected.values().map(|of_feed| of_feed.hash_of.len()).sum()
    }

    /// How many rows of a feed are expected.
    pub fn expected_rows_of(&self, feed: Feed) -> usize {
        self.expected.get(&feed).map_or(0, |of_feed| of_feed.hash_of.len())
    }

    /// How many dead letters of a feed are expected.
    pub fn expected_dead_letters(&self, feed: Feed) -> usize {
        self.expected.get(&feed).map_or(0, |of_feed| of_feed.dead_letters)
    }

    /// How many different rows have been found.
    pub fn found_rows(&self) -> usize {
        self.found.values().map(|found| found.seen.len()).sum()
    }

    /// Takes a row that was read from the sink, in the order of the sink.
    pub fn found(&mut self, feed: Feed, values: Vec<Option<String>>) {
        let Some((seq, key)) = feed.identify(&values) else {
            self.faults.altered += 1;
            return self.faults.example(format!("{}: no row that was sent: {values:?}", feed.stream()));
        };
        let row = Row { seq, key, values };
        let place = |row: &Row| format!("{} row {} of key {}", feed.stream(), row.seq, row.key);
        let found = self.found.entry(feed).or_default();
        match self.expected.get(&feed).and_then(|expected| expected.hash_of.get(&row.seq)) {
            Some(sent) if *sent == hash(&row.values) => {}
            Some(_) => {
                self.faults.altered += 1;
                self.faults.example(format!("{} arrived altered: {:?}", place(&row), row.values));
            }
            None => {
                self.faults.altered += 1;
                self.faults.example(format!("{} was never sent: {:?}", place(&row), row.values));
            }
        }
        if !found.seen.insert(row.seq) {
            self.faults.doubled += 1;
            return self.faults.example(format!("{} arrived again", place(&row)));
        }
        if let Some(last) = found.last_of_key.get(&row.key).filter(|last| **last > row.seq) {
            self.faults.disordered += 1;
            self.faults.example(format!("{} arrived after row {last}", place(&row)));
        }
        found.last_of_key.insert(row.key, row.seq);
    }

    /// What is wrong so far; rows that have not arrived yet count as lost.
    pub fn faults(&self) -> Faults {
        let mut faults = self.faults.clone();
        let nothing = HashSet::new();
        for (feed, expected) in &self.expected {
            let seen = self.found.get(feed).map_or(&nothing, |found| &found.seen);
            let mut lost: Vec<_> = expected.hash_of.keys().filter(|seq| !seen.contains(seq)).collect();
            lost.sort_unstable();
            faults.lost += lost.len();
            if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
                faults.example(format!(
                    "{}: {} rows lost, from {first} to {last}",
                    feed.stream(),
                    lost.len()
                ));
            }
        }
        faults
    }

    /// The same expectation with nothing found yet, for reading a sink anew.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { expected: self.expected.clone(), ..Self::default() }
    }
}

impl Faults {
    /// Whether nothing is wrong.
    pub fn is_none(&self) -> bool {
        self.lost + self.doubled + self.altered + self.disordered == 0
    }

    /// The same with the name of the sink before each example.
    #[must_use]
    pub fn named(mut self, sink: &str) -> Self {
        self.examples.iter_mut().for_each(|example| example.insert_str(0, &format!("{sink}: ")));
        self
    }

    /// The faults of two sinks together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            altered: self.altered + other.altered,
            disordered: self.disordered + other.disordered,
            examples: self.examples.into_iter().chain(other.examples).collect(),
        }
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text);
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, altered, disordered, examples } = self;
        write!(f, "{lost} lost, {doubled} doubled, {altered} altered, {disordered} out of order")?;
        examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}

fn hash(values: &[Option<String>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Generator, Mix};

    fn account() -> (Account, Vec<(Feed, Row)>) {
        let mut generator = Generator::new(1, Mix { lines: 50..=60, duplicates: 0.0, ..Mix::default() });
        let mut account = Account::default();
        let mut rows = Vec::new();
        for feed in Feed::ALL {
            let file = generator.file(feed).unwrap();
            account.expect(&file);
            rows.extend(file.rows.into_iter().map(|row| (feed, row)));
        }
        (account, rows)
    }

    fn faults_after(change: impl FnOnce(&mut Vec<(Feed, Row)>)) -> Faults {
        let (mut account, mut rows) = account();
        change(&mut rows);
        rows.into_iter().for_each(|(feed, row)| account.found(feed, row.values));
        account.faults()
    }

    #[test]
    fn rows_that_arrive_once_and_in_order_are_no_fault() {
        let faults = faults_after(|_| {});
        assert!(faults.is_none(), "{faults}");
    }

    #[test]
    fn a_row_that_did_not_arrive_is_lost() {
        let faults = faults_after(|rows| drop(rows.remove(7)));
        assert_eq!((faults.lost, faults.doubled), (1, 0), "{faults}");
    }

    #[test]
    fn a_row_that_arrived_twice_is_doubled() {
        let faults = faults_after(|rows| rows.push(rows[7].clone()));
        assert_eq!((faults.lost, faults.doubled, faults.disordered), (0, 1, 0), "{faults}");
    }

    #[test]
    fn a_changed_value_is_told() {
        let faults = faults_after(|rows| rows[7].1.values[3] = Some("other".to_owned()));
        assert_eq!((faults.altered, faults.lost), (1, 0), "{faults}");
    }

    #[test]
    fn rows_of_one_key_that_changed_places_are_told() {
        let faults = faults_after(|rows| {
            let key = rows[0].1.key.clone();
            let other = rows.iter().skip(1).position(|(_, row)| row.key == key).unwrap() + 1;
            rows.swap(0, other);
        });
        assert!(faults.disordered > 0, "{faults}");
    }

    #[test]
    fn rows_of_different_keys_may_change_places() {
        let faults = faults_after(|rows| {
            let other = rows.iter().position(|(_, row)| row.key != rows[0].1.key).unwrap();
            rows.swap(0, other);
            let (first, swapped) = (&rows[0].1, &rows[other].1);
            assert_ne!(first.key, swapped.key);
        });
        assert_eq!((faults.lost, faults.doubled, faults.altered), (0, 0, 0), "{faults}");
    }
}
