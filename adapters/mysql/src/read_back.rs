//! Reading a sink's table back in the types of its stream.
//!
//! Keys to be looked for come into a stage with the table's own types, so that they are compared as the table
//! compares its rows. The rows are read in one statement, which sees the table as it was when it began and locks
//! nothing.

use std::mem;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{ArrowError, SchemaRef};
use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use towpath_adapter_api::table::MAX_BATCH_ROWS;
use towpath_adapter_api::text::array_of_texts;
use towpath_adapter_api::{AdapterError, BatchOutput, Mode, Reading, TableReader, WhichRows};
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::client;
use crate::config::Config;
use crate::encode::EncodedRows;
use crate::error::MysqlError;
use crate::load::{Assigned, Limits, Loader};
use crate::sink;
use crate::table::{Existing, Table, form, quoted};

const STAGE: &str = "towpath_wanted";
/// A batch ends when its values take this many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Reads what a sink of this configuration wrote.
pub(crate) struct SinkReader {
    config: Config,
}

impl SinkReader {
    /// A reader that connects to nothing yet.
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }

    async fn read(&self, reading: &Reading, output: BatchOutput) -> Result<(), MysqlError> {
        let name = self.config.table_of(&reading.stream);
        let unfit = |reason: String| MysqlError::Unfit { table: name.clone(), reason };
        let arrow = reading.arrow();
        let wanted = |column: &&Column| arrow.field_with_name(&column.name).is_ok();
        let columns: Vec<_> = reading.schema.columns().iter().filter(wanted).cloned().collect();
        let mut connection = client::connect(&self.config.server()).await?;
        sink::set_up(&mut connection).await?;
        let table = Table::read(&mut connection, &name).await?;
        if !table.exists() {
            return Err(unfit("it does not exist; nothing was written yet, or it was dropped".to_owned()));
        }
        if let Some(missing) = columns.iter().find(|column| table.column(&column.name).is_none()) {
            return Err(unfit(format!("it lacks column `{}`", missing.name)));
        }
        let deleted_at = self.config.deleted_at();
        let mode = Mode::of(self.config.mode, &reading.schema, deleted_at).map_err(unfit)?;
        let place = quoted(&name);
        let values: Vec<_> = columns.iter().map(|column| shown(column, table.column(&column.name))).collect();
        let values = values.join(", ");
        let mut sql = match &reading.rows {
            WhichRows::All => format!("SELECT {values} FROM {place} t"),
            WhichRows::Keys(keys) => {
                let matches = want(&mut connection, &name, &table, &reading.schema, keys).await?;
                let key: Vec<_> = reading.schema.key().iter().map(|name| quoted(name)).collect();
                // A key that is sent twice is wanted once.
                let wanted = format!("SELECT DISTINCT {} FROM {STAGE}", key.join(", "));
                format!("SELECT {values} FROM ({wanted}) s JOIN {place} t ON {matches}")
            }
        };
        if let Some(absence) = mode.absence_column(deleted_at) {
            sql = format!("{sql} WHERE t.{} IS NULL", quoted(absence));
        }
        send(&mut connection, &name, sql, &columns, arrow, output).await
    }
}

#[async_trait]
impl TableReader for SinkReader {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        SinkReader::read(self, reading, output).await.map_err(|error| error.at(&self.config.address()))
    }
}

/// How a column is selected so that its text tells the whole value.
fn shown(column: &Column, existing: Option<&Existing>) -> String {
    let name = format!("t.{}", quoted(&column.name));
    match existing.map(|existing| &*existing.base) {
        // A single is shown with fewer digits than it has.
        Some("float") => format!("{name} + 0e0"),
        // Bits are shown as bytes.
        Some("bit") => format!("{name} + 0"),
        _ => name,
    }
}

/// Brings keys into a stage and returns what a row of the table has in common with one.
async fn want(
    connection: &mut Conn,
    name: &str,
    table: &Table,
    schema: &StreamSchema,
    keys: &RecordBatch,
) -> Result<String, MysqlError> {
    let (mut parts, mut columns, mut matches) = (Vec::new(), Vec::new(), Vec::new());
    for column in schema.columns().iter().filter(|column| schema.key().contains(&column.name)) {
        let (existing, quoted) = (table.column(&column.name), quoted(&column.name));
        parts.push(format!("{quoted} {} NULL", existing.map_or("LONGTEXT", |existing| &existing.full)));
        matches.push(format!("t.{quoted} = s.{quoted}"));
    }
    for key in schema.key() {
        let column = schema.columns().iter().find(|column| &column.name == key);
        let form = column.map(|column| form(&column.column_type, table.column(key)));
        columns.extend(form.map(|form| Assigned { name: quoted(key), form }));
    }
    let doing = || MysqlError::server(format!("read table {name}"));
    // Some servers want a primary key of every table, and keys need not fit in one.
    let sql = format!(
        "CREATE TEMPORARY TABLE {STAGE} (_towpath_row BIGINT AUTO_INCREMENT PRIMARY KEY, {}) ENGINE = InnoDB",
        parts.join(", ")
    );
    connection.query_drop(sql).await.map_err(doing())?;
    let all: Vec<_> = (0..keys.num_columns()).collect();
    let encoded = EncodedRows::new(keys, &all, |_| None);
    let encoded = encoded.map_err(|source| MysqlError::Arrow { doing: "encoded", source })?;
    let chosen: Vec<_> = (0..keys.num_rows()).collect();
    let loader = Loader { table: name.to_owned(), place: STAGE.to_owned(), columns };
    // There are few, and one that the table's types cannot hold is one that it does not have.
    let limits = Limits { local_infile: false, max_packet: MAX_STATEMENT_BYTES };
    loader.insert_what_fits(connection, limits, &encoded, &chosen).await?;
    Ok(matches.join(" AND "))
}

/// Every server takes statements of this length.
const MAX_STATEMENT_BYTES: usize = 1 << 20;

async fn send(
    connection: &mut Conn,
    name: &str,
    sql: String,
    columns: &[Column],
    arrow: SchemaRef,
    output: BatchOutput,
) -> Result<(), MysqlError> {
    let doing = || MysqlError::server(format!("read table {name}"));
    let mut rows = connection.query_iter(sql).await.map_err(doing())?;
    let mut batch = Batch { arrow, columns, values: vec![Vec::new(); columns.len()], rows: 0, bytes: 0 };
    while let Some(row) = rows.next().await.map_err(doing())? {
        batch.push(row);
        if batch.is_full() {
            output.send(batch.finish().map_err(unreadable)?).await?;
        }
    }
    match batch.rows {
        0 => Ok(()),
        _ => Ok(output.send(batch.finish().map_err(unreadable)?).await?),
    }
}

fn unreadable(source: ArrowError) -> MysqlError {
    MysqlError::Arrow { doing: "read in the stream's types", source }
}

/// Rows on their way into a batch.
struct Batch<'a> {
    arrow: SchemaRef,
    columns: &'a [Column],
    /// By column.
    values: Vec<Vec<Option<Vec<u8>>>>,
    rows: usize,
    bytes: usize,
}

impl Batch<'_> {
    fn push(&mut self, row: Row) {
        for (values, value) in self.values.iter_mut().zip(row.unwrap()) {
            // Statements without parameters are answered in text.
            let text = if let Value::Bytes(bytes) = value { Some(bytes) } else { None };
            self.bytes += text.as_ref().map_or(0, Vec::len);
            values.push(text);
        }
        self.rows += 1;
    }

    fn is_full(&self) -> bool {
        self.rows == MAX_BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = mem::take(&mut self.rows);
        self.bytes = 0;
        let arrays = self.columns.iter().zip(&mut self.values);
        let arrays = arrays.map(|(column, values)| array(column, mem::take(values)));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options)
    }
}

fn array(column: &Column, values: Vec<Option<Vec<u8>>>) -> Result<ArrayRef, ArrowError> {
    if column.column_type == ColumnType::Binary {
        return Ok(Arc::new(values.into_iter().collect::<BinaryArray>()));
    }
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .map_err(|_| ArrowError::CastError(format!("column {:?} holds no text", column.name)))
    };
    let texts = values.into_iter().map(|value| value.map(text).transpose());
    array_of_texts(column, &texts.collect::<Result<StringArray, _>>()?)
}
