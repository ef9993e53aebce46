//! Scheduled queries at a SQLite database, as a source of its own: `sqlite-query`.
//!
//! A page is read in one short transaction and handed over when that is over, so that no writer ever waits for the
//! spool. The next page goes on behind the last row.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::InterruptHandle;
use rusqlite::types::{Value as Stored, ValueRef};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;
use towpath_adapter_api::{Adapter, AdapterError, ErrorKind};
use towpath_adapter_query::{
    Dialect, End, Page, PageOutput, Pager, QueryDatabase, Row, Shape, Statement, Value, Values, factory,
};
use towpath_record::ColumnType;

use super::database::{Access, Database};
use super::table::{ColumnDef, column_type};
use super::value::{Cell, cell, literal};
use crate::error::SqliteError;

/// How long a lock of another process is waited for.
const LOCKED_FOR: Duration = Duration::from_secs(10);

/// SQLite queries as a source.
pub(crate) fn adapter() -> Adapter {
    Adapter { kind: "sqlite-query", source: Some(factory::<SqliteQueries>()), sink: None }
}

/// Which database is queried.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryConnection {
    /// Path of the database file, which must be there. It is opened for reading only. Required.
    #[schemars(with = "String")]
    path: PathBuf,
}

/// A database that is queried.
pub struct SqliteQueries {
    path: PathBuf,
    timeout: Duration,
}

#[async_trait]
impl QueryDatabase for SqliteQueries {
    type Connection = QueryConnection;

    fn new(connection: QueryConnection, timeout: Duration) -> Result<Self, AdapterError> {
        if connection.path.as_os_str().is_empty() {
            let message = "path is empty; give the path of the database file";
            return Err(AdapterError::new(ErrorKind::Config, "sqlite-query source configuration", message));
        }
        Ok(Self { path: connection.path, timeout })
    }

    fn address(&self) -> String {
        self.path.display().to_string()
    }

    fn dialect(&self) -> Dialect {
        Dialect { quotes: ('"', '"'), values: Values::QuestionMarks }
    }

    async fn read(&self, statement: Statement, output: PageOutput) -> Result<End, AdapterError> {
        let path = self.path.clone();
        let (tell, told) = oneshot::channel();
        let mut reading = tokio::task::spawn_blocking(move || page(&path, &statement, tell));
        // Dropped with this future, so that a query that nobody waits for ends.
        let interrupt = told.await.ok().map(Interrupt);
        let read = tokio::time::timeout(self.timeout, &mut reading).await;
        drop(interrupt);
        let Ok(read) = read else {
            let message =
                format!("the query gave nothing for {:?}; make it quicker, or raise `timeout`", self.timeout);
            return Err(AdapterError::new(ErrorKind::Unavailable, self.address(), message));
        };
        let worker = |source| SqliteError::Worker { path: self.path.clone(), source };
        let (page, end) = read.map_err(worker)??;
        Ok(if output.send(page).await.is_ok() { end } else { End::MayHaveMore })
    }
}

/// Ends the query of a connection when it is dropped.
struct Interrupt(InterruptHandle);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Reads one page.
fn page(
    path: &Path,
    statement: &Statement,
    tell: oneshot::Sender<InterruptHandle>,
) -> Result<(Page, End), SqliteError> {
    let database = Database::open(path, Access::Read)?;
    let failed = |e| database.fault("run the query", e);
    database.connection.busy_timeout(LOCKED_FOR).map_err(failed)?;
    if tell.send(database.connection.get_interrupt_handle()).is_err() {
        return Ok((Page { columns: Vec::new(), rows: Vec::new() }, End::MayHaveMore));
    }
    let mut prepared = database.connection.prepare(&statement.sql).map_err(failed)?;
    let declared: Vec<(String, Option<String>)> = prepared
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.decl_type().map(str::to_owned)))
        .collect();
    let parameters = statement.parameters.iter().map(stored);
    let mut rows = prepared.query(rusqlite::params_from_iter(parameters)).map_err(failed)?;
    let mut columns: Option<Vec<ColumnDef>> = None;
    let mut pager: Option<Pager> = None;
    while let Some(row) = rows.next().map_err(failed)? {
        let first = |place: usize| row.get_ref(place).ok();
        let columns = columns.get_or_insert_with(|| defs(&declared, &statement.compared, first));
        let values = columns.iter().enumerate().map(|(place, column)| {
            let stored = row.get_ref(place).map_err(failed)?;
            Ok(value(column, stored))
        });
        let values = values.collect::<Result<Row, SqliteError>>()?;
        let pager = pager.get_or_insert_with(|| Pager::new(shapes(columns), statement.page));
        if let Some(page) = pager.push(values) {
            return Ok((page, End::MayHaveMore));
        }
    }
    let none = || Pager::new(shapes(&defs(&declared, &statement.compared, |_| None)), statement.page);
    Ok((pager.unwrap_or_else(none).take(), End::Complete))
}

/// What the columns hold. SQLite tells no type of an expression; one that rows are compared by has that of its first
/// value, for a number is not the text of its digits there.
fn defs<'v>(
    declared: &[(String, Option<String>)],
    compared: &[String],
    first: impl Fn(usize) -> Option<ValueRef<'v>>,
) -> Vec<ColumnDef> {
    let def = |(place, (name, declared)): (usize, &(String, Option<String>))| {
        let is_compared = compared.contains(name);
        let by_value = first(place).filter(|_| declared.is_none() && is_compared);
        let column_type = match by_value {
            Some(ValueRef::Integer(_)) => ColumnType::Int64,
            Some(ValueRef::Real(_)) => ColumnType::Float64,
            _ => column_type(declared.as_deref().unwrap_or_default()),
        };
        let any = declared.is_none() && column_type == ColumnType::String;
        ColumnDef { name: name.clone(), column_type, any }
    };
    declared.iter().enumerate().map(def).collect()
}

fn shapes(columns: &[ColumnDef]) -> Vec<Shape> {
    let shape =
        |column: &ColumnDef| Shape { name: column.name.clone(), column_type: column.column_type.clone() };
    columns.iter().map(shape).collect()
}

fn value(column: &ColumnDef, stored: ValueRef<'_>) -> Value {
    match cell(column, stored) {
        Ok(Cell::Null) => Value::Null,
        Ok(Cell::Boolean(value)) => Value::Boolean(value),
        Ok(Cell::Integer(value)) => Value::Int(value),
        Ok(Cell::Real(value)) => Value::Float(value),
        Ok(Cell::Text(text)) => Value::Text(text.into_owned()),
        Ok(Cell::Bytes(bytes)) => Value::Bytes(bytes.to_vec()),
        Err(reason) => Value::Misfit { reason, raw: literal(stored) },
    }
}

fn stored(value: &Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Boolean(value) => Stored::Integer((*value).into()),
        Value::Int(value) => Stored::Integer(*value),
        Value::Float(value) => Stored::Real(*value),
        Value::Bytes(bytes) => Stored::Blob(bytes.clone()),
        other => other.to_text().map_or(Stored::Null, Stored::Text),
    }
}
