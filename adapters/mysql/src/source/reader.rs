//! Reads a source's tables as they are now.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use towpath_adapter_api::table::MAX_BATCH_ROWS;
use towpath_adapter_api::{AdapterError, BatchOutput, ErrorKind, Reading, TableReader, WhichRows};

use super::catalog::{Catalog, literal};
use super::cell::{Cell, Cells};
use super::config::{SourceConfig, Wanted};
use super::key::hex;
use super::range;
use super::table::{Table, quoted};
use crate::error::MysqlError;

/// Makes a reader; connects to nothing yet.
pub(crate) fn reader(config: &Value) -> Result<Box<dyn TableReader>, AdapterError> {
    Ok(Box::new(SourceReader { config: SourceConfig::read(config)? }))
}

struct SourceReader {
    config: SourceConfig,
}

#[async_trait]
impl TableReader for SourceReader {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        let address = self.config.server().address();
        Box::pin(read(&self.config, reading, output)).await.map_err(|error| error.at(&address))
    }
}

async fn read(config: &SourceConfig, reading: &Reading, output: BatchOutput) -> Result<(), MysqlError> {
    let mut catalog = Catalog::open(config).await?;
    let table = table_of(&mut catalog, config, reading).await?;
    let mut sql = range::select(&table, None, None)?;
    if let WhichRows::Keys(keys) = &reading.rows {
        let Some(among) = among(&table, keys)? else { return Ok(()) };
        sql = format!("{sql} WHERE {among}");
    }
    let doing = || MysqlError::server(format!("read table {}", table.name));
    let most_bytes = usize::try_from(config.batch_bytes.0).unwrap_or(usize::MAX);
    let mut answer = catalog.connection.exec_iter(sql, ()).await.map_err(doing())?;
    let (mut rows, mut bytes): (Vec<Vec<Cell>>, usize) = (Vec::new(), 0);
    while let Some(row) = answer.next().await.map_err(doing())? {
        // A row that has no place in the stream is a dead letter there, and no row here.
        let (_, Ok(cells)) = range::selected(&table, row) else { continue };
        bytes += cells.iter().map(Cell::bytes).sum::<usize>();
        rows.push(cells);
        if rows.len() >= MAX_BATCH_ROWS || bytes >= most_bytes {
            output.send(batch(&table, reading, &rows)?).await.map_err(super::follow::stopped)?;
            (rows, bytes) = (Vec::new(), 0);
        }
    }
    if !rows.is_empty() {
        output.send(batch(&table, reading, &rows)?).await.map_err(super::follow::stopped)?;
    }
    Ok(())
}

/// The table whose stream is wanted, if it still has the stream's columns.
async fn table_of(
    catalog: &mut Catalog,
    config: &SourceConfig,
    reading: &Reading,
) -> Result<Table, MysqlError> {
    let stream = &reading.stream;
    for (schema, name) in catalog.tables(&Wanted::new(config)?).await? {
        if config.stream_of(&schema, &name).is_ok_and(|of_table| of_table == *stream) {
            let Some(table) = catalog.table(&schema, &name, config).await? else { continue };
            let fits = reading.schema.columns().iter().all(|wanted| {
                let has = |column: &towpath_record::Column| {
                    column.name == wanted.name && column.column_type == wanted.column_type
                };
                wanted.name.starts_with('_') || table.schema.columns().iter().any(has)
            });
            let message =
                format!("table {} has other columns by now; their rows are on their way", table.name);
            return if fits { Ok(table) } else { Err(MysqlError::unready(ErrorKind::Unavailable, message)) };
        }
    }
    Err(MysqlError::unready(ErrorKind::Config, format!("no table has the stream `{stream}` any more")))
}

fn batch(table: &Table, reading: &Reading, rows: &[Vec<Cell>]) -> Result<RecordBatch, MysqlError> {
    let schema = reading.arrow();
    let column = |field: &arrow_schema::FieldRef| -> Option<ArrayRef> {
        let index = table.columns.iter().position(|column| column.name == *field.name())?;
        let mut cells = Cells::new(&table.columns[index].kind.column_type(table.reading));
        rows.iter().for_each(|row| cells.push(&row[index]));
        Some(cells.finish())
    };
    let columns = schema.fields().iter().map(column).collect::<Option<Vec<_>>>();
    let columns = columns.ok_or(MysqlError::Damaged("a column of the stream is not in its table"))?;
    RecordBatch::try_new(schema, columns).map_err(|source| MysqlError::Arrow { doing: "shown", source })
}

/// The condition that finds rows by their keys; none for no keys.
fn among(table: &Table, keys: &RecordBatch) -> Result<Option<String>, MysqlError> {
    const FORM: FormatOptions<'static> = FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_time_format(Some("%H:%M:%S%.6f"));
    let shown = |source| MysqlError::Arrow { doing: "shown", source };
    let mut conditions = Vec::with_capacity(keys.num_rows());
    for row in 0..keys.num_rows() {
        let mut parts = Vec::new();
        for (field, column) in keys.schema().fields().iter().zip(keys.columns()) {
            let name = quoted(field.name());
            if column.is_null(row) {
                parts.push(format!("{name} IS NULL"));
                continue;
            }
            let value = match column.data_type() {
                arrow_schema::DataType::Binary => {
                    let bytes = arrow_array::cast::AsArray::as_binary::<i32>(column).value(row);
                    format!("X'{}'", hex(bytes))
                }
                of_type => {
                    // Zones are of no use to the formatter, and every instant is in UTC.
                    let plain = match of_type {
                        arrow_schema::DataType::Timestamp(unit, Some(_)) => {
                            arrow_cast::cast(column, &arrow_schema::DataType::Timestamp(*unit, None))
                                .map_err(shown)?
                        }
                        _ => column.clone(),
                    };
                    let formatter = ArrayFormatter::try_new(&plain, &FORM).map_err(shown)?;
                    let text = formatter.value(row).try_to_string().map_err(shown)?;
                    let is_number = of_type.is_numeric();
                    if is_number { text } else { literal(&text) }
                }
            };
            parts.push(format!("{name} = {value}"));
        }
        conditions.push(format!("({})", parts.join(" AND ")));
    }
    let known = keys.schema().fields().iter().all(|f| table.columns.iter().any(|c| c.name == *f.name()));
    match known {
        true if conditions.is_empty() => Ok(None),
        true => Ok(Some(conditions.join(" OR "))),
        false => Err(MysqlError::Damaged("keys of columns that the table does not have")),
    }
}
