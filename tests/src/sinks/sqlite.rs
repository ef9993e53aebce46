//! Rows of a SQLite database, in the order in which they were inserted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::account::Account;
use crate::data::Feed;

/// Reads the tables of all feeds from a database, each row once.
#[derive(Debug)]
pub struct SqliteReader {
    path: PathBuf,
    read_through: HashMap<Feed, i64>,
}

impl SqliteReader {
    /// A reader that has read nothing yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read_through: HashMap::new() }
    }

    /// How many rows the tables hold.
    ///
    /// # Errors
    /// The database is damaged.
    pub fn count(&self) -> Result<usize> {
        let Some(database) = self.open()? else { return Ok(0) };
        let mut rows = 0;
        for feed in Feed::ALL {
            if has_table(&database, feed)? {
                let table = table(feed);
                rows += database
                    .query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0))?;
            }
        }
        Ok(usize::try_from(rows)?)
    }

    /// Takes the rows that were added since the last time into the account.
    ///
    /// # Errors
    /// The database is damaged, or a table has other columns.
    pub fn read_into(&mut self, account: &mut Account) -> Result<()> {
        let Some(database) = self.open()? else { return Ok(()) };
        for feed in Feed::ALL {
            if !has_table(&database, feed)? {
                continue;
            }
            let names: Vec<_> = feed.columns().iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let query = format!(
                "SELECT rowid, {} FROM {} WHERE rowid > ?1 ORDER BY rowid",
                names.join(", "),
                table(feed)
            );
            let read_through = self.read_through.entry(feed).or_default();
            let mut statement = database.prepare(&query)?;
            let mut rows = statement.query([*read_through])?;
            while let Some(row) = rows.next()? {
                *read_through = row.get(0)?;
                let value = |(index, (_, kind)): (usize, &(&str, crate::data::Kind))| {
                    Ok(text(row.get_ref(index + 1)?).map(|text| kind.canonical(&text)))
                };
                let values =
                    feed.columns().iter().enumerate().map(value).collect::<rusqlite::Result<Vec<_>>>()?;
                account.found(feed, values);
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Option<Connection>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let database = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        database.busy_timeout(Duration::from_secs(10))?;
        Ok(Some(database))
    }
}

/// The table of a feed's stream.
pub fn table(feed: Feed) -> String {
    feed.stream().replace('.', "_")
}

fn has_table(database: &Connection, feed: Feed) -> Result<bool> {
    let query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
    Ok(database.query_row(query, [table(feed)], |row| row.get::<_, i64>(0))? == 1)
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}
