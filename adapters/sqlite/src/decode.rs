//! SQLite values as Arrow values: the way back of `encode`. A column of SQLite may hold a value of any kind; one
//! that its column's type cannot hold exactly is an error.

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder,
};
use rusqlite::types::ValueRef;
use towpath_adapter_api::text::{array_of_texts, to_type};
use towpath_record::{Column, ColumnType};

/// The largest integer below which a double holds every one.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// Values of a column, one after another, in the form in which they are gathered.
pub(crate) enum Gathered {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Unsigned(UInt64Builder),
    Real(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

impl Gathered {
    pub(crate) fn new(column: &Column) -> Self {
        use ColumnType as T;
        match column.column_type {
            T::Boolean => Self::Boolean(BooleanBuilder::new()),
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Uint8 | T::Uint16 | T::Uint32 => {
                Self::Integer(Int64Builder::new())
            }
            T::Uint64 => Self::Unsigned(UInt64Builder::new()),
            T::Float32 | T::Float64 => Self::Real(Float64Builder::new()),
            T::Binary => Self::Binary(BinaryBuilder::new()),
            T::Decimal { .. }
            | T::String
            | T::Date
            | T::Time
            | T::LocalTimestamp
            | T::Timestamp
            | T::Interval
            | T::List(_)
            | T::Struct(_) => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub(crate) fn push(&mut self, value: ValueRef<'_>) -> Result<(), String> {
        let misfit = || Err(format!("{} does not fit", kind(value)));
        match (self, value) {
            (Self::Boolean(values), ValueRef::Null) => values.append_null(),
            (Self::Boolean(values), ValueRef::Integer(value @ 0..=1)) => values.append_value(value == 1),
            (Self::Integer(values), ValueRef::Null) => values.append_null(),
            (Self::Integer(values), ValueRef::Integer(value)) => values.append_value(value),
            (Self::Unsigned(values), ValueRef::Null) => values.append_null(),
            (Self::Unsigned(values), ValueRef::Integer(value)) => match u64::try_from(value) {
                Ok(value) => values.append_value(value),
                Err(_) => return misfit(),
            },
            (Self::Unsigned(values), ValueRef::Text(digits)) => {
                match str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
                    Some(value) => values.append_value(value),
                    None => return misfit(),
                }
            }
            (Self::Real(values), ValueRef::Null) => values.append_null(),
            (Self::Real(values), ValueRef::Real(value)) => values.append_value(value),
            (Self::Real(values), ValueRef::Integer(value)) if value.unsigned_abs() <= EXACT_IN_DOUBLE => {
                #[expect(clippy::cast_precision_loss, reason = "a double holds every integer of this size")]
                values.append_value(value as f64);
            }
            (Self::Real(values), ValueRef::Text(b"NaN")) => values.append_value(f64::NAN),
            (Self::Text(values), ValueRef::Null) => values.append_null(),
            (Self::Text(values), ValueRef::Text(text)) => match str::from_utf8(text) {
                Ok(text) => values.append_value(text),
                Err(_) => return Err("a text is not UTF-8".to_owned()),
            },
            // A table of someone else's may have turned digits into a number.
            (Self::Text(values), ValueRef::Integer(value)) => values.append_value(value.to_string()),
            (Self::Text(values), ValueRef::Real(value)) => values.append_value(value.to_string()),
            (Self::Binary(values), ValueRef::Null) => values.append_null(),
            (Self::Binary(values), ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => {
                values.append_value(bytes);
            }
            _ => return misfit(),
        }
        Ok(())
    }

    /// The values in the column's own type; none are left.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub(crate) fn take(&mut self, column: &Column) -> Result<ArrayRef, String> {
        let data_type = column.column_type.to_arrow();
        let taken = match self {
            Self::Boolean(values) => to_type(&values.finish(), &data_type),
            Self::Integer(values) => to_type(&values.finish(), &data_type),
            Self::Unsigned(values) => to_type(&values.finish(), &data_type),
            Self::Real(values) => to_type(&values.finish(), &data_type),
            Self::Text(values) => array_of_texts(column, &values.finish()),
            Self::Binary(values) => to_type(&values.finish(), &data_type),
        };
        taken.map_err(|error| error.to_string())
    }
}

fn kind(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a real number",
        ValueRef::Text(_) => "a text",
        ValueRef::Blob(_) => "a blob",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(column_type: ColumnType, value: ValueRef<'_>) -> Result<String, String> {
        let column = Column::nullable("c", column_type);
        let mut gathered = Gathered::new(&column);
        gathered.push(value)?;
        gathered.take(&column).map(|array| format!("{array:?}"))
    }

    #[test]
    fn a_value_that_its_type_cannot_hold_is_an_error_and_not_another_value() {
        assert!(read(ColumnType::Int8, ValueRef::Integer(127)).is_ok());
        assert!(read(ColumnType::Int8, ValueRef::Integer(128)).is_err());
        assert!(read(ColumnType::Uint64, ValueRef::Integer(-1)).is_err());
        assert!(read(ColumnType::Uint64, ValueRef::Text(b"18446744073709551615")).is_ok());
        assert!(read(ColumnType::Uint64, ValueRef::Text(b"18446744073709551616")).is_err());
        assert!(read(ColumnType::Boolean, ValueRef::Integer(2)).is_err());
        assert!(read(ColumnType::Float64, ValueRef::Text(b"12,5")).is_err());
        assert!(read(ColumnType::String, ValueRef::Text(b"\xff")).unwrap_err().contains("UTF-8"));
        assert!(read(ColumnType::Date, ValueRef::Text(b"2026-02-30")).is_err());
        assert!(read(ColumnType::Decimal { precision: 5, scale: 1 }, ValueRef::Real(0.25)).is_err());
    }
}
