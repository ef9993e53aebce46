//! Digests of rows, by which two systems are compared without either seeing the other's data.
//!
//! A row's values are written one after the other in a form that depends on nothing but the values and their
//! types: fixed-size values in little-endian, text and bytes behind their length, a list behind its count, each
//! behind a byte that tells a value from none. The digest is the first eight bytes of BLAKE3 of that form. The zeros
//! of floating point are one value, and so are all that are not a number, since not every system keeps them apart.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// The digest of each row over these columns, which are of types that a [`crate::ColumnType`] has.
pub fn rows(columns: &[ArrayRef]) -> Vec<u64> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut form = Vec::new();
    (0..rows)
        .map(|row| {
            form.clear();
            columns.iter().for_each(|column| write(column, row, &mut form));
            of_bytes(&form)
        })
        .collect()
}

/// Over how many buckets the rows of a table are spread when it is summed up.
pub const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 14;

/// The bucket of a row, by the digest of its key.
pub const fn bucket(digest: u64) -> usize {
    (digest >> (u64::BITS - BUCKET_BITS)) as usize
}

/// The digest of bytes.
pub fn of_bytes(bytes: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(bytes).as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn write(column: &ArrayRef, row: usize, form: &mut Vec<u8>) {
    if column.is_null(row) {
        return form.push(0);
    }
    form.push(1);
    match column.data_type() {
        DataType::Null => {}
        DataType::Boolean => form.push(u8::from(column.as_boolean().value(row))),
        DataType::Int8 => fixed::<Int8Type>(column, row, form),
        DataType::Int16 => fixed::<Int16Type>(column, row, form),
        DataType::Int32 => fixed::<Int32Type>(column, row, form),
        DataType::Int64 => fixed::<Int64Type>(column, row, form),
        DataType::UInt8 => fixed::<UInt8Type>(column, row, form),
        DataType::UInt16 => fixed::<UInt16Type>(column, row, form),
        DataType::UInt32 => fixed::<UInt32Type>(column, row, form),
        DataType::UInt64 => fixed::<UInt64Type>(column, row, form),
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            let value = if value.is_nan() { f32::NAN } else { value + 0.0 };
            form.extend(value.to_bits().to_le_bytes());
        }
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
            form.extend(value.to_bits().to_le_bytes());
        }
        DataType::Decimal128(..) => fixed::<Decimal128Type>(column, row, form),
        DataType::Utf8 => bytes(column.as_string::<i32>().value(row).as_bytes(), form),
        DataType::Binary => bytes(column.as_binary::<i32>().value(row), form),
        DataType::Date32 => fixed::<Date32Type>(column, row, form),
        DataType::Time64(_) => fixed::<Time64MicrosecondType>(column, row, form),
        DataType::Timestamp(..) => fixed::<TimestampMicrosecondType>(column, row, form),
        DataType::Interval(_) => {
            let value = column.as_primitive::<IntervalMonthDayNanoType>().value(row);
            form.extend(value.months.to_le_bytes());
            form.extend(value.days.to_le_bytes());
            form.extend(value.nanoseconds.to_le_bytes());
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            form.extend((items.len() as u64).to_le_bytes());
            (0..items.len()).for_each(|item| write(&items, item, form));
        }
        DataType::Struct(_) => column.as_struct().columns().iter().for_each(|child| write(child, row, form)),
        other => unreachable!("no column type is held as {other}"),
    }
}

fn fixed<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize, form: &mut Vec<u8>)
where
    T::Native: ToLeBytes,
{
    column.as_primitive::<T>().value(row).append_le(form);
}

fn bytes(value: &[u8], form: &mut Vec<u8>) {
    form.extend((value.len() as u64).to_le_bytes());
    form.extend(value);
}

trait ToLeBytes {
    fn append_le(self, form: &mut Vec<u8>);
}

macro_rules! to_le_bytes {
    ($($native:ty),*) => {$(impl ToLeBytes for $native {
        fn append_le(self, form: &mut Vec<u8>) {
            form.extend(self.to_le_bytes());
        }
    })*};
}

to_le_bytes!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::{Decimal128Array, Float64Array, Int64Array, StringArray};

    use super::*;

    fn digests(columns: Vec<ArrayRef>) -> Vec<u64> {
        rows(&columns)
    }

    #[test]
    fn equal_rows_have_equal_digests_and_others_do_not() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), Some(2), None]));
        let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("a"), Some("a"), Some("a")]));
        let found = digests(vec![numbers, words]);
        assert_eq!(found[0], found[1]);
        assert_ne!(found[0], found[2]);
        assert_ne!(found[2], found[3]);
    }

    #[test]
    fn a_row_has_the_same_digest_in_whatever_batch_it_stands() {
        let whole: ArrayRef = Arc::new(StringArray::from(vec!["x", "yy", "zzz"]));
        let part = whole.slice(1, 1);
        assert_eq!(digests(vec![whole])[1], digests(vec![part])[0]);
    }

    #[test]
    fn what_one_column_ends_with_is_not_taken_for_what_the_next_begins_with() {
        let pair = |a: &str, b: &str| -> Vec<ArrayRef> {
            vec![Arc::new(StringArray::from(vec![a])), Arc::new(StringArray::from(vec![b]))]
        };
        assert_ne!(digests(pair("ab", "c")), digests(pair("a", "bc")));
        assert_ne!(digests(pair("", "a")), digests(pair("a", "")));
    }

    #[test]
    fn lists_differ_by_their_items() {
        let list = |items: &[Option<i64>]| -> ArrayRef {
            let mut builder = ListBuilder::new(Int64Builder::new());
            items.iter().for_each(|item| builder.values().append_option(*item));
            builder.append(true);
            Arc::new(builder.finish())
        };
        assert_eq!(digests(vec![list(&[Some(1), None])]), digests(vec![list(&[Some(1), None])]));
        assert_ne!(digests(vec![list(&[Some(1), None])]), digests(vec![list(&[None, Some(1)])]));
        assert_ne!(digests(vec![list(&[])]), digests(vec![list(&[None])]));
    }

    #[test]
    fn zeros_are_equal_and_so_is_what_is_not_a_number() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0]));
        let found = digests(vec![floats]);
        assert_eq!(found[0], found[1]);
        assert_eq!(found[2], found[3]);
        assert_ne!(found[0], found[4]);
    }

    #[test]
    fn the_form_stays_the_same_between_versions() {
        let number: ArrayRef = Arc::new(Decimal128Array::from(vec![-5]));
        let word: ArrayRef = Arc::new(StringArray::from(vec!["zwölf"]));
        let mut form = vec![1];
        form.extend((-5_i128).to_le_bytes());
        form.push(1);
        form.extend(6_u64.to_le_bytes());
        form.extend("zwölf".as_bytes());
        assert_eq!(digests(vec![number, word]), [of_bytes(&form)]);
    }
}
