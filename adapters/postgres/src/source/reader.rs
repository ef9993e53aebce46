//! Reads tables as they are now, each row as the source would emit it.
//!
//! Rows come by `COPY` and are decoded as those of a copy are. A row that the source would make a dead letter of is
//! left out, and so is one that the publication's filter leaves out.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use serde_json::Value;
use towpath_adapter_api::table::MAX_BATCH_ROWS;
use towpath_adapter_api::{AdapterError, BatchOutput, ErrorKind, Reading, TableReader, WhichRows};
use towpath_record::limits::MAX_ROW_BYTES;

use super::catalog::{Catalog, KeyOrder};
use super::cell::{Cell, Cells};
use super::config::{SourceConfig, Wanted};
use super::copy::stopped;
use super::kind::Kind;
use super::message::{self, Tuple};
use super::print;
use super::wire::{Line, Purpose, Wire};
use crate::error::PostgresError;
use crate::table::quoted;

const DOING: &str = "read a table";

/// Makes a reader of a configuration.
pub(crate) fn make(config: &Value) -> Result<Box<dyn TableReader>, AdapterError> {
    Ok(Box::new(PostgresReader { config: SourceConfig::read(config)? }))
}

struct PostgresReader {
    config: SourceConfig,
}

#[async_trait]
impl TableReader for PostgresReader {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        let address = self.config.server().address();
        read(&self.config, reading, &output).await.map_err(|error| error.at(&address))
    }
}

/// A table that rows are read from.
struct Place {
    oid: u32,
    schema: String,
    name: String,
    partitioned: bool,
}

async fn read(config: &SourceConfig, reading: &Reading, output: &BatchOutput) -> Result<(), PostgresError> {
    let mut catalog = Catalog::open(config).await?;
    let place = place(&catalog, config, reading).await?;
    let mut rows = Rows::of(&mut catalog, &place, reading).await?;
    let publication = config.publication_of(&config.slot_of(&reading.owner));
    let filter = catalog.filter(&publication, &place.schema, &place.name).await?;
    let keys = match &reading.rows {
        WhichRows::All => None,
        WhichRows::Keys(keys) if keys.num_rows() == 0 => return Ok(()),
        WhichRows::Keys(keys) => Some(among(&catalog, &place, reading, keys).await?),
    };
    let conditions: Vec<_> = filter.map(|filter| format!("({filter})")).into_iter().chain(keys).collect();
    let conditions = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let only = if place.partitioned { "" } else { "ONLY " };
    let sql = format!(
        "COPY (SELECT {} FROM {only}{}.{}{conditions}) TO STDOUT",
        rows.names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "),
        quoted(&place.schema),
        quoted(&place.name),
    );
    drop(catalog);
    let most_bytes = usize::try_from(config.batch_bytes.0).unwrap_or(usize::MAX);
    let mut wire = Wire::connect(&config.server(), Purpose::Rows).await?;
    let mut lines = wire.copy(&sql, DOING).await?;
    while let Some(line) = lines.next().await? {
        // A row that was cut is one that no record holds.
        if let Line::Whole(values) = line {
            rows.push(&values);
        }
        if rows.count == MAX_BATCH_ROWS || rows.bytes >= most_bytes {
            output.send(rows.finish()).await.map_err(stopped)?;
        }
    }
    match rows.count {
        0 => Ok(()),
        _ => output.send(rows.finish()).await.map_err(stopped),
    }
}

/// The table of a stream.
async fn place(catalog: &Catalog, config: &SourceConfig, reading: &Reading) -> Result<Place, PostgresError> {
    const SQL: &str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p' FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
         AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
    let wanted = Wanted::new(config)?;
    let rows = catalog.client.query(SQL, &[]).await.map_err(PostgresError::server("list the tables"))?;
    let mut found = rows.iter().map(|row| Place {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        partitioned: row.get(3),
    });
    let is_it = |place: &Place| {
        let of_stream = config.stream_of(&place.schema, &place.name);
        wanted.has(&format!("{}.{}", place.schema, place.name))
            && of_stream.is_ok_and(|stream| stream == reading.stream)
    };
    let stream = &reading.stream;
    let place = found.find(is_it).ok_or_else(|| {
        let message = format!("no table is read into stream {stream}; it was dropped, renamed or excluded");
        PostgresError::unready(ErrorKind::Config, message)
    })?;
    match found.find(is_it) {
        None => Ok(place),
        Some(other) => {
            let message = format!(
                "the tables {}.{} and {}.{} are both read into stream {stream}; correct `stream`",
                place.schema, place.name, other.schema, other.name
            );
            Err(PostgresError::unready(ErrorKind::Config, message))
        }
    }
}

/// The condition that a row has one of some keys.
async fn among(
    catalog: &Catalog,
    place: &Place,
    reading: &Reading,
    keys: &RecordBatch,
) -> Result<String, PostgresError> {
    let order: KeyOrder = catalog.casts(place.oid, reading.schema.key()).await?;
    if order.names.is_empty() || order.names.len() != keys.num_columns() {
        return Err(changed(reading));
    }
    let mut rows = Vec::with_capacity(keys.num_rows());
    for row in 0..keys.num_rows() {
        let texts = keys.columns().iter().map(|column| {
            column.is_valid(row).then(|| print::value(column, row)).flatten().ok_or_else(|| changed(reading))
        });
        rows.push(order.row(&texts.collect::<Result<Vec<_>, _>>()?));
    }
    let names: Vec<_> = order.names.iter().map(|name| quoted(name)).collect();
    Ok(format!("({}) IN ({})", names.join(", "), rows.join(", ")))
}

/// Rows on their way into a batch.
struct Rows {
    names: Vec<String>,
    kinds: Vec<Kind>,
    arrow: arrow_schema::SchemaRef,
    cells: Vec<Cells>,
    count: usize,
    bytes: usize,
}

impl Rows {
    /// The columns of a schema, as the table has them now.
    async fn of(catalog: &mut Catalog, place: &Place, reading: &Reading) -> Result<Self, PostgresError> {
        let present = catalog.columns(place.oid).await?;
        let arrow = reading.arrow();
        let (mut names, mut kinds) = (Vec::new(), Vec::new());
        for field in arrow.fields() {
            let column: &message::RelationColumn =
                present.iter().find(|c| &c.name == field.name()).ok_or_else(|| changed(reading))?;
            let kind = catalog.kind(column.type_oid, column.modifier).await?.kind;
            if kind.column_type().to_arrow() != *field.data_type() {
                return Err(changed(reading));
            }
            names.push(column.name.clone());
            kinds.push(kind);
        }
        let cells = kinds.iter().map(|kind| Cells::new(*kind)).collect();
        Ok(Self { names, kinds, arrow, cells, count: 0, bytes: 0 })
    }

    /// Takes in a row that a record holds.
    fn push(&mut self, values: &Tuple) {
        let mut bytes = 0;
        let cells = self.kinds.iter().zip(values).map(|(kind, value)| match value {
            message::Value::Text(text) => {
                bytes += kind.cell_bytes(text.len());
                Cell::read(*kind, text)
            }
            message::Value::Null | message::Value::Unchanged => Ok(Cell::Null),
        });
        let Ok(cells) = cells.collect::<Result<Vec<_>, _>>() else { return };
        if bytes > MAX_ROW_BYTES || cells.len() != self.cells.len() {
            return;
        }
        self.bytes += bytes;
        self.count += 1;
        for (column, cell) in self.cells.iter_mut().zip(cells) {
            column.push(cell);
        }
    }

    fn finish(&mut self) -> RecordBatch {
        let columns: Vec<Arc<dyn Array>> = self.cells.iter_mut().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        (self.count, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(self.arrow.clone(), columns, &options)
            .expect("each column was built for its field of the same schema")
    }
}

/// The table is not what the schema says.
fn changed(reading: &Reading) -> PostgresError {
    let message = format!(
        "the table of stream {} has other columns than the stream; the change is on its way, or `source` and stream do \
         not belong together",
        reading.stream
    );
    PostgresError::unready(ErrorKind::Unavailable, message)
}
