//! Arrow values as text that MySQL reads, in the form that `LOAD DATA` takes by default.
//!
//! A row is its fields with tabs between them and a line feed behind; `\N` is NULL. Within a field a backslash
//! stands before what would end it. A string literal of SQL knows the same escapes, so a row can be turned into
//! one of an `INSERT` field by field. Bytes are hexadecimal, since a loaded file is text in one encoding.

use std::fmt::Write;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, FieldRef};
use bytes::Bytes;

/// 0001-01-01 and 9999-12-31 in days since 1970-01-01: the calendar of MySQL.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;
const DAY_US: i64 = 86_400_000_000;
const NULL: &str = "\\N";

const DATE: &str = "%Y-%m-%d";
const TIME: &str = "%H:%M:%S%.6f";
const LOCAL_TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.6f";
const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

const TEXT: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_date_format(Some(DATE))
    .with_time_format(Some(TIME))
    .with_timestamp_format(Some(LOCAL_TIMESTAMP));

static JSON: LazyLock<EncoderOptions> = LazyLock::new(|| {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_date_format(DATE.to_owned())
        .with_time_format(TIME.to_owned())
        .with_timestamp_format(LOCAL_TIMESTAMP.to_owned())
        .with_timestamp_tz_format(TIMESTAMP.to_owned())
});

/// Rows as lines, each a slice of the same bytes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EncodedRows {
    bytes: Bytes,
    /// Where each row stands, or why it cannot be stored.
    rows: Arc<[Result<Range<usize>, String>]>,
}

impl EncodedRows {
    /// Encodes `columns` of every row of a batch. A row that `fault` finds one in is not encoded.
    ///
    /// # Errors
    /// A column's type is unknown. A value that MySQL has no form for costs only its row.
    pub(crate) fn new(
        batch: &RecordBatch,
        columns: &[usize],
        fault: impl Fn(usize) -> Option<&'static str>,
    ) -> Result<Self, ArrowError> {
        let column = |i: &usize| formattable(batch.schema_ref().fields()[*i].clone(), batch.column(*i));
        let columns: Vec<_> = columns.iter().map(column).collect::<Result<_, _>>()?;
        let values = columns.iter().map(|(field, array)| Values::new(field, array));
        let mut values: Vec<_> = values.collect::<Result<_, _>>()?;
        let mut text = String::with_capacity(batch.get_array_memory_size());
        let mut rows = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let start = text.len();
            let put = match fault(row) {
                Some(reason) => Err(reason.to_owned()),
                None => put_row(&mut values, &columns, row, &mut text),
            };
            if put.is_err() {
                text.truncate(start);
            }
            rows.push(put.map(|()| start..text.len()));
        }
        Ok(Self { bytes: Bytes::from(text), rows: rows.into() })
    }

    /// The line of a row, or why it cannot be stored.
    pub(crate) fn row(&self, row: usize) -> Result<&[u8], &String> {
        self.rows[row].as_ref().map(|range| &self.bytes[range.clone()])
    }
}

/// The fields of a line; `None` is NULL.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.split(|byte| *byte == b'\t').map(|field| (field != NULL.as_bytes()).then_some(field))
}

fn put_row(
    values: &mut [Values<'_>],
    columns: &[(FieldRef, ArrayRef)],
    row: usize,
    text: &mut String,
) -> Result<(), String> {
    for (place, (values, (field, array))) in values.iter_mut().zip(columns).enumerate() {
        if place > 0 {
            text.push('\t');
        }
        match array.is_null(row) {
            true => text.push_str(NULL),
            false => {
                let put = values.put(row, text);
                put.map_err(|reason| format!("column {:?}: {reason}", field.name()))?;
            }
        }
    }
    text.push('\n');
    Ok(())
}

/// The values of one column, by the way they are written.
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>, ArrayFormatter<'a>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>, ArrayFormatter<'a>),
    /// What shows itself without anything to be escaped.
    Shown(ArrayFormatter<'a>),
    /// Encoded into the bytes beside it.
    Json(NullableEncoder<'a>, Vec<u8>),
}

impl<'a> Values<'a> {
    fn new(field: &'a FieldRef, array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let shown = || ArrayFormatter::try_new(array, &TEXT);
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Date32 => Self::Date(array.as_primitive(), shown()?),
            DataType::Timestamp(..) => Self::Timestamp(array.as_primitive(), shown()?),
            DataType::List(_) | DataType::Struct(_) => {
                Self::Json(make_encoder(field, array, &JSON)?, Vec::new())
            }
            _ => Self::Shown(shown()?),
        })
    }

    /// Appends the value of a row, which is not null; an error says why MySQL has no form for it.
    fn put(&mut self, row: usize, out: &mut String) -> Result<(), String> {
        match self {
            Self::Boolean(array) => out.push(if array.value(row) { '1' } else { '0' }),
            // As a double: the shortest digits of the largest single would be out of its range when read as one.
            Self::Float32(array) => return put_float(array.value(row).into(), out),
            Self::Float64(array) => return put_float(array.value(row), out),
            Self::Text(array) => put_escaped(array.value(row), out),
            Self::Bytes(array) => put_hex(array.value(row), out),
            Self::Date(array, shown) => {
                within_calendar((FIRST_DAY..=LAST_DAY).contains(&array.value(row)))?;
                return put_shown(shown, row, out);
            }
            Self::Timestamp(array, shown) => {
                let day = array.value(row).div_euclid(DAY_US);
                within_calendar((i64::from(FIRST_DAY)..=i64::from(LAST_DAY)).contains(&day))?;
                return put_shown(shown, row, out);
            }
            Self::Shown(shown) => return put_shown(shown, row, out),
            Self::Json(encoder, json) => {
                json.clear();
                encoder.encode(row, json);
                put_escaped(&String::from_utf8_lossy(json), out);
            }
        }
        Ok(())
    }
}

fn put_float(value: f64, out: &mut String) -> Result<(), String> {
    if !value.is_finite() {
        return Err(format!("MySQL has no {value}; remove it at the source"));
    }
    write!(out, "{value:e}").map_err(|_| "the number cannot be shown".to_owned())
}

fn put_shown(shown: &ArrayFormatter<'_>, row: usize, out: &mut String) -> Result<(), String> {
    shown.value(row).write(out).map_err(|error| error.to_string())
}

fn put_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn put_escaped(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\t', '\n', '\0']) {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push(match rest.as_bytes()[at] {
            b'\t' => 't',
            b'\n' => 'n',
            b'\0' => '0',
            other => char::from(other),
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

fn within_calendar(is_within: bool) -> Result<(), String> {
    match is_within {
        true => Ok(()),
        false => {
            Err("MySQL's calendar goes from year 1 to year 9999; correct the date at the source".to_owned())
        }
    }
}

/// A column such that Arrow can show it: it knows the zone `+00:00`, and `UTC` only with a time zone database. An
/// instant of its own stands without a zone: a column for it has none.
fn formattable(field: FieldRef, array: &ArrayRef) -> Result<(FieldRef, ArrayRef), ArrowError> {
    match array.data_type() {
        DataType::Timestamp(_, Some(_)) => {
            let local =
                array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<&str>);
            Ok((field, Arc::new(local)))
        }
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

#[cfg(test)]
mod tests {
    use arrow_array::{Float32Array, Int64Array, TimestampMicrosecondArray};

    use super::*;

    fn encoded(columns: Vec<(&str, ArrayRef)>) -> EncodedRows {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)));
        let batch = batch.unwrap();
        let all: Vec<_> = (0..batch.num_columns()).collect();
        EncodedRows::new(&batch, &all, |_| None).unwrap()
    }

    fn lines(rows: &EncodedRows, count: usize) -> Vec<String> {
        (0..count).map(|row| String::from_utf8(rows.row(row).unwrap().to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_would_end_a_field_is_escaped_and_null_is_told_from_its_text() {
        let text = StringArray::from(vec![Some("a\tb\nc\\N\0"), None, Some("\\N"), Some("")]);
        let rows = encoded(vec![
            ("t", Arc::new(text)),
            ("b", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None, None, Some(b"")]))),
        ]);
        assert_eq!(lines(&rows, 4), ["a\\tb\\nc\\\\N\\0\t00FF\n", "\\N\t\\N\n", "\\\\N\t\\N\n", "\t\n"]);
        let second: Vec<_> = fields(rows.row(1).unwrap()).collect();
        assert_eq!(second, [None, None]);
        let third: Vec<_> = fields(rows.row(2).unwrap()).collect();
        assert_eq!(third, [Some(&b"\\\\N"[..]), None]);
    }

    #[test]
    fn a_value_without_a_form_costs_its_row_and_is_named() {
        let floats: ArrayRef = Arc::new(Float32Array::from(vec![f32::MAX, f32::NAN, 0.1]));
        let rows = encoded(vec![("id", Arc::new(Int64Array::from(vec![1, 2, 3]))), ("ratio", floats)]);
        assert_eq!(rows.row(0).unwrap(), b"1\t3.4028234663852886e38\n");
        assert!(rows.row(1).unwrap_err().contains("\"ratio\"") && rows.row(1).unwrap_err().contains("NaN"));
        assert_eq!(rows.row(2).unwrap(), b"3\t1.0000000149011612e-1\n");
        let times = TimestampMicrosecondArray::from(vec![-1, i64::MAX]).with_timezone("UTC");
        let rows = encoded(vec![("at", Arc::new(times))]);
        assert_eq!(rows.row(0).unwrap(), b"1969-12-31 23:59:59.999999\n");
        assert!(rows.row(1).unwrap_err().contains("year 9999"));
    }
}
