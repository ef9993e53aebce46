//! The canonical form of a value: the bytes that are hashed.
//!
//! One byte says which kind of value it is, so that the text `5` and the number 5 differ. Then comes the value:
//!
//! | kind | types | bytes |
//! |---|---|---|
//! | `b` | boolean | 0 or 1 |
//! | `n` | integers and decimals | the digits as a signed number of 16 bytes, then in one byte how many stand after the point, without zeros at the end |
//! | `f` | floats | IEEE 754 double; one zero, one NaN |
//! | `s` | text | UTF-8 |
//! | `x` | bytes | as they are |
//! | `d` | date | days since 1970-01-01, 8 bytes |
//! | `t` | time of day | microseconds, 8 bytes |
//! | `l` | date and time without zone | microseconds since 1970-01-01, 8 bytes |
//! | `z` | instant | microseconds since 1970-01-01 UTC, 8 bytes |
//! | `i` | interval | months, days (4 bytes each), nanoseconds (8 bytes) |
//!
//! All numbers are little-endian. A value that a source widens (`int32` to `int64`, `decimal(5, 0)` to `decimal(9, 2)`)
//! keeps its form, and so its hash.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use towpath_record::ColumnType;

/// Calls back for each value in order with its canonical form; with none where the value is absent.
pub(super) fn each(of: &ColumnType, values: &ArrayRef, mut then: impl FnMut(Option<&[u8]>)) {
    use ColumnType as T;
    match of {
        T::Boolean => {
            for value in values.as_boolean() {
                then(value.map(|value| [b'b', u8::from(value)]).as_ref().map(<[u8; 2]>::as_slice));
            }
        }
        T::Int8 => primitive::<Int8Type, 18>(values, |value| number(value.into(), 0), then),
        T::Int16 => primitive::<Int16Type, 18>(values, |value| number(value.into(), 0), then),
        T::Int32 => primitive::<Int32Type, 18>(values, |value| number(value.into(), 0), then),
        T::Int64 => primitive::<Int64Type, 18>(values, |value| number(value.into(), 0), then),
        T::Uint8 => primitive::<UInt8Type, 18>(values, |value| number(value.into(), 0), then),
        T::Uint16 => primitive::<UInt16Type, 18>(values, |value| number(value.into(), 0), then),
        T::Uint32 => primitive::<UInt32Type, 18>(values, |value| number(value.into(), 0), then),
        T::Uint64 => primitive::<UInt64Type, 18>(values, |value| number(value.into(), 0), then),
        T::Decimal { scale, .. } => {
            primitive::<Decimal128Type, 18>(values, |value| number(value, *scale), then);
        }
        T::Float32 => primitive::<Float32Type, 9>(values, |value| float(value.into()), then),
        T::Float64 => primitive::<Float64Type, 9>(values, float, then),
        T::Date => primitive::<Date32Type, 9>(values, |value| count(b'd', value.into()), then),
        T::Time => primitive::<Time64MicrosecondType, 9>(values, |value| count(b't', value), then),
        T::LocalTimestamp => {
            primitive::<TimestampMicrosecondType, 9>(values, |value| count(b'l', value), then);
        }
        T::Timestamp => primitive::<TimestampMicrosecondType, 9>(values, |value| count(b'z', value), then),
        T::Interval => primitive::<IntervalMonthDayNanoType, 17>(
            values,
            |value| {
                let mut bytes = [b'i'; 17];
                bytes[1..5].copy_from_slice(&value.months.to_le_bytes());
                bytes[5..9].copy_from_slice(&value.days.to_le_bytes());
                bytes[9..].copy_from_slice(&value.nanoseconds.to_le_bytes());
                bytes
            },
            then,
        ),
        T::String => bytes(b's', values.as_string::<i32>().iter().map(|text| text.map(str::as_bytes)), then),
        T::Binary => bytes(b'x', values.as_binary::<i32>().iter(), then),
        T::List(_) | T::Struct(_) => unreachable!("what has parts is not hashed; see type_after"),
    }
}

fn primitive<T: ArrowPrimitiveType, const N: usize>(
    values: &ArrayRef,
    form: impl Fn(T::Native) -> [u8; N],
    mut then: impl FnMut(Option<&[u8]>),
) {
    for value in values.as_primitive::<T>() {
        then(value.map(&form).as_ref().map(<[u8; N]>::as_slice));
    }
}

fn bytes<'a>(kind: u8, values: impl Iterator<Item = Option<&'a [u8]>>, mut then: impl FnMut(Option<&[u8]>)) {
    let mut form = vec![kind];
    for value in values {
        form.truncate(1);
        form.extend_from_slice(value.unwrap_or_default());
        then(value.is_some().then_some(form.as_slice()));
    }
}

fn number(mut digits: i128, mut scale: u8) -> [u8; 18] {
    while scale > 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    let mut bytes = [b'n'; 18];
    bytes[1..17].copy_from_slice(&digits.to_le_bytes());
    bytes[17] = scale;
    bytes
}

fn float(value: f64) -> [u8; 9] {
    // Adding a positive zero makes the negative one positive too.
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    let mut bytes = [b'f'; 9];
    bytes[1..].copy_from_slice(&value.to_bits().to_le_bytes());
    bytes
}

fn count(kind: u8, value: i64) -> [u8; 9] {
    let mut bytes = [kind; 9];
    bytes[1..].copy_from_slice(&value.to_le_bytes());
    bytes
}
