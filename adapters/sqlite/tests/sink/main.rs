//! The SQLite sink keeps the laws of sinks, and what it promises beyond them.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod modes;

use std::path::PathBuf;

use anyhow::bail;
use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::Registry;
use towpath_adapter_conformance::cell::{Cell, Row, cell_of_json};
use towpath_adapter_conformance::{SinkSubject, SinkTarget, registry_suite, sink_suite};
use towpath_record::{Column, ColumnType, StreamName, StreamSchema};

struct Databases;

struct Database(TempDir);

impl Database {
    fn path(&self) -> PathBuf {
        self.0.path().join("target.db")
    }
}

#[async_trait]
impl SinkSubject for Databases {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SinkTarget>> {
        Ok(Box::new(Database(tempfile::tempdir()?)))
    }
}

#[async_trait]
impl SinkTarget for Database {
    fn config(&self) -> Value {
        json!({ "path": self.path() })
    }

    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
        let database = Connection::open_with_flags(self.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let table = stream.as_str().replace('.', "_");
        if !database.table_exists(None, &*table)? {
            return Ok(Vec::new());
        }
        let names: Vec<_> = schema.columns().iter().map(|c| quoted(&c.name)).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY rowid", names.join(", "), quoted(&table));
        let mut statement = database.prepare(&sql)?;
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cells = schema.columns().iter().enumerate().map(|(i, column)| cell(column, row.get_ref(i)?));
            rows.push(cells.collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }

    async fn forbid(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        column: &str,
        value: i64,
    ) -> anyhow::Result<()> {
        let columns: Vec<_> = schema.columns().iter().map(|column| quoted(&column.name)).collect();
        let unique = match schema.key().is_empty() {
            true => String::new(),
            false => format!(", UNIQUE ({})", schema.key().join(", ")),
        };
        Connection::open(self.path())?.execute_batch(&format!(
            "CREATE TABLE {} ({}, CHECK ({} <> {value}){unique})",
            quoted(&stream.as_str().replace('.', "_")),
            columns.join(", "),
            quoted(column),
        ))?;
        Ok(())
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A stored value, which must also be of the storage class that the documentation promises.
fn cell(column: &Column, value: ValueRef<'_>) -> anyhow::Result<Cell> {
    use ColumnType as T;
    Ok(Some(match (&column.column_type, value) {
        (_, ValueRef::Null) => return Ok(None),
        (T::Boolean, ValueRef::Integer(value)) => (value != 0).to_string(),
        (T::Float32, ValueRef::Real(value)) => cell_of_f32(value)?,
        (T::Float64, ValueRef::Real(value)) => format!("{value:?}"),
        (T::Float32 | T::Float64, ValueRef::Text(b"NaN")) => "NaN".to_owned(),
        (
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Uint8 | T::Uint16 | T::Uint32 | T::Uint64,
            ValueRef::Integer(value),
        ) => value.to_string(),
        (T::Uint64, ValueRef::Text(digits)) => {
            let digits = str::from_utf8(digits)?.to_owned();
            anyhow::ensure!(digits.parse::<u64>()? > i64::MAX as u64, "{digits} fits an integer");
            digits
        }
        (T::Binary, ValueRef::Blob(bytes)) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        (T::List(_) | T::Struct(_), ValueRef::Text(text)) => {
            return cell_of_json(column, str::from_utf8(text)?);
        }
        (
            T::String
            | T::Decimal { .. }
            | T::Date
            | T::Time
            | T::LocalTimestamp
            | T::Timestamp
            | T::Interval,
            ValueRef::Text(text),
        ) => str::from_utf8(text)?.to_owned(),
        (column_type, value) => bail!("a {column_type:?} is stored as {}", value.data_type()),
    }))
}

#[expect(clippy::cast_possible_truncation, reason = "the value was a single before it was widened")]
fn cell_of_f32(value: f64) -> anyhow::Result<String> {
    anyhow::ensure!(f64::from(value as f32) == value, "{value} is not a single");
    Ok(format!("{:?}", value as f32))
}

#[tokio::test]
async fn the_sink_keeps_the_laws_of_sinks() -> anyhow::Result<()> {
    let factory = towpath_adapter_sqlite::adapter().sink.expect("it is a sink");
    sink_suite(factory, &Databases, &[]).await
}

#[test]
fn the_configuration_is_described_and_misspelt_keys_are_named() -> anyhow::Result<()> {
    registry_suite(&Registry::new(vec![towpath_adapter_sqlite::adapter()]))
}
