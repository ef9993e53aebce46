//! The account of what was dropped: every row of it, not only how many.

use std::collections::HashMap;
use std::fmt;

use super::stream::Stream;

/// A row, by the number that it carries and its amount in hundredths, which a sink must give back exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Row {
    pub(super) number: i64,
    pub(super) hundredths: i64,
}

/// How often each row is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally(HashMap<Row, u64>);

/// What one file adds to the account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Share {
    pub(super) stream: Stream,
    /// The rows that must arrive, in the order of the file.
    pub(super) good: Vec<Row>,
    /// How many rows must become dead letters.
    pub(super) bad: u64,
    /// Whether another file had the same content before, so that none of its rows may arrive.
    pub(super) duplicate: bool,
}

/// What must have arrived of a stream when everything has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Expected {
    /// Every row that was dropped: good, bad or repeated.
    pub(super) dropped: u64,
    /// Rows that must become dead letters.
    pub(super) bad: u64,
    /// Rows of files that were dropped a second time.
    pub(super) duplicate: u64,
    all: Tally,
    latest: HashMap<i64, i64>,
}

/// The account of everything that was dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    streams: [Expected; Stream::ALL.len()],
    /// How many files were dropped.
    pub(super) files: u64,
    /// How many of them had the content of another.
    pub(super) duplicate_files: u64,
}

/// How what was found differs from what was expected.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Difference {
    /// Rows that are not there, and how often.
    pub(super) missing: Vec<(Row, u64)>,
    /// Rows that are there too often or should not be there.
    pub(super) surplus: Vec<(Row, u64)>,
}

impl Tally {
    /// Counts one more row.
    pub(super) fn add(&mut self, row: Row) {
        *self.0.entry(row).or_default() += 1;
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.0.values().sum()
    }

    /// How `found` differs from this.
    pub(super) fn compare(&self, found: &Self) -> Difference {
        let more = |these: &Self, those: &Self| {
            let mut more: Vec<_> = these
                .0
                .iter()
                .map(|(row, count)| (*row, count.saturating_sub(those.0.get(row).copied().unwrap_or(0))))
                .filter(|(_, count)| *count > 0)
                .collect();
            more.sort_unstable();
            more
        };
        Difference { missing: more(self, found), surplus: more(found, self) }
    }
}

impl FromIterator<Row> for Tally {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut tally = Self::default();
        rows.into_iter().for_each(|row| tally.add(row));
        tally
    }
}

impl Expected {
    /// How many rows must arrive.
    pub(super) fn good(&self) -> u64 {
        self.dropped - self.bad - self.duplicate
    }

    /// What a sink must hold that appends.
    pub(super) fn all(&self) -> &Tally {
        &self.all
    }

    /// What a sink must hold that keeps the latest row of each number.
    pub(super) fn latest(&self) -> Tally {
        self.latest.iter().map(|(&number, &hundredths)| Row { number, hundredths }).collect()
    }

    fn add(&mut self, share: &Share) {
        let rows = share.good.len() as u64;
        self.dropped += rows + share.bad;
        if share.duplicate {
            self.duplicate += rows + share.bad;
            return;
        }
        self.bad += share.bad;
        for row in &share.good {
            self.all.add(*row);
            self.latest.insert(row.number, row.hundredths);
        }
    }
}

impl Account {
    /// Takes in a file that was dropped.
    pub(super) fn add(&mut self, share: &Share) {
        self.files += 1;
        self.duplicate_files += u64::from(share.duplicate);
        self.streams[share.stream as usize].add(share);
    }

    /// What must have arrived of a stream.
    pub(super) fn of(&self, stream: Stream) -> &Expected {
        &self.streams[stream as usize]
    }
}

impl Difference {
    /// Whether nothing is missing and nothing too much.
    pub(super) fn is_none(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXAMPLES: usize = 5;
        let part = |rows: &[(Row, u64)], word: &str| {
            let total: u64 = rows.iter().map(|(_, count)| count).sum();
            let named = rows.iter().take(EXAMPLES).map(|(row, _)| row.number.to_string());
            let named = named.collect::<Vec<_>>().join(", ");
            let more = if rows.len() > EXAMPLES { ", …" } else { "" };
            (total > 0).then(|| format!("{total} {word} ({named}{more})"))
        };
        let parts = [part(&self.missing, "missing"), part(&self.surplus, "too many")];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Hundredths as they are written: `-12.05`.
pub(super) fn decimal(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let whole = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", whole / 100, whole % 100)
}

/// Reads a number as exact hundredths; `None` if it is none, or has more than two digits after the point.
pub(super) fn hundredths(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (cents, rest) = fraction.split_at_checked(2).unwrap_or((fraction, ""));
    if whole.is_empty() || !all_digits(whole) || !all_digits(cents) || rest.bytes().any(|b| b != b'0') {
        return None;
    }
    let cents: i64 = format!("{cents:0<2}").parse().ok()?;
    let value = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(cents)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: i64, hundredths: i64) -> Row {
        Row { number, hundredths }
    }

    fn share(good: &[Row], bad: u64, duplicate: bool) -> Share {
        Share { stream: Stream::Customers, good: good.to_vec(), bad, duplicate }
    }

    #[test]
    fn a_changed_row_is_expected_twice_where_all_are_kept_and_once_where_the_latest_is() {
        let mut account = Account::default();
        account.add(&share(&[row(1, 100), row(2, 200)], 1, false));
        account.add(&share(&[row(1, 150)], 0, false));
        account.add(&share(&[row(1, 150)], 0, true));
        let expected = account.of(Stream::Customers);
        assert_eq!((expected.dropped, expected.good(), expected.bad, expected.duplicate), (5, 3, 1, 1));
        assert_eq!(expected.all().rows(), 3);
        assert_eq!(expected.latest(), [row(1, 150), row(2, 200)].into_iter().collect());
        assert_eq!((account.files, account.duplicate_files), (3, 1));
    }

    #[test]
    fn a_lost_row_is_told_even_if_another_came_twice() {
        let expected: Tally = [row(1, 100), row(2, 200)].into_iter().collect();
        let found: Tally = [row(1, 100), row(1, 100)].into_iter().collect();
        assert_eq!(expected.rows(), found.rows());
        let difference = expected.compare(&found);
        assert_eq!(difference.to_string(), "1 missing (2), 1 too many (1)");
        assert!(!difference.is_none() && expected.compare(&expected).is_none());
    }

    #[test]
    fn hundredths_are_read_as_they_are_written() {
        for value in [0, 5, -5, 99, 100, 12_345, -1_205] {
            assert_eq!(hundredths(&decimal(value)), Some(value));
        }
        assert_eq!(hundredths("7"), Some(700));
        assert_eq!(hundredths("7.5"), Some(750));
        assert_eq!(hundredths("7.500"), Some(750));
        for text in ["", "-", "x", "1.234", "1,5", ".5"] {
            assert_eq!(hundredths(text), None, "{text}");
        }
    }
}
