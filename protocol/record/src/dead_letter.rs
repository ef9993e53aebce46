//! Dead letters: input that could not become records, carried in the same chain as the records around it.

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, UInt8Array, UInt64Array};
use arrow_array::{TimestampMicrosecondArray, new_null_array};
use arrow_schema::DataType;

use crate::column::{Column, ColumnType};
use crate::limits::MAX_DEAD_LETTER_RAW_BYTES;
use crate::schema::{Op, StreamSchema};

/// One piece of input that was refused, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// What held it: a file path, a table, an endpoint.
    pub resource: String,
    /// Line or record number in the resource, from 1; 0 when it has none.
    pub line: u64,
    /// Name of the column that was refused, where one was.
    pub column: Option<String>,
    /// Why it was refused, and what would make it acceptable.
    pub reason: String,
    /// The input as it was, cut to [`MAX_DEAD_LETTER_RAW_BYTES`].
    pub raw: Vec<u8>,
    /// Whether `raw` was cut.
    pub raw_truncated: bool,
}

impl DeadLetter {
    /// Cuts `raw` to what a dead letter may keep.
    pub fn clip(raw: &[u8]) -> (Vec<u8>, bool) {
        let kept = raw.len().min(MAX_DEAD_LETTER_RAW_BYTES);
        (raw[..kept].to_vec(), kept < raw.len())
    }
}

/// The column of the input itself.
pub const RAW_COLUMN: &str = "raw";

/// The schema of every dead-letter frame.
pub fn schema() -> &'static StreamSchema {
    static SCHEMA: LazyLock<StreamSchema> = LazyLock::new(|| {
        let columns = vec![
            Column::required("resource", ColumnType::String),
            Column::required("line", ColumnType::Uint64),
            Column::nullable("column", ColumnType::String),
            Column::required("reason", ColumnType::String),
            Column::required(RAW_COLUMN, ColumnType::Binary),
            Column::required("raw_truncated", ColumnType::Boolean),
        ];
        StreamSchema::new(columns, Vec::new()).expect("the columns above obey the rules of a schema")
    });
    &SCHEMA
}

/// A batch of dead letters, all noticed at `noticed_at_us` (microseconds since 1970-01-01 UTC).
pub fn to_batch(letters: &[DeadLetter], noticed_at_us: i64) -> RecordBatch {
    let strings = |get: fn(&DeadLetter) -> &str| StringArray::from_iter_values(letters.iter().map(get));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from_value(Op::Create.code(), letters.len())),
        Arc::new(TimestampMicrosecondArray::from_value(noticed_at_us, letters.len()).with_timezone("UTC")),
        new_null_array(&DataType::Utf8, letters.len()),
        Arc::new(strings(|l| &l.resource)),
        Arc::new(UInt64Array::from_iter_values(letters.iter().map(|l| l.line))),
        Arc::new(letters.iter().map(|l| l.column.as_deref()).collect::<StringArray>()),
        Arc::new(strings(|l| &l.reason)),
        Arc::new(BinaryArray::from_iter_values(letters.iter().map(|l| &l.raw))),
        Arc::new(letters.iter().map(|l| Some(l.raw_truncated)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(schema().arrow().clone(), columns)
        .expect("built column by column from the same list")
}
