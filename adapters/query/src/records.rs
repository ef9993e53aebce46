//! Rows on their way into an emission: which columns they have, whether they fit, and the batch that they become.

use std::sync::Arc;

use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, RecordBatch, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
    new_null_array,
};
use arrow_schema::DataType;
use towpath_adapter_api::Rows;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::limits::MAX_ROW_BYTES;
use towpath_record::{Column, ColumnType, Op, StreamSchema};

use crate::config::Query;
use crate::database::Shape;
use crate::value::{Row, Value, encoded};

/// The longest key that is kept in positions and caches.
const MAX_KEY_BYTES: usize = 4 << 10;

/// How many bits of a row's hash tell it from others with its key.
pub(crate) const ROW_BITS: u32 = 44;

/// What the columns of an answer are to its query.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) schema: StreamSchema,
    pub(crate) mark: usize,
    pub(crate) key: Vec<usize>,
}

/// Why a row is no record.
#[derive(Debug)]
pub(crate) struct Refusal {
    column: Option<String>,
    reason: String,
}

impl Layout {
    /// The layout of an answer of these columns.
    ///
    /// # Errors
    /// In words, which column is missing or cannot be.
    pub(crate) fn new(query: &Query, shapes: &[Shape]) -> Result<Self, String> {
        let place = |what: &str, name: &str| {
            let mut found = shapes.iter().enumerate().filter(|(_, shape)| shape.name == name);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => Ok(place),
                (Some(_), Some(_)) => {
                    Err(format!("the query has two columns `{name}`; give one of them another name"))
                }
                (None, _) => {
                    let names: Vec<_> = shapes.iter().map(|shape| &*shape.name).collect();
                    Err(format!("the query has no column `{name}`, its {what}; it has: {}", names.join(", ")))
                }
            }
        };
        let mark = place("mark", &query.mark)?;
        let key = query.key.iter().map(|name| place("key", name)).collect::<Result<Vec<_>, _>>()?;
        let column = |(place, shape): (usize, &Shape)| {
            let make = if key.contains(&place) { Column::required } else { Column::nullable };
            make(&shape.name, shape.column_type.clone())
        };
        let columns = shapes.iter().enumerate().map(column).collect();
        let schema = StreamSchema::new(columns, query.key.clone()).map_err(|error| error.to_string())?;
        Ok(Self { shapes: shapes.to_vec(), schema, mark, key })
    }

    /// The columns of the key.
    pub(crate) fn key_shapes(&self) -> Vec<Shape> {
        self.key.iter().map(|place| self.shapes[*place].clone()).collect()
    }

    /// The key of a row.
    pub(crate) fn key_of<'r>(&self, row: &'r Row) -> impl Iterator<Item = &'r Value> {
        self.key.iter().map(|place| &row[*place])
    }

    /// A row that has only this key.
    pub(crate) fn row_of_key(&self, key: Vec<Value>) -> Row {
        let mut row = vec![Value::Null; self.shapes.len()];
        for (place, value) in self.key.iter().zip(key) {
            row[*place] = value;
        }
        row
    }

    /// A hash by which the row is known again as long as nothing in it changes, its columns included. With a key, its
    /// upper bits are those of the key.
    pub(crate) fn hash_of(&self, row: &Row) -> u64 {
        let mut bytes = self.schema.hash().0.to_vec();
        bytes.extend(encoded(row));
        let of_row = first_bits(&bytes);
        if self.key.is_empty() {
            return of_row;
        }
        let of_key = first_bits(&encoded(self.key_of(row)));
        (key_bits(of_key) << ROW_BITS) | (of_row >> (u64::BITS - ROW_BITS))
    }

    /// The upper bits of the hashes of all rows with this key.
    pub(crate) fn key_bits_of(&self, row: &Row) -> u64 {
        key_bits(first_bits(&encoded(self.key_of(row))))
    }

    /// Whether a row can be a record.
    pub(crate) fn check(&self, row: &Row) -> Result<(), Refusal> {
        for (place, (shape, value)) in self.shapes.iter().zip(row).enumerate() {
            let refuse = |reason: String| Err(Refusal { column: Some(shape.name.clone()), reason });
            match value {
                Value::Misfit { reason, .. } => return refuse(reason.clone()),
                Value::Null if self.key.contains(&place) => {
                    return refuse("the key is NULL; a row must have one to be told from others".to_owned());
                }
                Value::Null => {}
                value if !fits(&shape.column_type, value) => {
                    return refuse(format!(
                        "the value does not fit the column's type, {:?}; cast the column in the query",
                        shape.column_type
                    ));
                }
                _ => {}
            }
        }
        let refuse = |reason: &str| Err(Refusal { column: None, reason: reason.to_owned() });
        if row.iter().map(Value::weight).sum::<usize>() > MAX_ROW_BYTES {
            return refuse("the row has more than 8 MiB; leave out its largest column");
        }
        if self.key_of(row).map(Value::weight).sum::<usize>() > MAX_KEY_BYTES {
            return refuse("the key has more than 4 KiB; choose another");
        }
        Ok(())
    }

    /// Why a row without a usable mark is refused.
    pub(crate) fn no_mark(&self) -> Refusal {
        let reason =
            "the mark is neither a number nor a time nor a text that could be asked for again".to_owned();
        Refusal { column: Some(self.shapes[self.mark].name.clone()), reason }
    }

    /// The dead letter that stands for a row. `resource` names the database and the stream.
    pub(crate) fn letter(&self, resource: String, row: &Row, refusal: Refusal) -> DeadLetter {
        let mut words = String::new();
        for (shape, value) in self.shapes.iter().zip(row) {
            if words.len() > towpath_record::limits::MAX_DEAD_LETTER_RAW_BYTES {
                break;
            }
            words.push_str(&format!("{}={} ", shape.name, value.shown()));
        }
        let (raw, raw_truncated) = DeadLetter::clip(words.trim_end().as_bytes());
        DeadLetter { resource, line: 0, column: refusal.column, reason: refusal.reason, raw, raw_truncated }
    }

    /// The records of rows that were checked.
    pub(crate) fn records(&self, op: Op, rows: &[Row], now_us: i64) -> Rows {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from_value(op.code(), rows.len())),
            Arc::new(TimestampMicrosecondArray::from_value(now_us, rows.len()).with_timezone("UTC")),
            new_null_array(&DataType::Utf8, rows.len()),
        ];
        let shapes = self.shapes.iter().enumerate();
        columns.extend(
            shapes.map(|(place, shape)| array(&shape.column_type, rows.iter().map(|row| &row[place]))),
        );
        let batch = RecordBatch::try_new(self.schema.arrow().clone(), columns)
            .expect("every value was checked against the column that it is in");
        Rows::Records { schema: self.schema.clone(), batch }
    }

    /// The record that empties the stream.
    pub(crate) fn truncate(&self, now_us: i64) -> Rows {
        let filler = |shape: &Shape| filler(&shape.column_type);
        let mut row = vec![Value::Null; self.shapes.len()];
        for place in &self.key {
            row[*place] = filler(&self.shapes[*place]);
        }
        self.records(Op::Truncate, &[row], now_us)
    }
}

fn first_bits(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}

const fn key_bits(hash: u64) -> u64 {
    hash >> ROW_BITS
}

fn fits(column_type: &ColumnType, value: &Value) -> bool {
    use ColumnType as T;
    match (column_type, value) {
        (T::Int8, Value::Int(value)) => i8::try_from(*value).is_ok(),
        (T::Int16, Value::Int(value)) => i16::try_from(*value).is_ok(),
        (T::Int32, Value::Int(value)) => i32::try_from(*value).is_ok(),
        (T::Uint8, Value::Uint(value)) => u8::try_from(*value).is_ok(),
        (T::Uint16, Value::Uint(value)) => u16::try_from(*value).is_ok(),
        (T::Uint32, Value::Uint(value)) => u32::try_from(*value).is_ok(),
        (T::Decimal { precision, scale }, Value::Decimal { units, scale: has }) => {
            scale == has && units.unsigned_abs() < 10_u128.pow((*precision).into())
        }
        (T::Boolean, Value::Boolean(_))
        | (T::Int64, Value::Int(_))
        | (T::Uint64, Value::Uint(_))
        | (T::Float32 | T::Float64, Value::Float(_))
        | (T::String, Value::Text(_))
        | (T::Binary, Value::Bytes(_))
        | (T::Date, Value::Date(_))
        | (T::Time, Value::Time(_))
        | (T::LocalTimestamp, Value::LocalTimestamp(_))
        | (T::Timestamp, Value::Timestamp(_))
        | (T::Interval, Value::Interval { .. }) => true,
        _ => false,
    }
}

/// A value for a column that must have one in a record that has none.
fn filler(column_type: &ColumnType) -> Value {
    use ColumnType as T;
    match column_type {
        T::Boolean => Value::Boolean(false),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => Value::Int(0),
        T::Uint8 | T::Uint16 | T::Uint32 | T::Uint64 => Value::Uint(0),
        T::Float32 | T::Float64 => Value::Float(0.0),
        T::Decimal { scale, .. } => Value::Decimal { units: 0, scale: *scale },
        T::Binary => Value::Bytes(Vec::new()),
        T::Date => Value::Date(0),
        T::Time => Value::Time(0),
        T::LocalTimestamp => Value::LocalTimestamp(0),
        T::Timestamp => Value::Timestamp(0),
        T::Interval => Value::Interval { months: 0, days: 0, nanos: 0 },
        T::String | T::List(_) | T::Struct(_) => Value::Text(String::new()),
    }
}

/// Values that fit, or nothing, as an array.
fn array<'a>(column_type: &ColumnType, values: impl ExactSizeIterator<Item = &'a Value>) -> ArrayRef {
    use ColumnType as T;
    macro_rules! gathered {
        ($array:ty, $pattern:pat => $value:expr) => {
            values
                .map(|value| match value {
                    $pattern => $value,
                    _ => None,
                })
                .collect::<$array>()
        };
    }
    match column_type {
        T::Boolean => Arc::new(gathered!(BooleanArray, Value::Boolean(it) => Some(*it))),
        T::Int8 => Arc::new(gathered!(Int8Array, Value::Int(it) => i8::try_from(*it).ok())),
        T::Int16 => Arc::new(gathered!(Int16Array, Value::Int(it) => i16::try_from(*it).ok())),
        T::Int32 => Arc::new(gathered!(Int32Array, Value::Int(it) => i32::try_from(*it).ok())),
        T::Int64 => Arc::new(gathered!(Int64Array, Value::Int(it) => Some(*it))),
        T::Uint8 => Arc::new(gathered!(UInt8Array, Value::Uint(it) => u8::try_from(*it).ok())),
        T::Uint16 => Arc::new(gathered!(UInt16Array, Value::Uint(it) => u16::try_from(*it).ok())),
        T::Uint32 => Arc::new(gathered!(UInt32Array, Value::Uint(it) => u32::try_from(*it).ok())),
        T::Uint64 => Arc::new(gathered!(UInt64Array, Value::Uint(it) => Some(*it))),
        #[expect(clippy::cast_possible_truncation, reason = "the database gave it in single precision")]
        T::Float32 => Arc::new(gathered!(Float32Array, Value::Float(it) => Some(*it as f32))),
        T::Float64 => Arc::new(gathered!(Float64Array, Value::Float(it) => Some(*it))),
        T::Decimal { .. } => {
            let array = gathered!(Decimal128Array, Value::Decimal { units, .. } => Some(*units));
            Arc::new(array.with_data_type(column_type.to_arrow()))
        }
        T::Binary => Arc::new(gathered!(BinaryArray, Value::Bytes(it) => Some(it.as_slice()))),
        T::Date => Arc::new(gathered!(Date32Array, Value::Date(it) => Some(*it))),
        T::Time => Arc::new(gathered!(Time64MicrosecondArray, Value::Time(it) => Some(*it))),
        T::LocalTimestamp => {
            Arc::new(gathered!(TimestampMicrosecondArray, Value::LocalTimestamp(it) => Some(*it)))
        }
        T::Timestamp => {
            let array = gathered!(TimestampMicrosecondArray, Value::Timestamp(it) => Some(*it));
            Arc::new(array.with_timezone("UTC"))
        }
        T::Interval => Arc::new(gathered!(
            IntervalMonthDayNanoArray,
            Value::Interval { months, days, nanos } => Some(IntervalMonthDayNano::new(*months, *days, *nanos))
        )),
        T::String => Arc::new(gathered!(StringArray, Value::Text(it) => Some(it.as_str()))),
        T::List(_) | T::Struct(_) => new_null_array(&column_type.to_arrow(), values.len()),
    }
}
