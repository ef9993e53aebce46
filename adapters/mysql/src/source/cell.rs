//! One value of a row, and the columns that values gather in.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::types::IntervalMonthDayNano;
use towpath_record::ColumnType;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    Null,
    Boolean(bool),
    Int(i64),
    Uint(u64),
    Float32(f32),
    Float64(f64),
    /// Digits without the point; the column knows the scale.
    Decimal(i128),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds, of a day or since 1970-01-01.
    Micros(i64),
    /// Nanoseconds of an interval.
    Interval(i64),
    /// Text in a character set that only the server can read.
    Foreign(Arc<str>, Vec<u8>),
}

impl Cell {
    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => 8 + text.len(),
            Self::Bytes(bytes) | Self::Foreign(_, bytes) => 8 + bytes.len(),
            Self::Decimal(_) | Self::Interval(_) => 16,
            _ => 8,
        }
    }

    /// The form in which a position keeps it, and by which equal keys are found; none for what is no key.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let (tag, rest) = match self {
            Self::Int(value) => (b'i', value.to_be_bytes().to_vec()),
            Self::Uint(value) => (b'u', value.to_be_bytes().to_vec()),
            Self::Decimal(value) => (b'n', value.to_be_bytes().to_vec()),
            Self::Text(text) => (b't', text.clone().into_bytes()),
            Self::Bytes(bytes) => (b'b', bytes.clone()),
            Self::Date(days) => (b'd', days.to_be_bytes().to_vec()),
            Self::Micros(micros) => (b'm', micros.to_be_bytes().to_vec()),
            Self::Interval(nanos) => (b'v', nanos.to_be_bytes().to_vec()),
            _ => return None,
        };
        Some([&[tag], &*rest].concat())
    }

    /// Reads that form.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        Some(match tag {
            b'i' => Self::Int(i64::from_be_bytes(rest.try_into().ok()?)),
            b'u' => Self::Uint(u64::from_be_bytes(rest.try_into().ok()?)),
            b'n' => Self::Decimal(i128::from_be_bytes(rest.try_into().ok()?)),
            b't' => Self::Text(String::from_utf8(rest.to_vec()).ok()?),
            b'b' => Self::Bytes(rest.to_vec()),
            b'd' => Self::Date(i32::from_be_bytes(rest.try_into().ok()?)),
            b'm' => Self::Micros(i64::from_be_bytes(rest.try_into().ok()?)),
            b'v' => Self::Interval(i64::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        })
    }
}

/// The values of a column, one after another.
pub(crate) enum Cells {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Uint8(UInt8Builder),
    Uint16(UInt16Builder),
    Uint32(UInt32Builder),
    Uint64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
}

impl Cells {
    /// For a column of a type that a kind has.
    pub(crate) fn new(column_type: &ColumnType) -> Self {
        match column_type {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Int8 => Self::Int8(Int8Builder::new()),
            ColumnType::Int16 => Self::Int16(Int16Builder::new()),
            ColumnType::Int32 => Self::Int32(Int32Builder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Uint8 => Self::Uint8(UInt8Builder::new()),
            ColumnType::Uint16 => Self::Uint16(UInt16Builder::new()),
            ColumnType::Uint32 => Self::Uint32(UInt32Builder::new()),
            ColumnType::Uint64 => Self::Uint64(UInt64Builder::new()),
            ColumnType::Float32 => Self::Float32(Float32Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Decimal { .. } => {
                Self::Decimal(Decimal128Builder::new().with_data_type(column_type.to_arrow()))
            }
            ColumnType::Binary => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Time => Self::Time(Time64MicrosecondBuilder::new()),
            ColumnType::LocalTimestamp | ColumnType::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(column_type.to_arrow()))
            }
            ColumnType::Interval => Self::Interval(IntervalMonthDayNanoBuilder::new()),
            // No kind is a list or a struct.
            ColumnType::String | ColumnType::List(_) | ColumnType::Struct(_) => {
                Self::Text(StringBuilder::new())
            }
        }
    }

    /// Appends a cell that was read for the same column. What does not fit its column becomes null; the readers of
    /// cells see to it that nothing does that.
    pub(crate) fn push(&mut self, cell: &Cell) {
        match (self, cell) {
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(*value),
            (Self::Int8(builder), Cell::Int(value)) => builder.append_option(i8::try_from(*value).ok()),
            (Self::Int16(builder), Cell::Int(value)) => builder.append_option(i16::try_from(*value).ok()),
            (Self::Int32(builder), Cell::Int(value)) => builder.append_option(i32::try_from(*value).ok()),
            (Self::Int64(builder), Cell::Int(value)) => builder.append_value(*value),
            (Self::Uint8(builder), Cell::Uint(value)) => builder.append_option(u8::try_from(*value).ok()),
            (Self::Uint16(builder), Cell::Uint(value)) => builder.append_option(u16::try_from(*value).ok()),
            (Self::Uint32(builder), Cell::Uint(value)) => builder.append_option(u32::try_from(*value).ok()),
            (Self::Uint64(builder), Cell::Uint(value)) => builder.append_value(*value),
            (Self::Float32(builder), Cell::Float32(value)) => builder.append_value(*value),
            (Self::Float64(builder), Cell::Float64(value)) => builder.append_value(*value),
            (Self::Decimal(builder), Cell::Decimal(value)) => builder.append_value(*value),
            (Self::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Self::Bytes(builder), Cell::Bytes(value)) => builder.append_value(value),
            (Self::Date(builder), Cell::Date(value)) => builder.append_value(*value),
            (Self::Time(builder), Cell::Micros(value)) => builder.append_value(*value),
            (Self::Timestamp(builder), Cell::Micros(value)) => builder.append_value(*value),
            (Self::Interval(builder), Cell::Interval(nanos)) => {
                builder.append_value(IntervalMonthDayNano::new(0, 0, *nanos));
            }
            (cells, _) => cells.push_null(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Uint8(builder) => builder.append_null(),
            Self::Uint16(builder) => builder.append_null(),
            Self::Uint32(builder) => builder.append_null(),
            Self::Uint64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Interval(builder) => builder.append_null(),
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let builder: &mut dyn ArrayBuilder = match self {
            Self::Boolean(builder) => builder,
            Self::Int8(builder) => builder,
            Self::Int16(builder) => builder,
            Self::Int32(builder) => builder,
            Self::Int64(builder) => builder,
            Self::Uint8(builder) => builder,
            Self::Uint16(builder) => builder,
            Self::Uint32(builder) => builder,
            Self::Uint64(builder) => builder,
            Self::Float32(builder) => builder,
            Self::Float64(builder) => builder,
            Self::Decimal(builder) => builder,
            Self::Text(builder) => builder,
            Self::Bytes(builder) => builder,
            Self::Date(builder) => builder,
            Self::Time(builder) => builder,
            Self::Timestamp(builder) => builder,
            Self::Interval(builder) => builder,
        };
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_bytes() {
        let cells = [
            Cell::Int(-5),
            Cell::Uint(u64::MAX),
            Cell::Decimal(-12_345),
            Cell::Text("ä".to_owned()),
            Cell::Bytes(vec![0, 255]),
            Cell::Date(-1),
            Cell::Micros(7),
            Cell::Interval(-9),
        ];
        for cell in cells {
            assert_eq!(Cell::from_bytes(&cell.to_bytes().unwrap()), Some(cell));
        }
        assert_eq!(Cell::Null.to_bytes(), None);
        assert_eq!(Cell::from_bytes(b"i1"), None);
    }
}
