//! Gathers rows into emissions, and knows where the source may resume after each.
//!
//! What is gathered is handed over when the next row does not fit or belongs to another stream, and when nothing
//! more is here. So the last row of a transaction is always still in hand when its end comes, and the emission
//! that holds it says that the transaction is complete.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StructArray, TimestampMicrosecondArray, UInt8Array};
use arrow_schema::DataType;
use towpath_adapter_api::{Emission, Output, Rows, Stopped};
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Mark, Op, StreamName};

use super::cell::{Cell, Cells};
use super::config::SourceConfig;
use super::message::{Tuple, Value};
use super::position::SourcePosition;
use super::table::{Misfit, Table, TableColumn};

/// A longer key is not kept in a position.
const MAX_KEY_BYTES: usize = 4 << 10;
/// How many marks an emission carries; a frame holds 256.
const MARKS_AT_ONCE: usize = 200;
/// What a row takes beside its cells.
const ROW_BYTES: usize = 16;

/// A row on its way out.
pub(crate) struct Row {
    pub(crate) op: Op,
    /// In microseconds since 1970-01-01 UTC.
    pub(crate) at_us: i64,
    pub(crate) xid: Option<u32>,
    pub(crate) values: Tuple,
    /// The row before the change, where it is known.
    pub(crate) before: Option<Tuple>,
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
    /// The columns of the key that rows are copied in the order of.
    pub(crate) copied_by: Vec<usize>,
    /// The row that was copied last, up to where it was cut if it was too long.
    copied: Option<Tuple>,
    /// Whether the transaction of what is in hand goes on.
    pub(crate) continues: bool,
    emitted_at: Instant,
    emitted_lsn: u64,
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
    unchanged: ListBuilder<StringBuilder>,
    columns: Vec<Cells>,
    /// The rows before the changes, and whether there is one.
    before: Vec<Cells>,
    has_before: Vec<bool>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new(
        output: Output,
        progress: StreamName,
        config: &SourceConfig,
        position: SourcePosition,
    ) -> Self {
        let bytes = usize::try_from(config.batch_bytes.0).unwrap_or(usize::MAX);
        let rows = config.batch_rows;
        let emitted_lsn = position.lsn;
        Self {
            output,
            progress,
            rows,
            bytes,
            open: None,
            position,
            copied_by: Vec::new(),
            copied: None,
            continues: false,
            emitted_at: Instant::now(),
            emitted_lsn,
        }
    }

    /// Takes in the rows of one change, which stay together. One that does not fit its stream becomes a dead letter.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn add(
        &mut self,
        table: &Arc<Table>,
        rows: impl IntoIterator<Item = Row, IntoIter: ExactSizeIterator + Send>,
    ) -> Result<(), Stopped> {
        let rows = rows.into_iter();
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
            self.add_row(table, row).await?;
        }
        Ok(())
    }

    async fn add_row(&mut self, table: &Arc<Table>, row: Row) -> Result<(), Stopped> {
        let mut batch = match self.open.take() {
            Some(Open::Rows(batch)) => batch,
            letters => {
                self.open = letters;
                Box::new(Batch::new(table.clone()))
            }
        };
        match batch.push(&row) {
            Ok(()) => {
                // A letter before it in the same change was handed over first.
                self.flush().await?;
                self.open = Some(Open::Rows(batch));
            }
            Err(misfit) => {
                if !batch.ops.is_empty() {
                    self.open = Some(Open::Rows(batch));
                }
                self.refuse(table, misfit, &row.values).await?;
            }
        }
        if row.op == Op::Read {
            self.copied = Some(row.values);
        }
        Ok(())
    }

    /// Takes in a copied row that was too long to be kept whole: its first values, and its first bytes.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn add_cut(&mut self, table: &Table, values: Tuple, kept: &[u8]) -> Result<(), Stopped> {
        self.add_too_long(table, kept).await?;
        // A row that was cut before its key leaves the key where it was: a later run tells of it again.
        if self.copied_by.iter().all(|column| matches!(values.get(*column), Some(Value::Text(_)))) {
            self.copied = Some(values);
        }
        Ok(())
    }

    async fn refuse(&mut self, table: &Table, misfit: Misfit, values: &[Value]) -> Result<(), Stopped> {
        let mut raw = Vec::new();
        for value in values {
            match value {
                Value::Text(text) => raw.extend_from_slice(&text[..text.len().min(MAX_KEY_BYTES)]),
                Value::Null | Value::Unchanged => {}
            }
            raw.push(b'\t');
        }
        self.add_letter(table, misfit, &raw).await
    }

    /// Takes in a row that was too long to be kept whole.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn add_too_long(&mut self, table: &Table, kept: &[u8]) -> Result<(), Stopped> {
        let reason = "the row is far longer than a record may be; only its first bytes were kept".to_owned();
        self.add_letter(table, Misfit { column: None, reason }, kept).await
    }

    /// Takes in a change that has no place in its stream.
    async fn add_letter(&mut self, table: &Table, misfit: Misfit, raw: &[u8]) -> Result<(), Stopped> {
        let (raw, raw_truncated) = DeadLetter::clip(raw);
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
        self.emit(stream, rows, Vec::new()).await
    }

    /// Hands over what is in hand, and then the position with facts that hold with it, all in as few emissions as can
    /// carry them. The position that `change` makes comes with the last.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn tell(
        &mut self,
        marks: Vec<Mark>,
        change: impl FnOnce(&mut SourcePosition),
    ) -> Result<(), Stopped> {
        self.flush().await?;
        let mut marks = marks.into_iter().peekable();
        let mut next = || (marks.by_ref().take(MARKS_AT_ONCE).collect::<Vec<_>>(), marks.peek().is_some());
        loop {
            let (some, more) = next();
            if !more {
                change(&mut self.position);
                return self.emit(self.progress.clone(), Rows::Progress, some).await;
            }
            self.emit(self.progress.clone(), Rows::Progress, some).await?;
        }
    }

    /// Hands over what is in hand and, if that is nothing, the position alone.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) async fn progress(&mut self) -> Result<(), Stopped> {
        match self.open {
            Some(_) => self.flush().await,
            None => self.emit(self.progress.clone(), Rows::Progress, Vec::new()).await,
        }
    }

    /// Whether the position moved and was told to nobody for so long.
    pub(crate) fn is_silent_for(&self, span: Duration) -> bool {
        self.position.lsn > self.emitted_lsn && self.emitted_at.elapsed() >= span
    }

    async fn emit(&mut self, stream: StreamName, rows: Rows, marks: Vec<Mark>) -> Result<(), Stopped> {
        self.note_copied_key();
        (self.emitted_at, self.emitted_lsn) = (Instant::now(), self.position.lsn);
        let position = self.position.write();
        let transaction_continues = self.continues;
        self.output.emit(Emission { stream, rows, position, marks, transaction_continues }).await
    }

    fn note_copied_key(&mut self) {
        let Some(copied) = self.copied.take() else { return };
        let Some(part) = self.position.runs.last_mut().and_then(|run| run.part.as_mut()) else { return };
        let text = |column: &usize| match copied.get(*column) {
            Some(Value::Text(text)) if text.len() <= MAX_KEY_BYTES => str::from_utf8(text).ok(),
            _ => None,
        };
        let key = self.copied_by.iter().map(|column| text(column).map(str::to_owned));
        let key: Vec<_> = key.collect::<Option<_>>().unwrap_or_default();
        let fits = key.iter().map(String::len).sum::<usize>() <= MAX_KEY_BYTES;
        part.key = if fits { key } else { Vec::new() };
    }
}

impl Batch {
    fn new(table: Arc<Table>) -> Self {
        let before = table.columns.iter().filter(|_| table.tells_before);
        Self {
            ops: Vec::new(),
            times: Vec::new(),
            transactions: StringBuilder::new(),
            unchanged: ListBuilder::new(StringBuilder::new()),
            columns: table.columns.iter().map(|column| Cells::new(column.kind)).collect(),
            before: before.map(|column| Cells::new(column.kind)).collect(),
            has_before: Vec::new(),
            bytes: 0,
            table,
        }
    }

    /// Adds a row. What a row that does not fit leaves in some columns is cut off when the batch is finished, which is
    /// then before the next row.
    fn push(&mut self, row: &Row) -> Result<(), Misfit> {
        let table = &*self.table;
        if row.op == Op::Truncate {
            self.columns.iter_mut().chain(&mut self.before).for_each(|cells| cells.push(Cell::Null));
        } else {
            self.bytes += table.row_bytes(row)?;
            gather(&mut self.columns, &table.columns, &row.values)?;
            match &row.before {
                Some(before) if table.tells_before => gather(&mut self.before, &table.columns, before)?,
                _ => self.before.iter_mut().for_each(|cells| cells.push(Cell::Null)),
            }
        }
        if table.tells_unchanged {
            let columns = table.columns.iter().zip(&row.values);
            let mut some = false;
            for (column, _) in columns.filter(|(_, value)| **value == Value::Unchanged) {
                self.unchanged.values().append_value(&column.name);
                some = true;
            }
            self.unchanged.append(some);
        }
        self.has_before.push(row.before.is_some());
        self.ops.push(row.op.code());
        self.times.push(row.at_us);
        match row.xid {
            Some(xid) => {
                write!(self.transactions, "{xid}").expect("a column takes any text");
                self.transactions.append_value("");
            }
            None => self.transactions.append_null(),
        }
        self.bytes += ROW_BYTES;
        Ok(())
    }

    fn finish(mut self) -> RecordBatch {
        let rows = self.ops.len();
        let times = TimestampMicrosecondArray::from(self.times).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt8Array::from(self.ops)), Arc::new(times), Arc::new(self.transactions.finish())];
        if self.table.tells_unchanged {
            columns.push(Arc::new(self.unchanged.finish()));
        }
        let finish = |cells: &mut Cells| cells.finish().slice(0, rows);
        columns.extend(self.columns.iter_mut().map(finish));
        let before = self.table.schema.arrow().fields().last().map(|field| field.data_type());
        if let Some(DataType::Struct(fields)) = before.filter(|_| self.table.tells_before) {
            let arrays = self.before.iter_mut().map(finish).collect();
            columns.push(Arc::new(StructArray::new(fields.clone(), arrays, Some(self.has_before.into()))));
        }
        RecordBatch::try_new(self.table.schema.arrow().clone(), columns)
            .expect("each column was built for its field of the same table")
    }
}

/// Appends a row's values to their columns.
fn gather(cells: &mut [Cells], columns: &[TableColumn], values: &[Value]) -> Result<(), Misfit> {
    for ((cells, column), value) in cells.iter_mut().zip(columns).zip(values) {
        cells.push(match value {
            Value::Null | Value::Unchanged => Cell::Null,
            Value::Text(text) => Cell::read(column.kind, text)
                .map_err(|reason| Misfit { column: Some(column.name.clone()), reason })?,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use bytes::Bytes;
    use serde_json::json;
    use towpath_adapter_api::{Releases, SourceDriver};
    use towpath_record::schema::UNCHANGED_COLUMN;

    use super::super::table::tests::table;
    use super::*;

    fn row(id: &'static str) -> Row {
        let values = vec![Value::Text(Bytes::from_static(id.as_bytes())), Value::Unchanged];
        Row { op: Op::Update, at_us: 0, xid: Some(7), values, before: None }
    }

    fn outbox() -> (Outbox, SourceDriver, Releases) {
        let (output, releases, driver) = SourceDriver::channels(9);
        let config = SourceConfig::read(&json!({ "url": "postgres://u@h/d", "batch_rows": 2 })).unwrap();
        let progress = StreamName::new("p").unwrap();
        (Outbox::new(output, progress, &config, SourcePosition::default()), driver, releases)
    }

    #[tokio::test]
    async fn a_row_that_does_not_fit_leaves_nothing_in_its_batch_and_names_its_column() {
        let (mut outbox, mut driver, _releases) = outbox();
        let table = Arc::new(table(b'd'));
        let mut unreadable = row("2");
        unreadable.values[1] = Value::Text(Bytes::from_static(b"\xff"));
        outbox.add(&table, [row("1")]).await.unwrap();
        outbox.add(&table, [unreadable]).await.unwrap();
        outbox.flush().await.unwrap();
        let Rows::Records { batch, .. } = driver.emissions.try_recv().unwrap().rows else {
            panic!("no rows")
        };
        let ids: &Int64Array = batch.column_by_name("id").unwrap().as_primitive();
        assert_eq!(ids.values(), &[1]);
        let unchanged = batch.column_by_name(UNCHANGED_COLUMN).unwrap().as_list::<i32>().value(0);
        assert_eq!(unchanged.as_string::<i32>().value(0), "note");
        let Rows::DeadLetters(letters) = driver.emissions.try_recv().unwrap().rows else {
            panic!("no letters")
        };
        let columns: Vec<_> = letters.iter().map(|letter| letter.column.as_deref()).collect();
        assert_eq!(columns, [Some("note")]);
    }

    #[tokio::test]
    async fn the_last_row_of_a_transaction_says_that_it_is_complete() {
        let (mut outbox, mut driver, _releases) = outbox();
        let table = Arc::new(table(b'd'));
        for (change, id) in (1..).zip(["1", "2", "x", "3"]) {
            outbox.add(&table, [row(id)]).await.unwrap();
            outbox.position.move_to(5, change);
            outbox.continues = true;
        }
        outbox.position.move_to(9, 0);
        outbox.continues = false;
        outbox.flush().await.unwrap();
        let mut seen = Vec::new();
        while let Ok(emission) = driver.emissions.try_recv() {
            let position = SourcePosition::read(&emission.position).unwrap().unwrap();
            let rows = match emission.rows {
                Rows::Records { batch, .. } => batch.num_rows(),
                Rows::DeadLetters(_) | Rows::Progress => 0,
            };
            seen.push((rows, position.lsn, position.changes, emission.transaction_continues));
        }
        assert_eq!(seen, [(2, 5, 2, true), (0, 5, 3, true), (1, 9, 0, false)]);
    }
}
