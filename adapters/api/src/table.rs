//! Reading what a system holds now, so that a source and a sink can be compared and what differs sent again.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use tokio::sync::mpsc;
use towpath_record::column::Column;
use towpath_record::schema::{BEFORE_COLUMN, UNCHANGED_COLUMN};
use towpath_record::{ResourceName, StreamName, StreamSchema};

use crate::error::AdapterError;
use crate::source::Stopped;

/// The tables of a system, as they are now.
///
/// A source's reader gives a row as the source itself would emit it. A sink's reader gives it back as it was
/// delivered: whatever type the target has, the value comes in the stream's own type, and a row that the sink
/// keeps only as a mark or as history is left out. Reading takes no lock that holds up a writer.
#[async_trait]
pub trait TableReader: Send {
    /// Sends the wanted rows in batches, in any order, each row as it was at some moment during the call. It
    /// opens what it needs and closes it again.
    ///
    /// # Errors
    /// The system cannot be read, has no such table, or holds rows that do not fit the schema: then the table
    /// has changed and the change is still on its way.
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError>;
}

/// The rows that are wanted.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The source or the sink that reads, after which its streams may be named.
    pub owner: ResourceName,
    /// The stream whose table is read.
    pub stream: StreamName,
    /// The schema in which rows are given.
    pub schema: StreamSchema,
    /// Which rows.
    pub rows: WhichRows,
}

/// Which rows of a table.
#[derive(Clone, Debug)]
pub enum WhichRows {
    /// All of them.
    All,
    /// Those that have one of these keys: a batch of the schema's key columns, in key order, with few enough
    /// rows for one statement. Keys that the table does not have are passed over.
    Keys(RecordBatch),
}

/// How many rows a batch has at most.
pub const MAX_BATCH_ROWS: usize = 4096;

impl Reading {
    /// The Arrow form of the batches: the schema's columns without those that only describe a change.
    pub fn arrow(&self) -> SchemaRef {
        let of_change = [UNCHANGED_COLUMN, BEFORE_COLUMN];
        let data = self.schema.columns().iter().filter(|column| !of_change.contains(&&*column.name));
        Arc::new(Schema::new(data.map(Column::to_arrow).collect::<Vec<_>>()))
    }
}

/// Where a reader's batches go. Full means wait.
#[derive(Clone, Debug)]
pub struct BatchOutput(mpsc::Sender<RecordBatch>);

impl BatchOutput {
    /// A channel in which at most `depth` batches wait.
    pub fn channel(depth: usize) -> (Self, mpsc::Receiver<RecordBatch>) {
        let (sender, receiver) = mpsc::channel(depth);
        (Self(sender), receiver)
    }

    /// Hands over a batch.
    ///
    /// # Errors
    /// [`Stopped`] when nobody wants the rest; the reader returns.
    pub async fn send(&self, batch: RecordBatch) -> Result<(), Stopped> {
        self.0.send(batch).await.map_err(|_| Stopped)
    }

    /// The same from a thread that may block.
    ///
    /// # Errors
    /// [`Stopped`] when nobody wants the rest; the reader returns.
    pub fn send_blocking(&self, batch: RecordBatch) -> Result<(), Stopped> {
        self.0.blocking_send(batch).map_err(|_| Stopped)
    }
}
