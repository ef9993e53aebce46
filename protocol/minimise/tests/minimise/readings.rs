//! How filters see values of every type.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int64Array, Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array, UInt64Array,
};
use towpath_record::{Column, ColumnType, Op};

use crate::scene::{batch, minimiser, schema, stream, structs, text, texts};

/// 2024-02-29T12:00:00Z.
const NOON_US: i64 = 1_709_208_000_000_000;

/// A row with a value of each type.
fn columns() -> Vec<(Column, ArrayRef)> {
    use ColumnType as T;
    let column = Column::nullable;
    let decimal = Decimal128Array::from(vec![1_250]).with_precision_and_scale(9, 2).unwrap();
    let noon = TimestampMicrosecondArray::from(vec![NOON_US]);
    let mut list = ListBuilder::new(Int64Builder::new());
    list.values().append_slice(&[1, 2, 3]);
    list.append(true);
    let members = vec![text("city")];
    let many = T::List(Box::new(Column::nullable("item", T::Int64)));
    vec![
        (column("flag", T::Boolean), Arc::new(BooleanArray::from(vec![true]))),
        (column("small", T::Int8), Arc::new(Int8Array::from(vec![-5]))),
        (column("big", T::Int64), Arc::new(Int64Array::from(vec![i64::MAX]))),
        (column("byte", T::Uint8), Arc::new(UInt8Array::from(vec![200]))),
        (column("huge", T::Uint64), Arc::new(UInt64Array::from(vec![u64::MAX]))),
        (column("single", T::Float32), Arc::new(Float32Array::from(vec![0.5]))),
        (column("float", T::Float64), Arc::new(Float64Array::from(vec![0.25]))),
        (column("total", T::Decimal { precision: 9, scale: 2 }), Arc::new(decimal)),
        (column("name", T::String), texts(&[Some("Größe")])),
        (column("raw", T::Binary), Arc::new(BinaryArray::from_vec(vec![b"\xffa"]))),
        (column("day", T::Date), Arc::new(Date32Array::from(vec![19_782]))),
        (column("clock", T::Time), Arc::new(Time64MicrosecondArray::from(vec![60_000_000]))),
        (column("local", T::LocalTimestamp), Arc::new(noon.clone())),
        (column("at", T::Timestamp), Arc::new(noon.with_timezone("UTC"))),
        (column("many", many), Arc::new(list.finish())),
        (column("home", T::Struct(members.clone())), structs(&members, vec![texts(&[Some("Ulm")])], &[true])),
        (column("none", T::String), texts(&[None])),
        (column("of two", T::String), texts(&[Some("x")])),
    ]
}

#[test]
fn values_of_every_type_can_be_asked_for() {
    let given = schema(columns().into_iter().map(|(column, _)| column).collect(), &[]);
    let values: Vec<_> = columns().into_iter().map(|(_, values)| values).collect();
    for filter in [
        "row.flag",
        "row.small == -5 && row.small + 1 < 0",
        "row.big == 9223372036854775807",
        "row.byte + 100 == 300",
        "row.huge == 18446744073709551615u && row.huge > row.small",
        "row.single == 0.5 && row.float < row.single",
        "row.total == 12.5",
        "row.name.size() == 5 && row.name.startsWith('Gr') && row.name.matches('ß')",
        "row.raw == b'\\xffa'",
        "row.day == timestamp('2024-02-29T00:00:00Z')",
        "row.clock == duration('1m')",
        "row.local.getHours() == 12 && row.local == row.at",
        "row.at > timestamp('2024-01-01T00:00:00Z')",
        "row.many.size() == 3 && 2 in row.many && row.many.exists(one, one > 2)",
        "row.home.city == 'Ulm' && has(row.home.city) && !has(row.home.street)",
        "row.none == null && has(row.none)",
        "row['of two'] == 'x'",
        "!has(row.missing)",
    ] {
        let rows = batch(&given, &[Op::Create], values.clone());
        let spec = policy(filter);
        let done = minimiser(&[&spec]).records(&stream(), given.clone(), rows);
        assert_eq!(done.map(|(_, rows)| rows.num_rows()), Ok(1), "{filter}");
    }
}

/// A policy with this filter, which is quoted so that no character of it means anything to YAML.
fn policy(filter: &str) -> String {
    format!(
        "{{streams: ['crm.*'], on_new_field: allow, rules: [], filter: '{}'}}",
        filter.replace('\'', "''")
    )
}
