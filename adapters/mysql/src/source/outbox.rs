//! Gathers rows into emissions, and knows where the source may resume after each.
//!
//! What is gathered is handed over when the next row does not fit or belongs to another stream, and when nothing
//! more is here. So the last row of a transaction is always still in hand when its end comes, and the emission
//! that holds it says that the transaction is complete.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt8Array};
use towpath_adapter_api::{Emission, Output, Rows, Stopped};
use towpath_record::dead_letter::DeadLetter;
use towpath_record::limits::MAX_ROW_BYTES;
use towpath_record::{Op, StreamName};

use super::cell::{Cell, Cells};
use super::config::SourceConfig;
use super::position::{Place, SourcePosition};
use super::table::{Misfit, Table};

/// What a row takes beside its cells.
const ROW_BYTES: usize = 16;
/// The most that a dead letter quotes of one value.
const MAX_QUOTED_CHARS: usize = 4 << 10;

/// A row on its way out.
pub(crate) struct Row {
    pub(crate) op: Op,
    /// In microseconds since 1970-01-01 UTC.
    pub(crate) at_us: i64,
    pub(crate) transaction: Option<Arc<str>>,
    pub(crate) cells: Result<Vec<Cell>, Misfit>,
}

/// Gathers rows and hands them over.
pub(crate) struct Outbox {
    output: Output,
    /// The stream that mere progress is reported on.
    progress: StreamName,
    rows: usize,
    bytes: usize,
    open: Option<Open>,
    /// Where the source may resume after what is in hand.
    pub(crate) position: SourcePosition,
    /// Whether the transaction of what is in hand goes on.
    pub(crate) continues: bool,
    emitted_at: Instant,
    emitted_place: Place,
}

enum Open {
    Rows(Box<Batch>),
    Letters(StreamName, Vec<DeadLetter>),
}

struct Batch {
    table: Arc<Table>,
    ops: Vec<u8>,
    times: Vec<i64>,
    transactions: StringBuilder,
    columns: Vec<Cells>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new(
        output: Output,
        progress: StreamName,
        config: &SourceConfig,
        position: SourcePosition,
    ) -> Self {
        Self {
            output,
            progress,
            rows: config.batch_rows,
            bytes: usize::try_from(config.batch_bytes.0).unwrap_or(usize::MAX),
            open: None,
            emitted_place: position.place.clone(),
            position,
            continues: false,
            emitted_at: Instant::now(),
        }
    }

    /// Takes in the rows of one change, which stay together. One that does not fit its stream becomes a dead letter.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn add(&mut self, table: &Arc<Table>, rows: Vec<Row>) -> Result<(), Stopped> {
        let fits = match &self.open {
            Some(Open::Rows(batch)) => {
                let same = Arc::ptr_eq(&batch.table, table)
                    || (batch.table.schema == table.schema && batch.table.stream == table.stream);
                same && batch.ops.len() + rows.len() <= self.rows && batch.bytes < self.bytes
            }
            Some(Open::Letters(..)) => false,
            None => true,
        };
        if !fits {
            self.flush().await?;
        }
        for row in rows {
            match fitting(&row) {
                Ok(cells) => {
                    // A letter before it in the same change was handed over first.
                    if !matches!(self.open, Some(Open::Rows(_))) {
                        self.flush().await?;
                        self.open = Some(Open::Rows(Box::new(Batch::new(table.clone()))));
                    }
                    if let Some(Open::Rows(batch)) = &mut self.open {
                        batch.push(row.op, row.at_us, row.transaction.as_deref(), cells);
                    }
                }
                Err(misfit) => self.refuse(table, misfit, row.cells.as_deref().unwrap_or_default()).await?,
            }
        }
        Ok(())
    }

    /// Makes a dead letter of a row.
    async fn refuse(&mut self, table: &Table, misfit: Misfit, cells: &[Cell]) -> Result<(), Stopped> {
        let shown: Vec<_> = cells.iter().map(quoted).collect();
        let (raw, raw_truncated) = DeadLetter::clip(shown.join("\t").as_bytes());
        let Misfit { column, reason } = misfit;
        let resource = format!("table {}", table.name);
        let letter = DeadLetter { resource, line: 0, column, reason, raw, raw_truncated };
        if let Some(Open::Letters(stream, letters)) = &mut self.open
            && *stream == table.stream
            && letters.len() < self.rows
        {
            letters.push(letter);
            return Ok(());
        }
        self.flush().await?;
        self.open = Some(Open::Letters(table.stream.clone(), vec![letter]));
        Ok(())
    }

    /// Hands over what is in hand, if anything is.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn flush(&mut self) -> Result<(), Stopped> {
        let (stream, rows) = match self.open.take() {
            None => return Ok(()),
            Some(Open::Rows(batch)) => {
                let schema = batch.table.schema.clone();
                (batch.table.stream.clone(), Rows::Records { schema, batch: batch.finish() })
            }
            Some(Open::Letters(stream, letters)) => (stream, Rows::DeadLetters(letters)),
        };
        self.emit(stream, rows).await
    }

    /// Hands over what is in hand and, if that is nothing, the position alone.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn progress(&mut self) -> Result<(), Stopped> {
        match self.open {
            Some(_) => self.flush().await,
            None => self.emit(self.progress.clone(), Rows::Progress).await,
        }
    }

    /// Whether the position moved and was told to nobody for so long.
    pub(crate) fn is_silent_for(&self, span: Duration) -> bool {
        self.position.place > self.emitted_place && self.emitted_at.elapsed() >= span
    }

    async fn emit(&mut self, stream: StreamName, rows: Rows) -> Result<(), Stopped> {
        (self.emitted_at, self.emitted_place) = (Instant::now(), self.position.place.clone());
        let position = self.position.write();
        let transaction_continues = self.continues;
        self.output.emit(Emission { stream, rows, position, marks: Vec::new(), transaction_continues }).await
    }
}

/// A row's cells, if a record holds them.
fn fitting(row: &Row) -> Result<&[Cell], Misfit> {
    let cells = row.cells.as_ref().map_err(Misfit::clone)?;
    let bytes: usize = cells.iter().map(Cell::bytes).sum();
    match bytes > MAX_ROW_BYTES {
        true => Err(Misfit::too_long(bytes as u64)),
        false => Ok(cells),
    }
}

/// A value as a dead letter quotes it.
fn quoted(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Text(text) => text.chars().take(MAX_QUOTED_CHARS).collect(),
        Cell::Bytes(bytes) => bytes.iter().take(MAX_QUOTED_CHARS).map(|byte| format!("{byte:02x}")).collect(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Int(value) | Cell::Micros(value) | Cell::Interval(value) => value.to_string(),
        Cell::Uint(value) => value.to_string(),
        Cell::Float32(value) => value.to_string(),
        Cell::Float64(value) => value.to_string(),
        Cell::Decimal(value) => value.to_string(),
        Cell::Date(value) => value.to_string(),
        Cell::Foreign(..) => "?".to_owned(),
    }
}

impl Batch {
    fn new(table: Arc<Table>) -> Self {
        let columns = table.columns.iter().map(|column| Cells::new(&column.kind.column_type(table.reading)));
        Self {
            ops: Vec::new(),
            times: Vec::new(),
            transactions: StringBuilder::new(),
            columns: columns.collect(),
            bytes: 0,
            table,
        }
    }

    fn push(&mut self, op: Op, at_us: i64, transaction: Option<&str>, cells: &[Cell]) {
        self.ops.push(op.code());
        self.times.push(at_us);
        self.transactions.append_option(transaction);
        for (index, column) in self.columns.iter_mut().enumerate() {
            // A truncate has no cells.
            let cell = cells.get(index).unwrap_or(&Cell::Null);
            self.bytes += cell.bytes();
            column.push(cell);
        }
        self.bytes += ROW_BYTES;
    }

    fn finish(mut self) -> RecordBatch {
        let times = TimestampMicrosecondArray::from(self.times).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt8Array::from(self.ops)), Arc::new(times), Arc::new(self.transactions.finish())];
        columns.extend(self.columns.iter_mut().map(Cells::finish));
        RecordBatch::try_new(self.table.schema.arrow().clone(), columns)
            .expect("each column was built for its field of the same table")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use towpath_adapter_api::SourceDriver;

    use super::super::table::tests::table;
    use super::*;

    fn row(id: Option<i64>) -> Row {
        let misfit = Misfit { column: None, reason: "bad".to_owned() };
        let cells = id.map(|id| vec![Cell::Int(id), Cell::Null]).ok_or(misfit);
        Row { op: Op::Update, at_us: 0, transaction: Some("0-1-7".into()), cells }
    }

    #[tokio::test]
    async fn the_last_row_of_a_transaction_says_that_it_is_complete() {
        let (output, _releases, mut driver) = SourceDriver::channels(9);
        let config = SourceConfig::read(&json!({ "url": "mysql://u@h/d", "batch_rows": 2 })).unwrap();
        let progress = StreamName::new("p").unwrap();
        let mut outbox = Outbox::new(output, progress, &config, SourcePosition::default());
        let table = Arc::new(table());
        for (change, id) in (1..).zip([Some(1), Some(2), None, Some(3)]) {
            outbox.add(&table, vec![row(id)]).await.unwrap();
            outbox.position.changes = change;
            outbox.continues = true;
        }
        outbox.position.move_to(Place::new("bin.000001", 9), String::new());
        outbox.continues = false;
        outbox.flush().await.unwrap();
        let mut seen = Vec::new();
        while let Ok(emission) = driver.emissions.try_recv() {
            let position = SourcePosition::read(&emission.position).unwrap().unwrap();
            let rows = match emission.rows {
                Rows::Records { batch, .. } => batch.num_rows(),
                Rows::DeadLetters(_) | Rows::Progress => 0,
            };
            seen.push((rows, position.place.offset, position.changes, emission.transaction_continues));
        }
        assert_eq!(seen, [(2, 0, 2, true), (0, 0, 3, true), (1, 9, 0, false)]);
    }
}
