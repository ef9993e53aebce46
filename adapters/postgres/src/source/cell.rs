//! Cells, and the columns that they are gathered in.

use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::IntervalMonthDayNano;

use super::kind::Kind;
use super::text;

/// A value of a column. Texts are those of the message that it came in.
pub(crate) enum Cell<'a> {
    Null,
    Boolean(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Decimal(i128),
    Text(&'a str),
    Bytes(Vec<u8>),
    Interval(IntervalMonthDayNano),
}

impl<'a> Cell<'a> {
    /// Reads the text that PostgreSQL prints for a value.
    ///
    /// # Errors
    /// The column has no such value; the reason says what would help.
    pub(crate) fn read(kind: Kind, bytes: &'a [u8]) -> Result<Self, String> {
        if kind == Kind::Bytea {
            return text::bytea(bytes).map(Self::Bytes).ok_or_else(|| unreadable(kind));
        }
        let text = str::from_utf8(bytes).map_err(|_| {
            "the text is not UTF-8; a database with the encoding SQL_ASCII does not say what its bytes mean".to_owned()
        })?;
        let cell = match kind {
            Kind::Text => Some(Self::Text(text)),
            Kind::Bytea => None,
            Kind::Boolean => match text {
                "t" => Some(Self::Boolean(true)),
                "f" => Some(Self::Boolean(false)),
                _ => None,
            },
            Kind::Int16 => text.parse().ok().map(Self::Int16),
            Kind::Int32 => text.parse().ok().map(Self::Int32),
            Kind::Int64 => text.parse().ok().map(Self::Int64),
            Kind::Float32 => text.parse().ok().map(Self::Float32),
            Kind::Float64 => text.parse().ok().map(Self::Float64),
            Kind::Decimal { scale, .. } => text::decimal(text, scale).map(Self::Decimal),
            Kind::Date => text::date(text).map(Self::Int32),
            Kind::Time => text::time(text).map(Self::Int64),
            Kind::LocalTimestamp => text::timestamp(text, false).map(Self::Int64),
            Kind::Timestamp => text::timestamp(text, true).map(Self::Int64),
            Kind::Interval => text::interval(text).map(Self::Interval),
        };
        cell.ok_or_else(|| unreadable(kind))
    }
}

fn unreadable(kind: Kind) -> String {
    match kind {
        Kind::Decimal { .. } => {
            "a decimal cannot hold the number; set `numeric: text` to read such columns as text"
        }
        Kind::Interval => "the interval is longer than the 292 years of hours that a column holds",
        _ => "the value is not of its column's type",
    }
    .to_owned()
}

/// The values of a column, one after another.
pub(crate) enum Cells {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
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
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Int16 => Self::Int16(Int16Builder::new()),
            Kind::Int32 => Self::Int32(Int32Builder::new()),
            Kind::Int64 => Self::Int64(Int64Builder::new()),
            Kind::Float32 => Self::Float32(Float32Builder::new()),
            Kind::Float64 => Self::Float64(Float64Builder::new()),
            Kind::Decimal { .. } => {
                Self::Decimal(Decimal128Builder::new().with_data_type(kind.column_type().to_arrow()))
            }
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Bytea => Self::Bytes(BinaryBuilder::new()),
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Kind::LocalTimestamp | Kind::Timestamp => {
                let builder = TimestampMicrosecondBuilder::new();
                Self::Timestamp(builder.with_data_type(kind.column_type().to_arrow()))
            }
            Kind::Interval => Self::Interval(IntervalMonthDayNanoBuilder::new()),
        }
    }

    /// Appends a cell that was read for the same column.
    pub(crate) fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(value),
            (Self::Int16(builder), Cell::Int16(value)) => builder.append_value(value),
            (Self::Int32(builder), Cell::Int32(value)) => builder.append_value(value),
            (Self::Int64(builder), Cell::Int64(value)) => builder.append_value(value),
            (Self::Float32(builder), Cell::Float32(value)) => builder.append_value(value),
            (Self::Float64(builder), Cell::Float64(value)) => builder.append_value(value),
            (Self::Decimal(builder), Cell::Decimal(value)) => builder.append_value(value),
            (Self::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Self::Bytes(builder), Cell::Bytes(value)) => builder.append_value(value),
            (Self::Date(builder), Cell::Int32(value)) => builder.append_value(value),
            (Self::Time(builder), Cell::Int64(value)) => builder.append_value(value),
            (Self::Timestamp(builder), Cell::Int64(value)) => builder.append_value(value),
            (Self::Interval(builder), Cell::Interval(value)) => builder.append_value(value),
            (cells, _) => cells.push_null(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
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
            Self::Int16(builder) => builder,
            Self::Int32(builder) => builder,
            Self::Int64(builder) => builder,
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
