//! The rows of the CRM's table and of its copy, compared column by column.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// The columns, of which the first is the key.
pub(super) const COLUMNS: [&str; 7] =
    ["contact_no", "customer_no", "name", "email", "budget", "visited_at", "notes"];

/// A row as texts, with nothing where the database has NULL.
pub(in crate::demo) type Row = [Option<String>; COLUMNS.len()];

/// All rows of a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::demo) struct Rows(Vec<Row>);

/// How a copy differs, by the keys of the rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::demo) struct Unlike {
    missing: Vec<String>,
    surplus: Vec<String>,
    changed: Vec<String>,
}

impl Rows {
    /// Reads a table of a SQLite database; none when there is no such table yet.
    pub(in crate::demo) fn read(database: &Connection, table: &str) -> rusqlite::Result<Self> {
        let exists = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?1")?.exists([table])?;
        if !exists {
            return Ok(Self::default());
        }
        let mut statement = database.prepare(&format!("SELECT {} FROM {table}", COLUMNS.join(", ")))?;
        let rows = statement.query_map([], |row| {
            let mut texts = Row::default();
            for (column, value) in texts.iter_mut().enumerate() {
                *value = text(row.get_ref(column)?);
            }
            Ok(texts)
        })?;
        rows.collect::<Result<_, _>>().map(Self)
    }

    /// How many there are.
    pub(in crate::demo) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// How `copy` differs from this.
    pub(in crate::demo) fn compare(&self, copy: &Self) -> Unlike {
        let mut balance = BTreeMap::<&Row, i64>::new();
        self.0.iter().for_each(|row| *balance.entry(row).or_default() += 1);
        copy.0.iter().for_each(|row| *balance.entry(row).or_default() -= 1);
        let keys = |wanted: fn(i64) -> bool| -> BTreeSet<&str> {
            let rows = balance.iter().filter(|(_, balance)| wanted(**balance));
            rows.map(|(row, _)| row[0].as_deref().unwrap_or_default()).collect()
        };
        let (here, there) = (keys(|balance| balance > 0), keys(|balance| balance < 0));
        let owned = |keys: &mut dyn Iterator<Item = &&str>| keys.map(|key| (*key).to_owned()).collect();
        Unlike {
            missing: owned(&mut here.difference(&there)),
            surplus: owned(&mut there.difference(&here)),
            changed: owned(&mut here.intersection(&there)),
        }
    }
}

impl FromIterator<Row> for Rows {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl Unlike {
    /// Whether it does not differ at all.
    pub(in crate::demo) fn is_none(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty() && self.changed.is_empty()
    }
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXAMPLES: usize = 5;
        let part = |keys: &[String], word: &str| {
            let named = keys.iter().take(EXAMPLES).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if keys.len() > EXAMPLES { ", …" } else { "" };
            (!keys.is_empty()).then(|| format!("{} {word} ({named}{more})", keys.len()))
        };
        let parts = [
            part(&self.missing, "missing"),
            part(&self.surplus, "too many"),
            part(&self.changed, "not equal"),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(value.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: &str, budget: &str) -> Row {
        let mut row = Row::default();
        row[0] = Some(number.to_owned());
        row[4] = Some(budget.to_owned());
        row
    }

    #[test]
    fn a_copy_is_told_by_what_is_missing_too_much_and_not_equal() {
        let rows: Rows = [row("1", "5.00"), row("2", "5.00"), row("3", "5.00")].into_iter().collect();
        let copy: Rows = [row("1", "5.00"), row("2", "5.0"), row("4", "5.00")].into_iter().collect();
        assert_eq!(rows.compare(&copy).to_string(), "1 missing (3), 1 too many (4), 1 not equal (2)");
        assert!(rows.compare(&rows).is_none() && !rows.compare(&copy).is_none());
    }

    #[test]
    fn a_row_that_is_there_twice_is_too_many() {
        let rows: Rows = [row("1", "5.00")].into_iter().collect();
        let copy: Rows = [row("1", "5.00"), row("1", "5.00")].into_iter().collect();
        assert_eq!(rows.compare(&copy).to_string(), "1 too many (1)");
    }
}
