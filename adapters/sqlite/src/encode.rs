//! Arrow values as SQLite values.
//!
//! Integers, floats, text and bytes are bound as they are. What SQLite has no type for is bound as text that
//! sorts like the value: dates, times and instants with six digits of fraction. `NaN`, which SQLite would
//! store as NULL, is bound as the text `NaN`; an unsigned integer beyond 2^63-1 as its digits. Lists and
//! structs are JSON.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields, Schema};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

const DATE: &str = "%Y-%m-%d";
const TIME: &str = "%H:%M:%S%.6f";
const LOCAL_TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.6f";
const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

const TEXT: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_date_format(Some(DATE))
    .with_time_format(Some(TIME))
    .with_timestamp_format(Some(LOCAL_TIMESTAMP))
    .with_timestamp_tz_format(Some(TIMESTAMP));

static JSON: LazyLock<EncoderOptions> = LazyLock::new(|| {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_date_format(DATE.to_owned())
        .with_time_format(TIME.to_owned())
        .with_timestamp_format(LOCAL_TIMESTAMP.to_owned())
        .with_timestamp_tz_format(TIMESTAMP.to_owned())
});

/// The columns of a batch such that Arrow can format them: it knows the zone `+00:00`, and `UTC` only with a
/// time zone database.
pub(crate) fn formattable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields: Fields = batch.schema_ref().fields().iter().map(with_offset).collect();
    let columns = batch.columns().iter().zip(&fields).map(|(array, field)| match array.data_type() {
        unchanged if unchanged == field.data_type() => Ok(array.clone()),
        _ => arrow_cast::cast(array, field.data_type()),
    });
    RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), columns.collect::<Result<_, _>>()?)
}

fn with_offset(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(Arc::from("+00:00"))),
        DataType::List(item) => DataType::List(with_offset(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(with_offset).collect()),
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// The values of one column, by the way they are bound.
pub(crate) enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Uint8(&'a UInt8Array),
    Uint16(&'a UInt16Array),
    Uint32(&'a UInt32Array),
    Uint64(&'a UInt64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    String(&'a StringArray),
    Binary(&'a BinaryArray),
    /// Formatted into the text beside it.
    Text(&'a dyn Array, ArrayFormatter<'a>, String),
    /// Encoded into the bytes beside it.
    Json(NullableEncoder<'a>, Vec<u8>),
}

impl<'a> Values<'a> {
    /// The values of `array`, which is the column `field`.
    pub(crate) fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int8 => Self::Int8(array.as_primitive::<Int8Type>()),
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::UInt8 => Self::Uint8(array.as_primitive::<UInt8Type>()),
            DataType::UInt16 => Self::Uint16(array.as_primitive::<UInt16Type>()),
            DataType::UInt32 => Self::Uint32(array.as_primitive::<UInt32Type>()),
            DataType::UInt64 => Self::Uint64(array.as_primitive::<UInt64Type>()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            DataType::Utf8 => Self::String(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::List(_) | DataType::Struct(_) => {
                Self::Json(make_encoder(field, array, &JSON)?, Vec::new())
            }
            _ => Self::Text(array, ArrayFormatter::try_new(array, &TEXT)?, String::new()),
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(array) => array.is_null(row),
            Self::Int8(array) => array.is_null(row),
            Self::Int16(array) => array.is_null(row),
            Self::Int32(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::Uint8(array) => array.is_null(row),
            Self::Uint16(array) => array.is_null(row),
            Self::Uint32(array) => array.is_null(row),
            Self::Uint64(array) => array.is_null(row),
            Self::Float32(array) => array.is_null(row),
            Self::Float64(array) => array.is_null(row),
            Self::String(array) => array.is_null(row),
            Self::Binary(array) => array.is_null(row),
            Self::Text(array, ..) => array.is_null(row),
            Self::Json(encoder, _) => encoder.is_null(row),
        }
    }

    /// The value of a row, to be bound.
    ///
    /// # Errors
    /// The value has no text form: a date beyond the calendar.
    pub(crate) fn bind(&mut self, row: usize) -> Result<ToSqlOutput<'_>, ArrowError> {
        if self.is_null(row) {
            return Ok(ToSqlOutput::Borrowed(ValueRef::Null));
        }
        Ok(match self {
            Self::Boolean(array) => integer(array.value(row)),
            Self::Int8(array) => integer(array.value(row)),
            Self::Int16(array) => integer(array.value(row)),
            Self::Int32(array) => integer(array.value(row)),
            Self::Int64(array) => integer(array.value(row)),
            Self::Uint8(array) => integer(array.value(row)),
            Self::Uint16(array) => integer(array.value(row)),
            Self::Uint32(array) => integer(array.value(row)),
            Self::Uint64(array) => match i64::try_from(array.value(row)) {
                Ok(value) => integer(value),
                Err(_) => ToSqlOutput::Owned(Value::Text(array.value(row).to_string())),
            },
            Self::Float32(array) => real(array.value(row).into()),
            Self::Float64(array) => real(array.value(row)),
            Self::String(array) => text(array.value(row).as_bytes()),
            Self::Binary(array) => ToSqlOutput::Borrowed(ValueRef::Blob(array.value(row))),
            Self::Text(_, formatter, written) => {
                written.clear();
                formatter.value(row).write(written)?;
                text(written.as_bytes())
            }
            Self::Json(encoder, written) => {
                written.clear();
                encoder.encode(row, written);
                text(written)
            }
        })
    }
}

fn integer<'a>(value: impl Into<i64>) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(ValueRef::Integer(value.into()))
}

fn real<'a>(value: f64) -> ToSqlOutput<'a> {
    if value.is_nan() { text(b"NaN") } else { ToSqlOutput::Borrowed(ValueRef::Real(value)) }
}

fn text(value: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(value))
}
