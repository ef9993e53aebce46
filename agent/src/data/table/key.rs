//! Keys of rows as text: a JSON object of the key columns, which people can read, any agent can turn into values
//! again, and which is the same wherever the values are the same.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Schema, TimeUnit};
use serde_json::{Map, Value};
use towpath_record::{Column, StreamSchema};

/// The key columns of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    columns: Vec<Column>,
}

/// Why rows have no key as text, or a text is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// A key column is not in the rows.
    #[error("the rows have no key column {0:?}")]
    Missing(String),
    /// A key value cannot be written or read.
    #[error("key column {column:?}: {error}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong.
        error: ArrowError,
    },
    /// The text is not the JSON object of the key columns.
    #[error("{0:?} is not a key of this stream")]
    Malformed(String),
}

impl Keys {
    /// The key of this schema; none if its rows are not told apart.
    pub(crate) fn of(schema: &StreamSchema) -> Option<Self> {
        let column = |name: &String| schema.columns().iter().find(|column| column.name == *name).cloned();
        let columns: Vec<_> = schema.key().iter().filter_map(column).collect();
        (!columns.is_empty()).then_some(Self { columns })
    }

    /// The key of each row of a batch that has the key columns among its own.
    pub(crate) fn texts(&self, batch: &RecordBatch) -> Result<Vec<String>, KeyError> {
        let columns = self.columns.iter().map(|column| {
            let values = batch.column_by_name(&column.name);
            let values = values.ok_or_else(|| KeyError::Missing(column.name.clone()))?;
            to_text(values).map_err(|error| KeyError::Value { column: column.name.clone(), error })
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok((0..batch.num_rows()).map(|row| self.text(&columns, row)).collect())
    }

    fn text(&self, columns: &[StringArray], row: usize) -> String {
        let members = self.columns.iter().zip(columns).map(|(column, texts)| {
            let text = texts.is_valid(row).then(|| texts.value(row));
            let value = text.map_or(Value::Null, |text| {
                let number = column.column_type.to_arrow().is_integer().then(|| text.parse().ok()).flatten();
                number.map_or_else(|| Value::from(text), Value::Number)
            });
            (column.name.clone(), value)
        });
        Value::Object(members.collect::<Map<_, _>>()).to_string()
    }

    /// The values of keys: a batch of the key columns, in key order.
    pub(crate) fn batch(&self, texts: &[String]) -> Result<RecordBatch, KeyError> {
        let parse = |text: &String| {
            serde_json::from_str::<Map<String, Value>>(text)
                .ok()
                .filter(|object| object.len() == self.columns.len())
                .ok_or_else(|| KeyError::Malformed(text.clone()))
        };
        let objects = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let values = objects.iter().zip(texts).map(|(object, text)| match object.get(&column.name) {
                Some(Value::Null) => Ok(None),
                Some(Value::String(value)) => Ok(Some(value.clone())),
                Some(Value::Number(number)) => Ok(Some(number.to_string())),
                _ => Err(KeyError::Malformed(text.clone())),
            });
            let values = values.collect::<Result<StringArray, _>>()?;
            let array = from_text(&values, &column.column_type.to_arrow());
            arrays.push(array.map_err(|error| KeyError::Value { column: column.name.clone(), error })?);
        }
        let fields = self.columns.iter().map(Column::to_arrow).collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|error| KeyError::Value { column: self.columns[0].name.clone(), error })
    }
}

fn to_text(values: &ArrayRef) -> Result<StringArray, ArrowError> {
    let texts = match values.data_type() {
        DataType::Binary => {
            let bytes = values.as_binary::<i32>();
            return Ok(bytes.iter().map(|bytes| bytes.map(hex::encode)).collect());
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let instants = values.as_primitive::<TimestampMicrosecondType>().clone();
            let texts = cast(&instants.with_timezone_opt(None::<&str>), &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            return Ok(texts.iter().map(|text| text.map(|text| format!("{text}Z"))).collect());
        }
        _ => cast(values, &DataType::Utf8)?,
    };
    Ok(texts.as_string::<i32>().clone())
}

fn from_text(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let strict = arrow_cast::CastOptions { safe: false, ..Default::default() };
    match data_type {
        DataType::Utf8 => Ok(Arc::new(texts.clone())),
        DataType::Binary => {
            let bytes = texts.iter().map(|text| text.map(hex::decode).transpose());
            let bytes = bytes.collect::<Result<Vec<_>, _>>();
            let bytes = bytes.map_err(|error| ArrowError::ParseError(error.to_string()))?;
            Ok(Arc::new(bytes.into_iter().collect::<BinaryArray>()))
        }
        DataType::Timestamp(unit @ TimeUnit::Microsecond, Some(zone)) => {
            let local = texts.iter().map(|text| text.map(|text| text.trim_end_matches('Z').to_owned()));
            let local: ArrayRef = Arc::new(local.collect::<StringArray>());
            let local = arrow_cast::cast_with_options(&local, &DataType::Timestamp(*unit, None), &strict)?;
            let instants = local.as_primitive::<TimestampMicrosecondType>().clone();
            Ok(Arc::new(instants.with_timezone(zone.clone())))
        }
        other => arrow_cast::cast_with_options(texts, other, &strict),
    }
}

#[cfg(test)]
mod tests {
    use towpath_record::ColumnType;

    use super::*;

    fn keys(types: &[(&str, ColumnType)]) -> Keys {
        let columns = types.iter().map(|(name, kind)| Column::required(*name, kind.clone())).collect();
        let key = types.iter().map(|(name, _)| (*name).to_owned()).collect();
        Keys::of(&StreamSchema::new(columns, key).unwrap()).unwrap()
    }

    /// Whether a key survives being turned into values and back.
    fn survives(kind: ColumnType, texts: &[&str]) {
        let keys = keys(&[("k", kind.clone())]);
        let quote = |text: &&str| {
            let number = kind.to_arrow().is_integer().then(|| text.parse::<serde_json::Number>().ok());
            number.flatten().map_or_else(|| Value::from(*text), Value::Number)
        };
        let texts: Vec<_> = texts.iter().map(|text| format!("{{\"k\":{}}}", quote(text))).collect();
        assert_eq!(keys.texts(&keys.batch(&texts).unwrap()).unwrap(), texts, "{kind:?}");
    }

    #[test]
    fn keys_of_every_plain_type_survive_as_text() {
        survives(ColumnType::Int8, &["-128", "127"]);
        survives(ColumnType::Int64, &["-9223372036854775808", "9223372036854775807"]);
        survives(ColumnType::Uint64, &["0", "18446744073709551615"]);
        survives(ColumnType::String, &["", "zwölf \"x\"\n", "12"]);
        survives(ColumnType::Binary, &["", "00ff10"]);
        survives(ColumnType::Boolean, &["true", "false"]);
        survives(ColumnType::Float64, &["1.5", "-0.1"]);
        survives(ColumnType::Decimal { precision: 38, scale: 4 }, &["1.5000", "-0.0001"]);
        survives(ColumnType::Date, &["1969-12-31", "2026-02-28"]);
        survives(ColumnType::Time, &["23:59:59.999999"]);
        survives(ColumnType::LocalTimestamp, &["1969-12-31T23:59:59.999999"]);
        survives(ColumnType::Timestamp, &["2026-02-28T01:02:03.000004Z"]);
    }

    #[test]
    fn a_key_of_several_columns_keeps_their_order() {
        let keys = keys(&[("b", ColumnType::Int32), ("a", ColumnType::String)]);
        let text = r#"{"b":7,"a":"x"}"#.to_owned();
        assert_eq!(keys.texts(&keys.batch(std::slice::from_ref(&text)).unwrap()).unwrap(), [text]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let keys = keys(&[("id", ColumnType::Int32)]);
        for text in ["7", r#"{"no":7}"#, r#"{"id":7,"x":1}"#, r#"{"id":"seven"}"#, r#"{"id":99999999999}"#] {
            assert!(keys.batch(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
