//! Rows for people: the one place where the control plane looks into frames, on behalf of an admin who asks.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_json::writer::{JsonArray, WriterBuilder};
use arrow_schema::{DataType, Schema, TimeUnit};
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

/// The same batch with `UTC` spelled `+00:00`: a zone that Arrow writes without a database of zones.
fn with_numeric_zone(batch: &RecordBatch) -> Result<RecordBatch, RowsError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let instants = column.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(instants.with_timezone("+00:00")) as ArrayRef
        }
        _ => column.clone(),
    });
    let columns: Vec<_> = columns.collect();
    let fields = batch.schema_ref().fields().iter().zip(&columns);
    let fields =
        fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)?)
}

/// Rows as JSON objects, absent values as `null`, bytes in hexadecimal.
pub(crate) fn to_json(batch: &RecordBatch) -> Result<Vec<Value>, RowsError> {
    let batch = &with_numeric_zone(batch)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&text).map_err(|e| arrow_schema::ArrowError::JsonError(e.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_record::dead_letter::{DeadLetter, to_batch};

    #[test]
    fn a_dead_letter_has_a_json_form_with_its_time_and_its_bytes() {
        let letter = DeadLetter {
            resource: "orders.csv".into(),
            line: 7,
            column: None,
            reason: "too short".into(),
            raw: vec![0, 255],
            raw_truncated: false,
        };
        let rows = to_json(&to_batch(&[letter], 0)).unwrap();
        assert_eq!(rows[0]["raw"], "00ff");
        assert!(rows[0]["_ts"].as_str().unwrap().starts_with("1970-01-01T00:00:00"));
        assert_eq!(rows[0]["column"], Value::Null);
    }
}
