//! Every treatment of values of every type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, IntervalMonthDayNano};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array, new_null_array,
};
use towpath_minimise::HeldReason;
use towpath_policy::{Place, type_after};
use towpath_record::{Column, ColumnType, Op};
use towpath_resource::{Bucket, Hash, Mask, Tokenise, Treatment};

use crate::scene::{
    KEY, batch, before_of, eu, minimiser, name_lists, rulebook, schema, stream, structs, text, texts,
    unchanged,
};

/// A value of each type, and an absent one.
fn of_every_type() -> Vec<(ColumnType, ArrayRef)> {
    use ColumnType as T;
    let decimal = Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(9, 2).unwrap();
    let instants = TimestampMicrosecondArray::from(vec![Some(1_700_000_000_000_000), None]);
    let interval = IntervalMonthDayNano::new(1, 2, 3);
    let list = T::List(Box::new(text("item")));
    let members = vec![text("a")];
    vec![
        (T::Boolean, Arc::new(BooleanArray::from(vec![Some(true), None]))),
        (T::Int8, Arc::new(Int8Array::from(vec![Some(-128), None]))),
        (T::Int16, Arc::new(Int16Array::from(vec![Some(i16::MIN), None]))),
        (T::Int32, Arc::new(Int32Array::from(vec![Some(i32::MIN), None]))),
        (T::Int64, Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
        (T::Uint8, Arc::new(UInt8Array::from(vec![Some(255), None]))),
        (T::Uint16, Arc::new(UInt16Array::from(vec![Some(u16::MAX), None]))),
        (T::Uint32, Arc::new(UInt32Array::from(vec![Some(u32::MAX), None]))),
        (T::Uint64, Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        (T::Float32, Arc::new(Float32Array::from(vec![Some(-1.25), None]))),
        (T::Float64, Arc::new(Float64Array::from(vec![Some(f64::MIN), None]))),
        (T::Decimal { precision: 9, scale: 2 }, Arc::new(decimal)),
        (T::String, texts(&[Some("ann@example.com"), None])),
        (T::Binary, Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\x00"), None]))),
        (T::Date, Arc::new(Date32Array::from(vec![Some(i32::MIN), None]))),
        (T::Time, Arc::new(Time64MicrosecondArray::from(vec![Some(1), None]))),
        (T::LocalTimestamp, Arc::new(instants.clone())),
        (T::Timestamp, Arc::new(instants.with_timezone("UTC"))),
        (T::Interval, Arc::new(IntervalMonthDayNanoArray::from(vec![Some(interval), None]))),
        (list.clone(), new_null_array(&list.to_arrow(), 2)),
        (T::Struct(members.clone()), structs(&members, vec![texts(&[Some("x"), None])], &[true, false])),
    ]
}

fn treatments() -> Vec<Treatment> {
    let key = || KEY.to_owned();
    vec![
        Treatment::Allow,
        Treatment::Mask(Mask::All),
        Treatment::Mask(Mask::Domain),
        Treatment::Mask(Mask::KeepLast(2)),
        Treatment::Mask(Mask::KeepFirst(2)),
        Treatment::Bucket(Bucket::Width(10)),
        Treatment::Bucket(Bucket::Decimals(1)),
        Treatment::Bucket(Bucket::Month),
        Treatment::Bucket(Bucket::Year),
        Treatment::Tokenise(Tokenise { key: key() }),
        Treatment::Hash(Hash { key: key() }),
        Treatment::Drop,
    ]
}

fn policy(then: &Treatment) -> String {
    let then = match then {
        Treatment::Allow => "allow".to_owned(),
        Treatment::Drop => "drop".to_owned(),
        Treatment::Mask(Mask::All) => "{mask: all}".to_owned(),
        Treatment::Mask(Mask::Domain) => "{mask: domain}".to_owned(),
        Treatment::Mask(Mask::KeepLast(n)) => format!("{{mask: {{keep_last: {n}}}}}"),
        Treatment::Mask(Mask::KeepFirst(n)) => format!("{{mask: {{keep_first: {n}}}}}"),
        Treatment::Bucket(Bucket::Width(n)) => format!("{{bucket: {{width: {n}}}}}"),
        Treatment::Bucket(Bucket::Decimals(n)) => format!("{{bucket: {{decimals: {n}}}}}"),
        Treatment::Bucket(Bucket::Month) => "{bucket: month}".to_owned(),
        Treatment::Bucket(Bucket::Year) => "{bucket: year}".to_owned(),
        Treatment::Tokenise(_) | Treatment::Hash(_) => format!("{{{}: {{key: '{KEY}'}}}}", then.as_str()),
        Treatment::Block | Treatment::Encrypt(_) => panic!("not tried here"),
    };
    format!(
        "{{streams: ['crm.*'], on_new_field: allow, classify: [{{fields: [x], classes: [health]}}], rules: [{{classes: [health], then: {then}}}]}}"
    )
}

#[test]
fn every_treatment_of_every_type_gives_rows_of_the_schema_that_was_decided() {
    for treatment in treatments() {
        let spec = policy(&treatment);
        let rules = rulebook(&[&spec]);
        let mut minimiser = minimiser(&[&spec]);
        for (of, values) in of_every_type() {
            let given = schema(vec![text("id"), Column::nullable("x", of.clone())], &[]);
            let ids = texts(&[Some("1"), Some("2")]);
            let rows = batch(&given, &[Op::Create, Op::Create], vec![ids, values.clone()]);
            let region = eu();
            let decided = rules.shape(&stream(), &given, Place { region: &region, purpose: None });
            let done = minimiser.records(&stream(), given, rows);
            let what = format!("{treatment} of {of}");
            assert_eq!(
                decided.is_ok(),
                treatment == Treatment::Drop || type_after(&treatment, &of).is_some(),
                "{what}"
            );
            match (decided, done) {
                (Ok(shape), Ok((left, rows))) => {
                    assert_eq!(left, shape.schema, "{what}");
                    assert_eq!(rows.schema_ref(), left.arrow(), "{what}");
                    rows.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
                    if let Some(column) = rows.column_by_name("x") {
                        assert_eq!(column.logical_null_count(), values.logical_null_count(), "{what}");
                        assert!(column.is_null(1), "{what}");
                    }
                }
                (Err(faults), Err(held)) => {
                    let faults: Vec<_> = faults.into_iter().map(HeldReason::Shape).collect();
                    assert_eq!(held.reasons, faults, "{what}");
                }
                (decided, done) => panic!("{what}: {decided:?} {done:?}"),
            }
        }
    }
}

#[test]
fn what_must_be_present_is_so_afterwards() {
    for treatment in treatments().into_iter().filter(|treatment| *treatment != Treatment::Drop) {
        let mut minimiser = minimiser(&[&policy(&treatment)]);
        let present = of_every_type().into_iter().filter(|(_, values)| values.is_valid(0));
        for (of, values) in present.filter(|(of, _)| type_after(&treatment, of).is_some()) {
            let given = schema(vec![Column::required("x", of)], &[]);
            let rows = batch(&given, &[Op::Create], vec![values.slice(0, 1)]);
            let (left, rows) = minimiser.records(&stream(), given, rows).unwrap();
            assert!(!left.columns()[0].nullable);
            assert_eq!(rows.column(3).null_count(), 0);
        }
    }
}

#[test]
fn what_no_policy_covers_passes_without_a_copy() {
    let mut minimiser = minimiser(&["{streams: [erp.**], rules: []}"]);
    let given = schema(vec![text("x")], &[]);
    let values = texts(&[Some("Ann")]);
    let rows = batch(&given, &[Op::Create], vec![values.clone()]);
    let (left, rows) = minimiser.records(&stream(), given.clone(), rows).unwrap();
    assert!(!minimiser.covers(&stream()));
    assert_eq!(left, given);
    assert!(Arc::ptr_eq(rows.column(3), &values));
}

#[test]
fn the_row_before_a_change_is_treated_like_the_row_and_dropped_names_are_not_told() {
    let spec = "{streams: ['crm.*'], classify: [
            {fields: [id], classes: [health]}, {fields: [name], classes: [pii.name]},
            {fields: [born], classes: [pii.birth_date]}, {fields: [note], classes: []}],
        rules: [{classes: [health], then: {hash: {key: '${env:KEY}'}}}, {classes: [pii.name], then: drop},
            {classes: [pii.birth_date], then: {bucket: year}}]}";
    let plain = vec![text("id"), text("name"), Column::nullable("born", ColumnType::Date), text("note")];
    let mut columns = vec![unchanged()];
    columns.extend(plain.clone());
    columns.push(before_of(plain.clone()));
    let given = schema(columns, &["id"]);
    let born = |days: &[i32]| -> ArrayRef { Arc::new(Date32Array::from(days.to_vec())) };
    let old = structs(
        &plain,
        vec![
            texts(&[Some("1"), None]),
            texts(&[Some("Ann"), None]),
            born(&[400, 0]),
            texts(&[Some("n"), None]),
        ],
        &[true, false],
    );
    let values = vec![
        name_lists(&[&["name", "note"], &[]]),
        texts(&[Some("1"), Some("2")]),
        texts(&[None, Some("Bea")]),
        born(&[400, 800]),
        texts(&[None, Some("n")]),
        old,
    ];
    let rows = batch(&given, &[Op::Update, Op::Create], values);
    let (left, rows) = minimiser(&[spec]).records(&stream(), given, rows).unwrap();
    let names: Vec<_> = left.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["_unchanged", "id", "born", "note", "_before"]);
    let names = rows.column_by_name("_unchanged").unwrap().as_list::<i32>().value(0);
    assert_eq!(names.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["note"]);
    let before = rows.column_by_name("_before").unwrap().as_struct();
    assert_eq!(before.column_names(), ["id", "born", "note"]);
    assert_eq!(before.column_by_name("born").unwrap().as_primitive::<Date32Type>().value(0), 365);
    let id = |column: &ArrayRef| column.as_string::<i32>().value(0).to_owned();
    assert_eq!(id(rows.column_by_name("id").unwrap()), id(before.column_by_name("id").unwrap()));
    assert!(before.is_null(1));
}

#[test]
fn equal_keys_stay_equal_and_others_differ() {
    let mut minimiser = minimiser(&[&policy(&Treatment::Hash(Hash { key: KEY.to_owned() }))]);
    let given = schema(vec![Column::required("x", ColumnType::Int64)], &["x"]);
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1]));
    let rows = batch(&given, &[Op::Create, Op::Create, Op::Delete], vec![values]);
    let (left, rows) = minimiser.records(&stream(), given, rows).unwrap();
    let hashes = rows.column(3).as_string::<i32>();
    assert_eq!(left.key(), ["x"]);
    assert!(hashes.value(0) == hashes.value(2) && hashes.value(0) != hashes.value(1));
}
