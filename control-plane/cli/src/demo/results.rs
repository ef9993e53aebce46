//! Reads the results back, by means that are not Towpath's: the database with SQLite, the outbox line by line.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::account::{Row, Tally, hundredths};
use super::crm::{self, Rows};
use super::place::Place;
use super::stream::Stream;

/// What stands in the results.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    database: [Tally; Stream::ALL.len()],
    outbox: [Tally; Stream::ALL.len()],
    contacts: Rows,
}

/// The results cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The database cannot be.
    #[error("the database {} cannot be read: {source}", path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file of the outbox cannot be.
    #[error("the outbox cannot be read at {}: {source}", path.display())]
    Outbox {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A row has no number or amount.
    #[error("{place} holds a row without a `{number}` and a `{amount}` of two digits after the point: {row}")]
    Row {
        /// Where.
        place: String,
        /// The column of the number.
        number: &'static str,
        /// The column of the amount.
        amount: &'static str,
        /// The row.
        row: String,
    },
}

impl Results {
    /// Reads everything.
    pub(super) fn read(place: &Place) -> Result<Self, ResultsError> {
        let mut results = Self::default();
        for stream in Stream::ALL {
            results.outbox[stream as usize] = read_outbox(&place.outbox(), stream)?;
        }
        let path = place.database();
        if path.exists() {
            let failed = |source| ResultsError::Database { path: path.clone(), source };
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let database = Connection::open_with_flags(&path, flags).map_err(failed)?;
            for stream in Stream::ALL {
                let rows = read_table(&database, stream).map_err(failed)?;
                let tally =
                    rows.into_iter().map(|(number, amount)| row(stream, stream.table(), &number, &amount));
                results.database[stream as usize] = tally.collect::<Result<_, _>>()?;
            }
            results.contacts = Rows::read(&database, crm::COPY).map_err(failed)?;
        }
        Ok(results)
    }

    /// The rows of a stream in the database.
    pub(super) fn database(&self, stream: Stream) -> &Tally {
        &self.database[stream as usize]
    }

    /// The copy of the CRM's contacts.
    pub(super) fn contacts(&self) -> &Rows {
        &self.contacts
    }

    /// The rows of a stream in the outbox.
    pub(super) fn outbox(&self, stream: Stream) -> &Tally {
        &self.outbox[stream as usize]
    }
}

/// The numbers and amounts of a table as text; none when there is no such table yet.
fn read_table(database: &Connection, stream: Stream) -> rusqlite::Result<Vec<(String, String)>> {
    let (table, number, amount) = (stream.table(), stream.number(), stream.amount());
    let exists = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?1")?.exists([table])?;
    if !exists {
        return Ok(Vec::new());
    }
    let mut statement = database.prepare(&format!("SELECT {number}, {amount} FROM {table}"))?;
    let rows = statement.query_map([], |row| Ok((text(row.get_ref(0)?), text(row.get_ref(1)?))))?;
    rows.collect()
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => value.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Null => "null".to_owned(),
    }
}

fn read_outbox(outbox: &Path, stream: Stream) -> Result<Tally, ResultsError> {
    let folder = outbox.join(stream.name());
    let mut tally = Tally::default();
    if !folder.exists() {
        return Ok(tally);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ResultsError::Outbox { path, source }
    };
    for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
        let path = entry.map_err(failed(&folder))?.path();
        // Hidden names are of files that are not finished.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || !name.ends_with(".jsonl") {
            continue;
        }
        for line in BufReader::new(File::open(&path).map_err(failed(&path))?).lines() {
            tally.add(line_row(
                stream,
                &path,
                &line.map_err(|source| ResultsError::Outbox { path: path.clone(), source })?,
            )?);
        }
    }
    Ok(tally)
}

fn line_row(stream: Stream, path: &Path, line: &str) -> Result<Row, ResultsError> {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let field = |name| match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    row(stream, &path.display().to_string(), &field(stream.number()), &field(stream.amount()))
}

fn row(stream: Stream, place: &str, number: &str, amount: &str) -> Result<Row, ResultsError> {
    let read = number.parse().ok().zip(hundredths(amount));
    let (number, hundredths) = read.ok_or_else(|| ResultsError::Row {
        place: place.to_owned(),
        number: stream.number(),
        amount: stream.amount(),
        row: format!("{number}, {amount}"),
    })?;
    Ok(Row { number, hundredths })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(i64, i64)]) -> Tally {
        rows.iter().map(|&(number, hundredths)| Row { number, hundredths }).collect()
    }

    #[test]
    fn rows_are_read_as_the_sinks_write_them() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::fresh(Some(&directory.path().join("demo"))).unwrap();
        let database = Connection::open(place.database()).unwrap();
        let sql = "CREATE TABLE erp_customers (customer_no INTEGER PRIMARY KEY, credit_limit TEXT);
            INSERT INTO erp_customers VALUES (10001, '250.00'), (10002, '1025.50');
            CREATE TABLE erp_stock (movement_no INTEGER, quantity INTEGER);
            INSERT INTO erp_stock VALUES (4900000001, -12), (4900000001, -12);";
        database.execute_batch(sql).unwrap();
        let folder = place.outbox().join("erp.orders");
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("a.jsonl"),
            "{\"order_no\":1,\"total\":129.90}\n{\"order_no\":2,\"total\":\"5.00\"}\n",
        )
        .unwrap();
        fs::write(folder.join(".b.jsonl"), "{\"order_no\":3,\"total\":1}\n").unwrap();
        let results = Results::read(&place).unwrap();
        assert_eq!(results.database(Stream::Customers), &rows(&[(10_001, 25_000), (10_002, 102_550)]));
        assert_eq!(
            results.database(Stream::Stock),
            &rows(&[(4_900_000_001, -1_200), (4_900_000_001, -1_200)])
        );
        assert_eq!(results.database(Stream::Orders), &Tally::default());
        assert_eq!(results.outbox(Stream::Orders), &rows(&[(1, 12_990), (2, 500)]));
    }

    #[test]
    fn a_damaged_line_is_an_error_and_not_a_missing_row() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::fresh(Some(&directory.path().join("demo"))).unwrap();
        let folder = place.outbox().join("erp.orders");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.jsonl"), "{\"order_no\":1,\"tot").unwrap();
        let error = Results::read(&place).unwrap_err().to_string();
        assert!(error.contains("a.jsonl") && error.contains("`total`"), "{error}");
    }
}
