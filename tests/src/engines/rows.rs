//! The rows of a table in one form, whatever holds them: what two systems are compared by, without the help of what
//! is being tested.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::types::ValueRef;
use rusqlite::{OpenFlags, params};

use super::{Connection, Dialect};

/// A table in one form: the row by its key.
pub type Table = BTreeMap<Vec<String>, Vec<Option<String>>>;

/// How the values of a column are brought into one form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// As they are.
    Plain,
    /// True or false, by many words.
    Flag,
    /// A date and time, with as many digits after the second as it needs.
    Moment,
}

/// The columns of a table that are compared, the key first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The columns and their kinds.
    pub columns: Vec<(String, Kind)>,
    /// How many of them are the key.
    pub key: usize,
}

/// How two tables differ.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Differences {
    /// Rows that only the source has.
    pub missing: Vec<Vec<String>>,
    /// Rows that only the sink has.
    pub surplus: Vec<Vec<String>>,
    /// Rows that both have, with other values.
    pub altered: Vec<Vec<String>>,
}

impl Shape {
    /// The table that a connection sees.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self, connection: &mut Connection, table: &str) -> Result<Table> {
        let quote = match connection {
            Connection::Postgres(_) => '"',
            Connection::MariaDb(_) => '`',
        };
        let columns: Vec<_> = self.columns.iter().map(|(name, _)| format!("{quote}{name}{quote}")).collect();
        let rows = connection.query(&format!("SELECT {} FROM {table}", columns.join(", "))).await?;
        Ok(self.table(rows))
    }

    /// The same of these rows.
    fn table(&self, rows: Vec<Vec<Option<String>>>) -> Table {
        rows.into_iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: Vec<Option<String>>) -> (Vec<String>, Vec<Option<String>>) {
        let kinds = self.columns.iter().map(|(_, kind)| *kind);
        let mut key: Vec<_> =
            row.into_iter().zip(kinds).map(|(value, kind)| value.map(|it| plain(kind, it))).collect();
        let values = key.split_off(self.key);
        (key.into_iter().map(Option::unwrap_or_default).collect(), values)
    }
}

/// The columns that the server says a table has now, with the kinds that are known of them.
///
/// # Errors
/// The server cannot be asked.
pub(super) async fn shape(
    connection: &mut Connection,
    table: &str,
    key: &[&str],
    kinds: &[(&str, Kind)],
) -> Result<Shape> {
    let schema = match connection {
        Connection::Postgres(_) => "table_schema = 'public'",
        Connection::MariaDb(_) => "table_schema = database()",
    };
    let query = format!(
        "SELECT column_name FROM information_schema.columns WHERE {schema} AND table_name = '{table}' \
         ORDER BY ordinal_position"
    );
    let found = connection.query(&query).await?;
    let found: Vec<String> = found.into_iter().flatten().flatten().collect();
    let kind =
        |name: &str| kinds.iter().find(|(known, _)| *known == name).map_or(Kind::Plain, |(_, kind)| *kind);
    let others = found.iter().map(String::as_str).filter(|name| !key.contains(name));
    let columns = key.iter().copied().chain(others).map(|name| (name.to_owned(), kind(name))).collect();
    Ok(Shape { columns, key: key.len() })
}

/// The table of a SQLite file; empty if it has none of that name.
///
/// # Errors
/// It cannot be read.
pub fn sqlite_rows(path: &Path, table: &str, shape: &Shape) -> Result<Table> {
    let database = rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(Duration::from_secs(30))?;
    let columns: Vec<_> = shape.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let mut statement = database.prepare(&format!("SELECT {} FROM \"{table}\"", columns.join(", ")))?;
    let mut rows = statement.query(params![])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let value = |column: usize| {
            Ok(match row.get_ref(column).context("a column of the query")? {
                ValueRef::Null => None,
                ValueRef::Integer(value) => Some(value.to_string()),
                ValueRef::Real(value) => Some(value.to_string()),
                ValueRef::Text(value) | ValueRef::Blob(value) => {
                    Some(String::from_utf8_lossy(value).into_owned())
                }
            })
        };
        found.push((0..columns.len()).map(value).collect::<Result<Vec<_>>>()?);
    }
    Ok(shape.table(found))
}

fn plain(kind: Kind, value: String) -> String {
    match kind {
        Kind::Plain => value,
        Kind::Flag => match value.as_str() {
            "t" | "true" | "1" => "1".to_owned(),
            _ => "0".to_owned(),
        },
        Kind::Moment => {
            let moment = value.replace('T', " ");
            match moment.split_once('.') {
                Some((whole, part)) => {
                    let part = part.trim_end_matches('0');
                    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
                }
                None => moment,
            }
        }
    }
}

/// How what a sink keeps differs from what a source has.
pub fn difference(source: &Table, sink: &Table) -> Differences {
    let keys: BTreeSet<_> = source.keys().chain(sink.keys()).collect();
    let mut found = Differences::default();
    for key in keys {
        match (source.get(key), sink.get(key)) {
            (Some(_), None) => found.missing.push(key.clone()),
            (None, Some(_)) => found.surplus.push(key.clone()),
            (Some(here), Some(there)) if here != there => found.altered.push(key.clone()),
            _ => {}
        }
    }
    found
}

impl Differences {
    /// How many rows differ.
    pub fn count(&self) -> usize {
        self.missing.len() + self.surplus.len() + self.altered.len()
    }
}

impl Dialect {
    /// The type of text of any length.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Postgres => "text",
            Self::MariaDb => "longtext",
        }
    }

    /// The type of a date and time without a zone.
    pub const fn moment(self) -> &'static str {
        match self {
            Self::Postgres => "timestamp(6)",
            Self::MariaDb => "datetime(6)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_mean_the_same_are_the_same() {
        assert_eq!(plain(Kind::Flag, "t".into()), plain(Kind::Flag, "1".into()));
        assert_eq!(plain(Kind::Moment, "2026-01-31T12:00:00.120000".into()), "2026-01-31 12:00:00.12");
        assert_eq!(plain(Kind::Moment, "2026-01-31 12:00:00.000000".into()), "2026-01-31 12:00:00");
    }

    #[test]
    fn tables_differ_by_what_is_missing_too_much_or_altered() {
        let table = |rows: &[(&str, &str)]| -> Table {
            rows.iter()
                .map(|(key, value)| (vec![(*key).to_owned()], vec![Some((*value).to_owned())]))
                .collect()
        };
        let found = difference(
            &table(&[("a", "1"), ("b", "2"), ("c", "3")]),
            &table(&[("b", "2"), ("c", "4"), ("d", "5")]),
        );
        assert_eq!(
            (found.missing.len(), found.surplus.len(), found.altered.len(), found.count()),
            (1, 1, 1, 3)
        );
    }
}
