//! Rows sent once more, woven into what a source emits so that no older state of a row ever overtakes a newer one.
//!
//! While rows are read beside the running source, every change that the source emits is watched: a row that changed
//! meanwhile is left out, since what was read of it may be older than what has gone by. A change that is emitted
//! later overtakes what was woven in, as it should. No table, lock or position of the source is touched, so this
//! serves every source whose rows have a key. It is the watermark idea of DBLog (arXiv 2010.12597) the other way
//! round: what is watched is the stream, not the database.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array, make_array,
    new_null_array,
};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use towpath_adapter_api::{AdapterError, Emission, ErrorKind, Reading, Rows, TableReader};
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::{Op, Position, StreamName, StreamSchema};

use crate::data::table::{self, Keys};

/// Rows that shall be sent once more.
pub(crate) struct ResendOrder {
    /// What reads them, and which they are.
    pub reader: Box<dyn TableReader>,
    pub reading: Reading,
    /// The key columns, and the same rows by their keys.
    pub keys: Keys,
    pub texts: Vec<String>,
    /// Told once they are in the spool.
    pub done: oneshot::Sender<Result<Resent, AdapterError>>,
}

/// What became of rows that were to be sent once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Resent {
    pub present: u64,
    pub deleted: u64,
    pub overtaken: u64,
}

/// Rows that were read and are woven in.
pub(super) struct Woven {
    emissions: Vec<Emission>,
    outcome: Result<Resent, AdapterError>,
    done: oneshot::Sender<Result<Resent, AdapterError>>,
}

/// An order under way.
pub(crate) struct Weaving {
    stream: StreamName,
    schema: StreamSchema,
    keys: Keys,
    wanted: HashSet<String>,
    overtaken: HashSet<String>,
    rows: ReadRows,
    done: oneshot::Sender<Result<Resent, AdapterError>>,
}

enum ReadRows {
    Reading(AbortOnDropHandle<Result<Vec<RecordBatch>, AdapterError>>),
    Read(Result<Vec<RecordBatch>, AdapterError>),
}

impl Weaving {
    /// Begins to read; from now on every emission must be shown to [`Weaving::watch`].
    pub(super) fn begin(order: ResendOrder) -> Self {
        let (stream, schema) = (order.reading.stream.clone(), order.reading.schema.clone());
        let reading = tokio::spawn(table::collect(order.reader, order.reading));
        Self {
            stream,
            schema,
            keys: order.keys,
            wanted: order.texts.into_iter().collect(),
            overtaken: HashSet::new(),
            rows: ReadRows::Reading(AbortOnDropHandle::new(reading)),
            done: order.done,
        }
    }

    /// Waits until the rows are read. Dropping the future loses nothing.
    pub(super) async fn read(&mut self) {
        if let ReadRows::Reading(task) = &mut self.rows {
            let stopped = || AdapterError::new(ErrorKind::Unavailable, "reader", "it stopped unexpectedly");
            let read = task.await.unwrap_or_else(|_| Err(stopped()));
            self.rows = ReadRows::Read(read);
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.rows, ReadRows::Read(_))
    }

    /// Notes which of the rows an emission changes.
    pub(super) fn watch(&mut self, emission: &Emission) {
        let Rows::Records { batch, .. } = &emission.rows else { return };
        if emission.stream != self.stream {
            return;
        }
        match self.keys.texts(batch).ok().filter(|_| !truncates(batch)) {
            Some(keys) => self.overtaken.extend(keys.into_iter().filter(|key| self.wanted.contains(key))),
            // Rows that cannot be told apart may be any of them.
            None => self.overtaken.clone_from(&self.wanted),
        }
    }

    /// What was read, as emissions at this position of the source.
    pub(super) fn finish(mut self, position: &Position, now_us: i64) -> Woven {
        let rows = std::mem::replace(&mut self.rows, ReadRows::Read(Ok(Vec::new())));
        let ReadRows::Read(read) = rows else { unreachable!("rows are woven in once they are read") };
        let woven = read.and_then(|batches| self.weave(&batches, position, now_us));
        let (emissions, outcome) = match woven {
            Ok((emissions, resent)) => (emissions, Ok(resent)),
            Err(error) => (Vec::new(), Err(error)),
        };
        Woven { emissions, outcome, done: self.done }
    }

    fn weave(
        &mut self,
        batches: &[RecordBatch],
        position: &Position,
        now_us: i64,
    ) -> Result<(Vec<Emission>, Resent), AdapterError> {
        let refused = |error: &dyn std::fmt::Display| {
            AdapterError::new(ErrorKind::Unavailable, self.stream.as_str(), error.to_string())
        };
        let mut sent = Vec::new();
        let mut present = 0;
        for batch in batches {
            let texts = self.keys.texts(batch).map_err(|error| refused(&error))?;
            let fresh = texts.iter().map(|text| Some(!self.overtaken.contains(text)));
            let rows = filter_record_batch(batch, &fresh.collect::<BooleanArray>());
            let rows = rows.map_err(|error| refused(&error))?;
            for text in &texts {
                self.wanted.remove(text);
            }
            if rows.num_rows() > 0 {
                present += rows.num_rows() as u64;
                sent.push((Op::Read, rows));
            }
        }
        let mut gone: Vec<_> = self.wanted.difference(&self.overtaken).cloned().collect();
        gone.sort_unstable();
        if !gone.is_empty() {
            sent.push((Op::Delete, self.keys.batch(&gone).map_err(|error| refused(&error))?));
        }
        let emissions = sent.into_iter().map(|(op, rows)| {
            Ok(Emission {
                stream: self.stream.clone(),
                rows: Rows::Records {
                    schema: self.schema.clone(),
                    batch: record(&self.schema, op, now_us, &rows).map_err(|error| refused(&error))?,
                },
                position: position.clone(),
                marks: Vec::new(),
                transaction_continues: false,
            })
        });
        let emissions = emissions.collect::<Result<Vec<_>, AdapterError>>()?;
        let (deleted, overtaken) = (gone.len() as u64, self.overtaken.len() as u64);
        Ok((emissions, Resent { present, deleted, overtaken }))
    }
}

impl Woven {
    pub(super) fn take_emissions(&mut self) -> Vec<Emission> {
        std::mem::take(&mut self.emissions)
    }

    /// Tells who ordered it that everything is in the spool.
    pub(super) fn spooled(self) {
        // Who no longer waits has gone, as when the link was lost.
        let _ = self.done.send(self.outcome);
    }
}

fn truncates(batch: &RecordBatch) -> bool {
    let ops = batch.column(0).as_any().downcast_ref::<UInt8Array>();
    ops.is_none_or(|ops| ops.values().contains(&Op::Truncate.code()))
}

/// Rows in the stream's whole form. Columns that they do not have are absent.
fn record(
    schema: &StreamSchema,
    op: Op,
    now_us: i64,
    rows: &RecordBatch,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let count = rows.num_rows();
    let reserved: [ArrayRef; RESERVED_COLUMNS] = [
        Arc::new(UInt8Array::from(vec![op.code(); count])),
        Arc::new(TimestampMicrosecondArray::from(vec![now_us; count]).with_timezone("UTC")),
        Arc::new(StringArray::new_null(count)),
    ];
    let fields = schema.arrow().fields().iter().skip(RESERVED_COLUMNS);
    let columns = fields.map(|field| {
        let found = rows.column_by_name(field.name()).cloned();
        found.unwrap_or_else(|| absent(field.data_type(), field.is_nullable(), count))
    });
    RecordBatch::try_new(schema.arrow().clone(), reserved.into_iter().chain(columns).collect())
}

/// Values that are not there. Of a deleted row only the key counts, but a column without nulls must hold something.
fn absent(data_type: &DataType, nullable: bool, count: usize) -> ArrayRef {
    if nullable {
        return new_null_array(data_type, count);
    }
    let zeros = ArrayData::new_null(data_type, count).into_builder().nulls(None).null_count(0);
    make_array(zeros.build().expect("values of zeros are valid in every type of a column"))
}

#[cfg(test)]
mod tests;
