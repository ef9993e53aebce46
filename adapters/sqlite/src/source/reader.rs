//! Reads the source's tables as they are now, beside the capture of their changes: piece by piece, so that no reading
//! lasts long enough to hold up the application.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::types::{ToSql, Value};
use towpath_adapter_api::table::MAX_BATCH_ROWS;
use towpath_adapter_api::{AdapterError, BatchOutput, ErrorKind, Reading, Rows, TableReader, WhichRows};

use crate::error::SqliteError;
use crate::source::changes::parameters_from;
use crate::source::config::SourceConfig;
use crate::source::copy::{Copier, Piece};
use crate::source::database::{Access, Database};
use crate::source::emit::now_us;
use crate::source::streams::Streams;
use crate::source::table::{self, TableDef, Walk, quoted_rowid};
use crate::table::quoted;

/// Makes a reader of the tables of a source.
pub(super) fn make(config: &serde_json::Value) -> Result<Box<dyn TableReader>, AdapterError> {
    Ok(Box::new(SourceTables { config: Arc::new(SourceConfig::read(config)?) }))
}

struct SourceTables {
    config: Arc<SourceConfig>,
}

#[async_trait]
impl TableReader for SourceTables {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        let (config, reading) = (self.config.clone(), reading.clone());
        let read = tokio::task::spawn_blocking(move || Reader::open(&config, &reading)?.read(&output));
        read.await.map_err(super::crashed)?
    }
}

struct Reader<'a> {
    config: &'a SourceConfig,
    reading: &'a Reading,
    database: Database,
    table: Arc<TableDef>,
}

impl<'a> Reader<'a> {
    /// Finds the table of the stream, as it is now.
    fn open(config: &'a Arc<SourceConfig>, reading: &'a Reading) -> Result<Self, AdapterError> {
        let database = Database::open(&config.path, Access::Read)?;
        let choice = config.choice()?;
        let tables = database.read(|connection| {
            table::chosen(connection, &choice, config.before).map_err(|fault| fault.at(&database))
        })?;
        let streams = Streams::new(config.clone(), reading.owner.as_str());
        let is_meant = |table: &TableDef| streams.of(&table.name).is_ok_and(|it| it == reading.stream);
        let table = tables.into_iter().find(is_meant).ok_or_else(|| {
            let message = format!("no table that is read has the stream {}", reading.stream);
            AdapterError::new(ErrorKind::Unavailable, config.path.display().to_string(), message)
        })?;
        Ok(Self { config, reading, database, table: Arc::new(table) })
    }

    fn read(&self, output: &BatchOutput) -> Result<(), AdapterError> {
        match &self.reading.rows {
            WhichRows::All => self.read_all(output),
            WhichRows::Keys(keys) => self.read_keys(keys, output),
        }
    }

    fn read_all(&self, output: &BatchOutput) -> Result<(), AdapterError> {
        let mut after = Vec::new();
        loop {
            let piece = self.piece(|copier, connection| copier.read(connection, &after))?;
            let is_last = piece.is_last;
            if let Some(last) = self.send(piece, output)? {
                after = last;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn read_keys(&self, keys: &RecordBatch, output: &BatchOutput) -> Result<(), AdapterError> {
        for row in 0..keys.num_rows() {
            let (mut terms, mut values) = (Vec::new(), Vec::new());
            for (name, column) in keys.schema_ref().fields().iter().zip(keys.columns()) {
                let candidates = candidates(column, row);
                let places = parameters_from(values.len() + 1, candidates.len());
                terms.push(format!("{} IN ({places})", self.term(name.name())));
                values.extend(candidates);
            }
            let parameters: Vec<_> = values.iter().map(|value| value as &dyn ToSql).collect();
            let condition = terms.join(" AND ");
            let found =
                self.piece(|copier, connection| copier.read_where(connection, &condition, &parameters))?;
            self.send(found, output)?;
        }
        Ok(())
    }

    /// A key column in the table's own words.
    fn term(&self, name: &str) -> String {
        match &self.table.walk {
            Walk::Rowid { name: rowid, .. } if self.table.key.is_empty() => quoted_rowid(rowid),
            _ => quoted(name),
        }
    }

    /// Reads a piece in a transaction of its own.
    fn piece(
        &self,
        read: impl FnOnce(&Copier<'_>, &Connection) -> Result<Piece, SqliteError>,
    ) -> Result<Piece, SqliteError> {
        let copier = Copier {
            config: self.config,
            table: &self.table,
            resource: String::new(),
            now_us: now_us(),
            fault: &|doing, error| self.database.fault(doing, error),
        };
        self.database.read(|connection| read(&copier, connection))
    }

    /// Hands over the records of a piece; the key of its last row. Rows that cannot become records are not in any
    /// stream, so they are none here.
    fn send(
        &self,
        piece: Piece,
        output: &BatchOutput,
    ) -> Result<Option<Vec<crate::source::position::Value>>, AdapterError> {
        let mut last = None;
        for (rows, key) in piece.parts {
            if let Rows::Records { batch, .. } = rows {
                let batch = self.project(&batch)?;
                for at in (0..batch.num_rows()).step_by(MAX_BATCH_ROWS) {
                    let rows = MAX_BATCH_ROWS.min(batch.num_rows() - at);
                    output.send_blocking(batch.slice(at, rows))?;
                }
            }
            last = Some(key);
        }
        Ok(last)
    }

    /// The columns that are wanted.
    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch, AdapterError> {
        let wanted = self.reading.arrow();
        let columns = wanted.fields().iter().map(|field| batch.column_by_name(field.name()).cloned());
        let columns = columns.collect::<Option<Vec<_>>>();
        columns.and_then(|columns| RecordBatch::try_new(wanted, columns).ok()).ok_or_else(|| {
            let resource = format!("table {:?} of {}", self.table.name, self.config.path.display());
            let message = "it has other columns than the stream's newest schema; once the change has arrived, try again";
            AdapterError::new(ErrorKind::Unavailable, resource, message)
        })
    }
}

/// The values of SQLite that the source reads as this key. A column may hold values of any kind, and more than one kind
/// may look the same in the stream.
fn candidates(column: &dyn Array, row: usize) -> Vec<Value> {
    if column.is_null(row) {
        return vec![Value::Null];
    }
    match column.data_type() {
        DataType::Boolean => {
            let value = column.as_boolean().value(row);
            let word = if value { "true" } else { "false" };
            vec![value.into(), word.to_owned().into(), word.to_uppercase().into()]
        }
        DataType::Int64 => vec![column.as_primitive::<Int64Type>().value(row).into()],
        DataType::Float64 => vec![column.as_primitive::<Float64Type>().value(row).into()],
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            let text = std::str::from_utf8(bytes).map(|text| Value::Text(text.to_owned()));
            [Value::Blob(bytes.to_owned())].into_iter().chain(text).collect()
        }
        _ => {
            let text = column.as_string::<i32>().value(row);
            let integer = text.parse::<i64>().ok().map(Value::Integer);
            let real = text.parse::<f64>().ok().map(Value::Real);
            let blob = text.strip_prefix("x'").and_then(|text| text.strip_suffix('\''));
            let blob = blob.and_then(|digits| hex::decode(digits).ok()).map(Value::Blob);
            [Value::Text(text.to_owned())].into_iter().chain(integer).chain(real).chain(blob).collect()
        }
    }
}
