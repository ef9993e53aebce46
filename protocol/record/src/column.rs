//! The types a column may have. One closed list that every source maps into and every sink maps out of.

use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One column of a stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The column's name, as the source spells it.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether a value may be absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// What kind of data this is to policy: its classes, such as `pii.email`, with commas between several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What minimisation made of its values, such as `mask domain`. None if they are as the source gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment: Option<String>,
}

/// The type of a column's values.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// True or false.
    Boolean,
    /// Signed integer of 8 bits.
    Int8,
    /// Signed integer of 16 bits.
    Int16,
    /// Signed integer of 32 bits.
    Int32,
    /// Signed integer of 64 bits.
    Int64,
    /// Unsigned integer of 8 bits.
    Uint8,
    /// Unsigned integer of 16 bits.
    Uint16,
    /// Unsigned integer of 32 bits.
    Uint32,
    /// Unsigned integer of 64 bits.
    Uint64,
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 double precision.
    Float64,
    /// Exact decimal number of up to 38 digits.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// UTF-8 text.
    String,
    /// Bytes.
    Binary,
    /// Calendar date.
    Date,
    /// Time of day without zone, in microseconds.
    Time,
    /// Date and time without zone, in microseconds.
    LocalTimestamp,
    /// Instant, in microseconds since 1970-01-01 UTC.
    Timestamp,
    /// Calendar interval of months, days and nanoseconds.
    Interval,
    /// Values of one type in order.
    List(Box<Column>),
    /// Named values.
    Struct(Vec<Column>),
}

impl Column {
    /// A column whose values may be absent and that carries no class.
    pub fn nullable(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self { name: name.into(), column_type, nullable: true, class: None, treatment: None }
    }

    /// A column that always has a value and carries no class.
    pub fn required(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self { name: name.into(), column_type, nullable: false, class: None, treatment: None }
    }

    /// The Arrow field of this column.
    pub fn to_arrow(&self) -> Field {
        Field::new(&self.name, self.column_type.to_arrow(), self.nullable)
    }
}

impl ColumnType {
    /// The Arrow type that holds these values.
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Uint8 => DataType::UInt8,
            Self::Uint16 => DataType::UInt16,
            Self::Uint32 => DataType::UInt32,
            Self::Uint64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, (*scale).cast_signed()),
            Self::String => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::LocalTimestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::List(item) => DataType::List(Arc::new(item.to_arrow())),
            Self::Struct(columns) => {
                DataType::Struct(columns.iter().map(Column::to_arrow).collect::<Fields>())
            }
        }
    }

    pub(crate) fn children(&self) -> &[Column] {
        match self {
            Self::List(item) => std::slice::from_ref(item),
            Self::Struct(columns) => columns,
            _ => &[],
        }
    }
}

impl fmt::Display for ColumnType {
    /// As people write it: `int64`, `decimal(12, 2)`, `list of string`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Boolean => "boolean",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision}, {scale})"),
            Self::String => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Time => "time",
            Self::LocalTimestamp => "local_timestamp",
            Self::Timestamp => "timestamp",
            Self::Interval => "interval",
            Self::List(item) => return write!(f, "list of {}", item.column_type),
            Self::Struct(columns) => {
                let fields: Vec<_> =
                    columns.iter().map(|c| format!("{}: {}", c.name, c.column_type)).collect();
                return write!(f, "struct({})", fields.join(", "));
            }
        };
        f.write_str(word)
    }
}
