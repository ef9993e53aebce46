//! Reading back what the sink wrote, in the stream's own types.
//!
//! PostgreSQL turns each value into the type in which the sink sent it, whatever type the table has. One query
//! shows the table as it was at one moment and holds up nobody.

use std::pin::pin;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures_util::TryStreamExt;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Row};
use towpath_adapter_api::table::MAX_BATCH_ROWS;
use towpath_adapter_api::{AdapterError, BatchOutput, Mode, Reading, TableReader, WhichRows};
use towpath_record::Column;

use crate::config::Config;
use crate::decode::Gathered;
use crate::encode::EncodedRows;
use crate::error::PostgresError;
use crate::table::{assigned, base_of, declared, existing_columns, list, quoted};
use crate::{client, copy};

/// The temporary table with the keys of the rows that are wanted.
const KEYS: &str = "pg_temp.towpath_keys";

/// Reads the tables that a sink of this configuration writes.
pub(crate) struct SinkReader {
    config: Config,
}

impl SinkReader {
    /// A reader that connects to nothing yet.
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }

    async fn read_table(&self, reading: &Reading, output: BatchOutput) -> Result<(), PostgresError> {
        let config = &self.config;
        let client = client::connect(&config.server()).await?;
        let table = config.table_of(&reading.stream);
        let place = format!("{}.{}", quoted(&config.schema), quoted(&table));
        let unfit = |reason| PostgresError::Unfit { table: table.clone(), reason };
        let mode = Mode::of(config.mode, &reading.schema, config.deleted_at()).map_err(unfit)?;
        let existing = existing_columns(&client, &table, &place).await?;
        if existing.is_empty() {
            return Err(unfit("it does not exist; nothing was written yet, or it was dropped".to_owned()));
        }
        let arrow = reading.arrow();
        let is_told = |column: &&Column| arrow.column_with_name(&column.name).is_some();
        let columns: Vec<_> = reading.schema.columns().iter().filter(is_told).collect();
        let value = |c: &&Column| format!("t.{}::{}", quoted(&c.name), base_of(&c.column_type));
        let values: Vec<_> = columns.iter().map(value).collect();
        let absence = mode.absence_column(config.deleted_at());
        let mut conditions: Vec<_> =
            absence.iter().map(|name| format!("t.{} IS NULL", quoted(name))).collect();
        if let WhichRows::Keys(keys) = &reading.rows {
            let key: Vec<_> = key_columns(reading).collect();
            stage_keys(&client, &key, keys).await?;
            let matches = key.iter().map(|column| {
                format!("t.{} = {}", quoted(&column.name), assigned(column, existing.get(&column.name)))
            });
            let matches = matches.collect::<Vec<_>>().join(" AND ");
            conditions.push(format!("EXISTS (SELECT FROM {KEYS} s WHERE {matches})"));
        }
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let sql = format!("SELECT {} FROM {place} t{filter}", values.join(", "));
        Batches::new(reading, table, columns, output).take_all(&client, &sql).await
    }
}

#[async_trait]
impl TableReader for SinkReader {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        self.read_table(reading, output).await.map_err(|error| error.at(&self.config.address()))
    }
}

/// The key's columns, in key order.
fn key_columns(reading: &Reading) -> impl Iterator<Item = &Column> {
    let columns = reading.schema.columns();
    reading.schema.key().iter().filter_map(|name| columns.iter().find(|column| &column.name == name))
}

/// Copies the wanted keys beside the table. One that PostgreSQL has no form for is in no table.
async fn stage_keys(client: &Client, key: &[&Column], keys: &RecordBatch) -> Result<(), PostgresError> {
    let columns: Vec<_> = key.iter().map(|column| declared(column)).collect();
    let names = list(key.iter().map(|column| &column.name));
    let failed = || PostgresError::server("set the wanted keys beside the table");
    let create = format!("CREATE TEMP TABLE {KEYS} ({})", columns.join(", "));
    client.batch_execute(&create).await.map_err(failed())?;
    let all: Vec<_> = (0..keys.num_columns()).collect();
    let encoded = EncodedRows::new(keys, &all).map_err(PostgresError::Encode)?;
    let copy = client.prepare(&format!("COPY {KEYS} ({names}) FROM STDIN (FORMAT binary)")).await;
    let rows: Vec<_> = (0..keys.num_rows()).collect();
    copy::send(client, &copy.map_err(failed())?, &encoded, &rows).await.map_err(failed())?;
    client.batch_execute(&format!("ANALYZE {KEYS}")).await.map_err(failed())
}

/// Rows on their way to whoever wants them.
struct Batches<'a> {
    reading: &'a Reading,
    table: String,
    columns: Vec<&'a Column>,
    gathered: Vec<Gathered>,
    rows: usize,
    output: BatchOutput,
}

impl<'a> Batches<'a> {
    fn new(reading: &'a Reading, table: String, columns: Vec<&'a Column>, output: BatchOutput) -> Self {
        let gathered = columns.iter().map(|column| Gathered::new(column)).collect();
        Self { reading, table, columns, gathered, rows: 0, output }
    }

    /// Takes the rows as they come; the server waits while nobody takes them.
    async fn take_all(mut self, client: &Client, sql: &str) -> Result<(), PostgresError> {
        let failed = || PostgresError::server(format!("read table {}", self.table));
        let rows = client.query_raw(sql, Vec::<i32>::new()).await.map_err(failed())?;
        let mut rows = pin!(rows);
        loop {
            let failed = PostgresError::server(format!("read table {}", self.table));
            let Some(row) = rows.try_next().await.map_err(failed)? else { break };
            self.push(&row)?;
            if self.rows >= MAX_BATCH_ROWS {
                self.send().await?;
            }
        }
        self.send().await
    }

    fn push(&mut self, row: &Row) -> Result<(), PostgresError> {
        for (place, gathered) in self.gathered.iter_mut().enumerate() {
            let value = row.try_get::<_, Option<Raw<'_>>>(place).map_err(|error| error.to_string());
            let pushed = value.and_then(|value| gathered.push(value.map(|Raw(bytes)| bytes)));
            pushed.map_err(|reason| misfit(&self.table, self.columns[place], reason))?;
        }
        self.rows += 1;
        Ok(())
    }

    async fn send(&mut self) -> Result<(), PostgresError> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let taken = self.gathered.iter_mut().zip(&self.columns);
        let taken = taken.map(|(gathered, column)| {
            gathered.take(column).map_err(|reason| misfit(&self.table, column, reason))
        });
        let arrays = taken.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new(self.reading.arrow(), arrays).map_err(PostgresError::Encode)?;
        Ok(self.output.send(batch).await?)
    }
}

fn misfit(table: &str, column: &Column, reason: String) -> PostgresError {
    PostgresError::Misfit { table: table.to_owned(), column: column.name.clone(), reason }
}

/// A value in its binary form.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
