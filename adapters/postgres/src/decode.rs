//! PostgreSQL's binary forms as Arrow values: the way back of `encode`.

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::IntervalMonthDayNano;
use arrow_schema::DataType;
use towpath_adapter_api::text::{array_of_texts, to_type};
use towpath_record::{Column, ColumnType};

use crate::encode::{EPOCH_DAYS, EPOCH_US, JSONB_VERSION};
use crate::numeric;

/// The digits of an unsigned 64-bit integer, which is kept as a number without a point.
const UINT64_DIGITS: u8 = 20;

/// Values of a column, one after another, in the form in which they are gathered.
pub(crate) enum Gathered {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Numeric(Decimal128Builder, u8),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Json(StringBuilder),
}

impl Gathered {
    /// For values of the type that `encode` writes this column in.
    pub(crate) fn new(column: &Column) -> Self {
        use ColumnType as T;
        match column.column_type {
            T::Boolean => Self::Boolean(BooleanBuilder::new()),
            T::Int8 | T::Int16 | T::Uint8 => Self::Int16(Int16Builder::new()),
            T::Int32 | T::Uint16 => Self::Int32(Int32Builder::new()),
            T::Int64 | T::Uint32 => Self::Int64(Int64Builder::new()),
            T::Uint64 => Self::numeric(UINT64_DIGITS, 0),
            T::Float32 => Self::Float32(Float32Builder::new()),
            T::Float64 => Self::Float64(Float64Builder::new()),
            T::Decimal { precision, scale } => Self::numeric(precision, scale),
            T::String => Self::Text(StringBuilder::new()),
            T::Binary => Self::Bytes(BinaryBuilder::new()),
            T::Date => Self::Date(Date32Builder::new()),
            T::Time => Self::Time(Time64MicrosecondBuilder::new()),
            T::LocalTimestamp | T::Timestamp => {
                let builder = TimestampMicrosecondBuilder::new();
                Self::Timestamp(builder.with_data_type(column.column_type.to_arrow()))
            }
            T::Interval => Self::Interval(IntervalMonthDayNanoBuilder::new()),
            T::List(_) | T::Struct(_) => Self::Json(StringBuilder::new()),
        }
    }

    fn numeric(precision: u8, scale: u8) -> Self {
        let data_type = DataType::Decimal128(precision, scale.cast_signed());
        Self::Numeric(Decimal128Builder::new().with_data_type(data_type), scale)
    }

    /// Adds a value in binary form.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) -> Result<(), String> {
        let Some(bytes) = value else {
            self.push_null();
            return Ok(());
        };
        let pushed = match self {
            Self::Boolean(values) => array(bytes).map(|[byte]: [u8; 1]| values.append_value(byte != 0)),
            Self::Int16(values) => array(bytes).map(|b| values.append_value(i16::from_be_bytes(b))),
            Self::Int32(values) => array(bytes).map(|b| values.append_value(i32::from_be_bytes(b))),
            Self::Int64(values) => array(bytes).map(|b| values.append_value(i64::from_be_bytes(b))),
            Self::Float32(values) => array(bytes).map(|b| values.append_value(f32::from_be_bytes(b))),
            Self::Float64(values) => array(bytes).map(|b| values.append_value(f64::from_be_bytes(b))),
            Self::Numeric(values, scale) => numeric::get(bytes, *scale).map(|n| values.append_value(n)),
            Self::Text(values) => str::from_utf8(bytes).ok().map(|text| values.append_value(text)),
            Self::Bytes(values) => Some(bytes).map(|bytes| values.append_value(bytes)),
            Self::Date(values) => date(bytes).map(|days| values.append_value(days)),
            Self::Time(values) => array(bytes).map(|b| values.append_value(i64::from_be_bytes(b))),
            Self::Timestamp(values) => timestamp(bytes).map(|us| values.append_value(us)),
            Self::Interval(values) => interval(bytes).map(|interval| values.append_value(interval)),
            Self::Json(values) => {
                let text = bytes.strip_prefix(&[JSONB_VERSION]).and_then(|text| str::from_utf8(text).ok());
                text.map(|text| values.append_value(text))
            }
        };
        pushed.ok_or_else(|| "it is out of range, or has more digits".to_owned())
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(values) => values.append_null(),
            Self::Int16(values) => values.append_null(),
            Self::Int32(values) => values.append_null(),
            Self::Int64(values) => values.append_null(),
            Self::Float32(values) => values.append_null(),
            Self::Float64(values) => values.append_null(),
            Self::Numeric(values, _) => values.append_null(),
            Self::Text(values) | Self::Json(values) => values.append_null(),
            Self::Bytes(values) => values.append_null(),
            Self::Date(values) => values.append_null(),
            Self::Time(values) => values.append_null(),
            Self::Timestamp(values) => values.append_null(),
            Self::Interval(values) => values.append_null(),
        }
    }

    /// The values in the column's own type; none are left.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub(crate) fn take(&mut self, column: &Column) -> Result<ArrayRef, String> {
        let data_type = column.column_type.to_arrow();
        let taken = match self {
            Self::Boolean(values) => to_type(&values.finish(), &data_type),
            Self::Int16(values) => to_type(&values.finish(), &data_type),
            Self::Int32(values) => to_type(&values.finish(), &data_type),
            Self::Int64(values) => to_type(&values.finish(), &data_type),
            Self::Float32(values) => to_type(&values.finish(), &data_type),
            Self::Float64(values) => to_type(&values.finish(), &data_type),
            Self::Numeric(values, _) => {
                let numbers = values.finish();
                let within = numbers.validate_decimal_precision(numbers.precision());
                within.and_then(|()| to_type(&numbers, &data_type))
            }
            Self::Text(values) => to_type(&values.finish(), &data_type),
            Self::Bytes(values) => to_type(&values.finish(), &data_type),
            Self::Date(values) => to_type(&values.finish(), &data_type),
            Self::Time(values) => to_type(&values.finish(), &data_type),
            Self::Timestamp(values) => to_type(&values.finish(), &data_type),
            Self::Interval(values) => to_type(&values.finish(), &data_type),
            Self::Json(values) => array_of_texts(column, &values.finish()),
        };
        taken.map_err(|error| error.to_string())
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn date(bytes: &[u8]) -> Option<i32> {
    match array(bytes).map(i32::from_be_bytes)? {
        infinity @ (i32::MIN | i32::MAX) => Some(infinity),
        days => days.checked_add(EPOCH_DAYS),
    }
}

fn timestamp(bytes: &[u8]) -> Option<i64> {
    match array(bytes).map(i64::from_be_bytes)? {
        infinity @ (i64::MIN | i64::MAX) => Some(infinity),
        us => us.checked_add(EPOCH_US),
    }
}

/// Microseconds, days, months.
fn interval(bytes: &[u8]) -> Option<IntervalMonthDayNano> {
    let (us, rest) = bytes.split_first_chunk()?;
    let (days, months) = rest.split_first_chunk()?;
    let nanoseconds = i64::from_be_bytes(*us).checked_mul(1_000)?;
    let months = i32::from_be_bytes(array(months)?);
    Some(IntervalMonthDayNano { months, days: i32::from_be_bytes(*days), nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(column_type: ColumnType, value: &[u8]) -> Result<String, String> {
        let column = Column::nullable("c", column_type);
        let mut gathered = Gathered::new(&column);
        gathered.push(Some(value))?;
        gathered.take(&column).map(|array| format!("{array:?}"))
    }

    #[test]
    fn a_value_that_its_type_cannot_hold_is_an_error_and_not_another_value() {
        assert!(read(ColumnType::Int8, &127_i16.to_be_bytes()).is_ok());
        assert!(read(ColumnType::Int8, &128_i16.to_be_bytes()).is_err());
        assert!(read(ColumnType::Uint32, &(-1_i64).to_be_bytes()).is_err());
        assert!(read(ColumnType::Int64, &7_i32.to_be_bytes()).is_err());
        assert!(read(ColumnType::String, b"\xff").is_err());
        assert!(read(ColumnType::Date, &(i32::MAX - 1).to_be_bytes()).is_err());
        let list = ColumnType::List(Box::new(Column::nullable("item", ColumnType::Int8)));
        assert!(read(list.clone(), b"\x01[1, null]").is_ok());
        assert!(read(list.clone(), b"\x01[1000]").is_err());
        assert!(read(list, b"\x02[]").is_err());
    }
}
