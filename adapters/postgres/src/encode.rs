//! Arrow values in PostgreSQL's binary form, as `COPY … (FORMAT binary)` takes them.
//!
//! A row is the number of its fields, and for each field its length and bytes, or the length -1 for NULL. The
//! forms are those of the types' `*_recv` functions: integers and floats big-endian, dates and times counted
//! from 2000-01-01, `jsonb` as a version byte and text. The largest and the smallest date and time stand for
//! `infinity` and `-infinity`.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, FieldRef};
use bytes::{BufMut, Bytes, BytesMut};

use crate::numeric;

/// 2000-01-01, from which PostgreSQL counts, in days and microseconds since 1970-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_US: i64 = 946_684_800_000_000;
const NULL: i32 = -1;
pub(crate) const JSONB_VERSION: u8 = 1;

/// Rows in binary form, each a slice of the same bytes.
pub(crate) struct EncodedRows {
    bytes: Bytes,
    /// Where each row stands, or why it cannot be stored.
    rows: Vec<Result<Range<usize>, String>>,
}

impl EncodedRows {
    /// Encodes `columns` of every row of a batch.
    ///
    /// # Errors
    /// A column's type is unknown. A value that PostgreSQL has no form for costs only its row.
    pub(crate) fn new(batch: &RecordBatch, columns: &[usize]) -> Result<Self, ArrowError> {
        let zoned = |i: &usize| formattable(batch.schema_ref().field(*i).clone().into(), batch.column(*i));
        let columns: Vec<_> = columns.iter().map(zoned).collect::<Result<_, _>>()?;
        let values = columns.iter().map(|(field, array)| Values::new(field, array));
        let mut values: Vec<_> = values.collect::<Result<_, _>>()?;
        let fields = i16::try_from(values.len()).expect("a stream has at most 1,600 columns");
        let mut bytes = BytesMut::with_capacity(batch.get_array_memory_size());
        let mut rows = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let start = bytes.len();
            bytes.put_i16(fields);
            let put = values.iter_mut().zip(&columns).try_for_each(|(values, (field, _))| {
                values.put(row, &mut bytes).map_err(|reason| format!("column {:?}: {reason}", field.name()))
            });
            if put.is_err() {
                bytes.truncate(start);
            }
            rows.push(put.map(|()| start..bytes.len()));
        }
        Ok(Self { bytes: bytes.freeze(), rows })
    }

    /// The same rows as keys, which cannot be null.
    pub(crate) fn refusing_nulls(mut self, has_null: impl Fn(usize) -> bool) -> Self {
        for (row, encoded) in self.rows.iter_mut().enumerate() {
            if has_null(row) {
                *encoded = Err("a key column is null, so the row cannot be told from others".to_owned());
            }
        }
        self
    }

    /// The bytes of a row, or why it cannot be stored.
    pub(crate) fn row(&self, row: usize) -> Result<&[u8], &String> {
        self.rows[row].as_ref().map(|range| &self.bytes[range.clone()])
    }
}

/// The values of one column, by the way they are encoded.
enum Values<'a> {
    Boolean(&'a arrow_array::BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Uint8(&'a PrimitiveArray<UInt8Type>),
    Uint16(&'a PrimitiveArray<UInt16Type>),
    Uint32(&'a PrimitiveArray<UInt32Type>),
    Uint64(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, u8),
    Text(&'a arrow_array::StringArray),
    Bytes(&'a arrow_array::BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Interval(&'a PrimitiveArray<IntervalMonthDayNanoType>),
    /// Encoded into the bytes beside it.
    Json(&'a dyn Array, NullableEncoder<'a>, Vec<u8>),
}

impl<'a> Values<'a> {
    fn new(field: &'a FieldRef, array: &'a ArrayRef) -> Result<Self, ArrowError> {
        static JSON: LazyLock<EncoderOptions> =
            LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int8 => Self::Int8(array.as_primitive()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::UInt8 => Self::Uint8(array.as_primitive()),
            DataType::UInt16 => Self::Uint16(array.as_primitive()),
            DataType::UInt32 => Self::Uint32(array.as_primitive()),
            DataType::UInt64 => Self::Uint64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), scale.cast_unsigned()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Time64(_) => Self::Time(array.as_primitive()),
            DataType::Timestamp(..) => Self::Timestamp(array.as_primitive()),
            DataType::Interval(_) => Self::Interval(array.as_primitive()),
            _ => Self::Json(array, make_encoder(field, array, &JSON)?, Vec::new()),
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Boolean(array) => array,
            Self::Int8(array) => array,
            Self::Int16(array) => array,
            Self::Int32(array) => array,
            Self::Int64(array) => array,
            Self::Uint8(array) => array,
            Self::Uint16(array) => array,
            Self::Uint32(array) => array,
            Self::Uint64(array) => array,
            Self::Float32(array) => array,
            Self::Float64(array) => array,
            Self::Decimal(array, _) => array,
            Self::Text(array) => array,
            Self::Bytes(array) => array,
            Self::Date(array) => array,
            Self::Time(array) => array,
            Self::Timestamp(array) => array,
            Self::Interval(array) => array,
            Self::Json(array, ..) => *array,
        }
    }

    /// Appends the field of a row; an error says why PostgreSQL has no form for its value.
    fn put(&mut self, row: usize, out: &mut BytesMut) -> Result<(), String> {
        if self.array().is_null(row) {
            out.put_i32(NULL);
            return Ok(());
        }
        match self {
            Self::Boolean(array) => field(out, &[u8::from(array.value(row))]),
            Self::Int8(array) => field(out, &i16::from(array.value(row)).to_be_bytes()),
            Self::Int16(array) => field(out, &array.value(row).to_be_bytes()),
            Self::Int32(array) => field(out, &array.value(row).to_be_bytes()),
            Self::Int64(array) => field(out, &array.value(row).to_be_bytes()),
            Self::Uint8(array) => field(out, &i16::from(array.value(row)).to_be_bytes()),
            Self::Uint16(array) => field(out, &i32::from(array.value(row)).to_be_bytes()),
            Self::Uint32(array) => field(out, &i64::from(array.value(row)).to_be_bytes()),
            Self::Uint64(array) => put_numeric(array.value(row).into(), 0, out),
            Self::Float32(array) => field(out, &array.value(row).to_be_bytes()),
            Self::Float64(array) => field(out, &array.value(row).to_be_bytes()),
            Self::Decimal(array, scale) => put_numeric(array.value(row), *scale, out),
            Self::Text(array) => match array.value(row) {
                text if text.contains('\0') => {
                    return Err(
                        "PostgreSQL text cannot hold the character NUL; remove it at the source".to_owned()
                    );
                }
                text => field(out, text.as_bytes()),
            },
            Self::Bytes(array) => field(out, array.value(row)),
            Self::Date(array) => {
                let days = match array.value(row) {
                    infinity @ (i32::MIN | i32::MAX) => infinity,
                    days => days.checked_sub(EPOCH_DAYS).ok_or("the date is before PostgreSQL's first")?,
                };
                field(out, &days.to_be_bytes());
            }
            Self::Time(array) => field(out, &array.value(row).to_be_bytes()),
            Self::Timestamp(array) => {
                let us = match array.value(row) {
                    infinity @ (i64::MIN | i64::MAX) => infinity,
                    us => us.checked_sub(EPOCH_US).ok_or("the time is before PostgreSQL's first")?,
                };
                field(out, &us.to_be_bytes());
            }
            Self::Interval(array) => put_interval(array.value(row), out)?,
            Self::Json(_, encoder, json) => {
                json.clear();
                json.push(JSONB_VERSION);
                encoder.encode(row, json);
                field(out, json);
            }
        }
        Ok(())
    }
}

fn field(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(i32::try_from(value.len()).expect("a frame, and so a value, is below 2 GiB"));
    out.put_slice(value);
}

fn put_numeric(unscaled: i128, scale: u8, out: &mut BytesMut) {
    let start = out.len();
    out.put_i32(0);
    numeric::put(unscaled, scale, out);
    let length = i32::try_from(out.len() - start - 4).expect("a numeric is a few dozen bytes");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_interval(interval: IntervalMonthDayNano, out: &mut BytesMut) -> Result<(), String> {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    if nanoseconds % 1_000 != 0 {
        return Err("PostgreSQL intervals hold whole microseconds, and this one has a finer part".to_owned());
    }
    out.put_i32(16);
    out.put_i64(nanoseconds / 1_000);
    out.put_i32(days);
    out.put_i32(months);
    Ok(())
}

/// A column such that Arrow can show it as JSON: it knows the zone `+00:00`, and `UTC` only with a time zone
/// database.
fn formattable(field: FieldRef, array: &ArrayRef) -> Result<(FieldRef, ArrayRef), ArrowError> {
    match array.data_type() {
        DataType::List(_) | DataType::Struct(_) => {
            let field = with_offset(&field);
            let array = arrow_cast::cast(array, field.data_type())?;
            Ok((field, array))
        }
        _ => Ok((field, array.clone())),
    }
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
