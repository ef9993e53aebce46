//! Random columns of every type, extremes included.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, StringArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Fields};
use fastrand::Rng;
use towpath_record::{Column, ColumnType};

/// 0001-01-01 and 9999-12-31 in days since 1970-01-01.
const CALENDAR_DAYS: [i32; 2] = [-719_162, 2_932_896];
const DAY_US: i64 = 86_400_000_000;
const CALENDAR_US: [i64; 2] = [CALENDAR_DAYS[0] as i64 * DAY_US, (CALENDAR_DAYS[1] as i64 + 1) * DAY_US - 1];
const DECIMAL_MAX: i128 = 10_i128.pow(38) - 1;
/// One value in this many is null.
const NULLS: u32 = 7;

/// One nullable column of every type that records may have.
pub fn of_every_type() -> Vec<Column> {
    use ColumnType as T;
    let nested = vec![
        Column::nullable("number", T::Int64),
        Column::nullable("text", T::String),
        Column::nullable("flag", T::Boolean),
    ];
    let types = [
        ("boolean", T::Boolean),
        ("int8", T::Int8),
        ("int16", T::Int16),
        ("int32", T::Int32),
        ("int64", T::Int64),
        ("uint8", T::Uint8),
        ("uint16", T::Uint16),
        ("uint32", T::Uint32),
        ("uint64", T::Uint64),
        ("float32", T::Float32),
        ("float64", T::Float64),
        ("decimal", T::Decimal { precision: 38, scale: 10 }),
        ("money", T::Decimal { precision: 12, scale: 2 }),
        ("string", T::String),
        ("Quoted \"name\", with all", T::String),
        ("binary", T::Binary),
        ("date", T::Date),
        ("time", T::Time),
        ("local_timestamp", T::LocalTimestamp),
        ("timestamp", T::Timestamp),
        ("interval", T::Interval),
        ("list", T::List(Box::new(Column::nullable("item", T::String)))),
        ("struct", T::Struct(nested)),
    ];
    types.into_iter().map(|(name, column_type)| Column::nullable(name, column_type)).collect()
}

/// Random values of a column; about half of the types' values are extremes.
pub fn random(rng: &mut Rng, column: &Column, rows: usize) -> ArrayRef {
    use ColumnType as T;
    macro_rules! integers {
        ($array:ident, $native:ident) => {{
            let value = |rng: &mut Rng| choose(rng, &[$native::MIN, $native::MAX, 0], |rng| rng.$native(..));
            Arc::new(optional(rng, column, rows, value).collect::<$array>())
        }};
    }
    match &column.column_type {
        T::Boolean => Arc::new(optional(rng, column, rows, |rng| rng.bool()).collect::<BooleanArray>()),
        T::Int8 => integers!(Int8Array, i8),
        T::Int16 => integers!(Int16Array, i16),
        T::Int32 => integers!(Int32Array, i32),
        T::Int64 => integers!(Int64Array, i64),
        T::Uint8 => integers!(UInt8Array, u8),
        T::Uint16 => integers!(UInt16Array, u16),
        T::Uint32 => integers!(UInt32Array, u32),
        T::Uint64 => integers!(UInt64Array, u64),
        T::Float32 => Arc::new(optional(rng, column, rows, float32).collect::<Float32Array>()),
        T::Float64 => Arc::new(optional(rng, column, rows, float64).collect::<Float64Array>()),
        T::Decimal { precision, scale } => {
            let max = DECIMAL_MAX / 10_i128.pow(38 - u32::from(*precision));
            let value = |rng: &mut Rng| choose(rng, &[max, -max, 0, 1], |rng| rng.i128(-max..=max));
            let array = optional(rng, column, rows, value).collect::<Decimal128Array>();
            let array = array.with_precision_and_scale(*precision, (*scale).cast_signed());
            Arc::new(array.expect("values were drawn within the precision"))
        }
        T::String => Arc::new(optional(rng, column, rows, text).collect::<StringArray>()),
        T::Binary => Arc::new(optional(rng, column, rows, bytes).collect::<BinaryArray>()),
        T::Date => {
            let value = |rng: &mut Rng| choose(rng, &CALENDAR_DAYS, |rng| rng.i32(-30_000..60_000));
            Arc::new(optional(rng, column, rows, value).collect::<Date32Array>())
        }
        T::Time => {
            let value = |rng: &mut Rng| choose(rng, &[0, DAY_US - 1], |rng| rng.i64(0..DAY_US));
            Arc::new(optional(rng, column, rows, value).collect::<Time64MicrosecondArray>())
        }
        T::LocalTimestamp => Arc::new(instants(rng, column, rows)),
        T::Timestamp => Arc::new(instants(rng, column, rows).with_timezone("UTC")),
        T::Interval => Arc::new(optional(rng, column, rows, interval).collect::<IntervalMonthDayNanoArray>()),
        T::List(_) => lists(rng, column, rows),
        T::Struct(columns) => structs(rng, column, columns, rows),
    }
}

fn optional<'r, T>(
    rng: &'r mut Rng,
    column: &Column,
    rows: usize,
    mut value: impl FnMut(&mut Rng) -> T + 'r,
) -> impl Iterator<Item = Option<T>> + 'r {
    let nullable = column.nullable;
    (0..rows).map(move |_| (!nullable || rng.u32(0..NULLS) > 0).then(|| value(rng)))
}

fn choose<T: Copy>(rng: &mut Rng, extremes: &[T], random: impl FnOnce(&mut Rng) -> T) -> T {
    if rng.bool() { extremes[rng.usize(0..extremes.len())] } else { random(rng) }
}

fn float32(rng: &mut Rng) -> f32 {
    let extremes = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN, f32::MAX, f32::MIN_POSITIVE, 0.1];
    choose(rng, &extremes, |rng| rng.f32() * 1e6)
}

fn float64(rng: &mut Rng) -> f64 {
    let extremes = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 0.1];
    choose(rng, &extremes, |rng| rng.f64() * 1e12)
}

/// Text that trips writers of text formats. NUL is not among it: what a target does with it is its own law.
fn text(rng: &mut Rng) -> String {
    const AWKWARD: &[&str] = &[
        "",
        " ",
        "NULL",
        "null",
        "\\N",
        "\"",
        "'",
        "a,b",
        "a;b",
        "a\tb",
        "line\nbreak",
        "carriage\r\nreturn",
        "\\",
        "\u{feff}bom",
        "ünïcödé",
        "日本語",
        "🦀 crab",
        "\u{1}\u{1f}",
        "{\"a\":1}",
        "007",
        "1e400",
        "-0",
        "\u{2028}\u{2029}",
        "NaN",
        "Infinity",
        "true",
        "e\u{301}",
    ];
    match rng.bool() {
        true => AWKWARD[rng.usize(0..AWKWARD.len())].to_owned(),
        false => (0..rng.usize(1..40)).map(|_| rng.alphanumeric()).collect(),
    }
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    match rng.bool() {
        true => [&b""[..], b"\0", b"\xff\xfe", b"\\x00"][rng.usize(0..4)].to_vec(),
        false => (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect(),
    }
}

fn instants(rng: &mut Rng, column: &Column, rows: usize) -> TimestampMicrosecondArray {
    let value = |rng: &mut Rng| {
        choose(rng, &[CALENDAR_US[0], CALENDAR_US[1], -1, 0], |rng| rng.i64(0..2_000_000_000_000_000))
    };
    optional(rng, column, rows, value).collect()
}

/// Microseconds are the finest that every database holds.
fn interval(rng: &mut Rng) -> IntervalMonthDayNano {
    let extremes = [
        IntervalMonthDayNano::new(0, 0, 0),
        IntervalMonthDayNano::new(-14, 30, -1_000),
        IntervalMonthDayNano::new(12 * 9_000, 0, 86_399_999_999_000),
    ];
    choose(rng, &extremes, |rng| {
        IntervalMonthDayNano::new(rng.i32(-99..99), rng.i32(-99..99), rng.i64(-1_000_000..1_000_000) * 1_000)
    })
}

fn lists(rng: &mut Rng, column: &Column, rows: usize) -> ArrayRef {
    let DataType::List(item) = column.column_type.to_arrow() else {
        unreachable!("called for list columns only");
    };
    assert_eq!(item.data_type(), &DataType::Utf8, "lists of other types than text are not drawn here");
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
    for _ in 0..rows {
        if rng.u32(0..NULLS) == 0 {
            lists.append_null();
            continue;
        }
        for _ in 0..rng.usize(0..4) {
            let value = (rng.u32(0..NULLS) > 0).then(|| text(rng));
            lists.values().append_option(value);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn structs(rng: &mut Rng, column: &Column, columns: &[Column], rows: usize) -> ArrayRef {
    let arrays = columns.iter().map(|inner| random(rng, inner, rows)).collect();
    let fields: Fields = columns.iter().map(Column::to_arrow).collect::<Vec<Field>>().into();
    let nulls = optional(rng, column, rows, |_| ()).map(|value| value.is_some()).collect::<Vec<_>>();
    Arc::new(StructArray::new(fields, arrays, Some(nulls.into())))
}
