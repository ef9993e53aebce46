//! Rows for people: the one place where the control plane looks into frames, on behalf of an admin who asks.

use arrow_array::RecordBatch;
use arrow_json::writer::{JsonArray, WriterBuilder};
use serde_json::Value;
use towpath_log::RegionLog;
use towpath_record::{DecodeError, SchemaHash, SealedFrame};

/// Why rows cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    /// The log does not know the schema.
    #[error("schema {0} is not in the log")]
    UnknownSchema(SchemaHash),
    /// The frame cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A value has no JSON form.
    #[error("the rows have no JSON form")]
    Json(#[from] arrow_schema::ArrowError),
}

/// The rows of a frame.
pub(crate) fn batch(log: &RegionLog, frame: &SealedFrame) -> Result<RecordBatch, RowsError> {
    let hash = frame.header().schema;
    let schema = log.schema(hash).ok_or(RowsError::UnknownSchema(hash))?;
    Ok(frame.decode(&schema)?)
}

/// Rows as JSON objects, absent values as `null`.
pub(crate) fn to_json(batch: &RecordBatch) -> Result<Vec<Value>, RowsError> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&text).map_err(|e| arrow_schema::ArrowError::JsonError(e.to_string()).into())
}
