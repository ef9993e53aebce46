//! Reading back what the sink wrote, in the stream's own types.

use arrow_array::{ArrayRef, RecordBatch};
use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, Row, Statement};
use towpath_adapter_api::table::MAX_BATCH_ROWS;
use towpath_adapter_api::{
    AdapterError, BatchOutput, ErrorKind, Mode, Reading, Stopped, TableReader, WhichRows,
};
use towpath_record::Column;

use crate::config::Config;
use crate::decode::Gathered;
use crate::encode::formattable;
use crate::error::SqliteError;
use crate::table::quoted;
use crate::write::values;

/// Reads the tables that a sink of this configuration writes.
pub(crate) struct SinkReader {
    config: Config,
}

impl SinkReader {
    /// A reader that opens nothing yet.
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }
}

#[async_trait]
impl TableReader for SinkReader {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        let (config, reading, path) = (self.config.clone(), reading.clone(), self.config.path.clone());
        let read = tokio::task::spawn_blocking(move || read(&config, &reading, &output)).await;
        read.map_err(|source| SqliteError::Worker { path, source })?
    }
}

/// Rows on their way to whoever wants them.
struct Batches<'a> {
    reading: &'a Reading,
    table: String,
    columns: Vec<&'a Column>,
    gathered: Vec<Gathered>,
    rows: usize,
    output: &'a BatchOutput,
}

fn read(config: &Config, reading: &Reading, output: &BatchOutput) -> Result<(), AdapterError> {
    let table = config.table_of(&reading.stream);
    let unfit = |reason| SqliteError::Unfit { path: config.path.clone(), table: table.clone(), reason };
    let mode = Mode::of(config.mode, &reading.schema, config.deleted_at()).map_err(unfit)?;
    let arrow = reading.arrow();
    let is_told = |column: &&Column| arrow.column_with_name(&column.name).is_some();
    let columns: Vec<_> = reading.schema.columns().iter().filter(is_told).collect();
    let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    let mut conditions: Vec<_> = mode
        .absence_column(config.deleted_at())
        .iter()
        .map(|name| format!("{} IS NULL", quoted(name)))
        .collect();
    if let WhichRows::Keys(_) = reading.rows {
        let keys = reading.schema.key().iter().enumerate();
        conditions.extend(keys.map(|(place, name)| format!("{} = ?{}", quoted(name), place + 1)));
    }
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let sql = format!("SELECT {} FROM {}{filter}", names.join(", "), quoted(&table));
    let failed = |source| SqliteError::Database {
        path: config.path.clone(),
        doing: format!("read table {table:?}"),
        source,
    };
    let database = open(config).map_err(failed)?;
    let mut statement = database.prepare(&sql).map_err(failed)?;
    let gathered = columns.iter().map(|column| Gathered::new(column)).collect();
    let mut batches = Batches { reading, table: table.clone(), columns, gathered, rows: 0, output };
    match &reading.rows {
        WhichRows::All => batches.take(statement.query([]).map_err(failed)?, &failed)?,
        WhichRows::Keys(keys) => each_key(&mut statement, keys, &mut batches, &failed)?,
    }
    batches.send()
}

/// Opens the database to read; whoever writes it goes on.
fn open(config: &Config) -> rusqlite::Result<Connection> {
    let database = Connection::open_with_flags(
        &config.path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    database.busy_timeout(config.busy_timeout.0)?;
    Ok(database)
}

/// Asks for one key after another; each is bound as the sink wrote it.
fn each_key(
    statement: &mut Statement<'_>,
    keys: &RecordBatch,
    batches: &mut Batches<'_>,
    failed: &dyn Fn(rusqlite::Error) -> SqliteError,
) -> Result<(), AdapterError> {
    let unencodable = |source| batches.unencodable(source);
    let keys = formattable(keys).map_err(unencodable)?;
    let mut columns = values(&keys).map_err(unencodable)?;
    for row in 0..keys.num_rows() {
        for (place, column) in columns.iter_mut().enumerate() {
            let value = column.bind(row).map_err(|source| batches.unencodable(source))?;
            statement.raw_bind_parameter(place + 1, value).map_err(failed)?;
        }
        batches.take(statement.raw_query(), failed)?;
    }
    Ok(())
}

impl Batches<'_> {
    fn take(
        &mut self,
        mut rows: rusqlite::Rows<'_>,
        failed: &dyn Fn(rusqlite::Error) -> SqliteError,
    ) -> Result<(), AdapterError> {
        while let Some(row) = rows.next().map_err(failed)? {
            self.push(row)?;
        }
        Ok(())
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), AdapterError> {
        for (place, gathered) in self.gathered.iter_mut().enumerate() {
            let value = row.get_ref(place).map_err(|error| error.to_string());
            let pushed = value.and_then(|value| gathered.push(value));
            pushed.map_err(|reason| misfit(&self.table, self.columns[place], &reason))?;
        }
        self.rows += 1;
        if self.rows >= MAX_BATCH_ROWS { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), AdapterError> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let taken = self.gathered.iter_mut().zip(&self.columns).map(|(gathered, column)| {
            gathered.take(column).map_err(|reason| misfit(&self.table, column, &reason))
        });
        let arrays: Vec<ArrayRef> = taken.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new(self.reading.arrow(), arrays);
        let batch = batch.map_err(|error| self.unencodable(error))?;
        self.output.send_blocking(batch).map_err(|stopped: Stopped| AdapterError::from(stopped))
    }

    fn unencodable(&self, error: arrow_schema::ArrowError) -> AdapterError {
        AdapterError::new(ErrorKind::Config, format!("table {:?}", self.table), error.to_string())
            .caused_by(error)
    }
}

fn misfit(table: &str, column: &Column, reason: &str) -> AdapterError {
    let message = format!(
        "column {:?} holds a value that is not of the stream's type: {reason}; the table has changed, or was \
         written by others",
        column.name
    );
    AdapterError::new(ErrorKind::Config, format!("table {table:?}"), message)
}
