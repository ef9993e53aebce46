//! What holds a stream, and what lets it go on; and what is told of input that was refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use towpath_minimise::HeldReason;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Column, ColumnType, Op};

use crate::scene::{TestKeys, batch, minimiser, minimiser_with, schema, stream, text, texts};

const HASHED: &str = "{streams: ['crm.*'], classify: [{fields: ['*'], classes: [health]}],
    rules: [{classes: [health], then: {hash: {key: '${env:LATE}'}}}]}";

#[test]
fn a_key_that_is_missing_holds_the_stream_until_it_is_there_and_is_read_once() {
    let keys = Arc::new(TestKeys::default());
    let mut minimiser = minimiser_with(&[HASHED], keys.clone());
    let given = schema(vec![text("x")], &[]);
    let rows = || batch(&given, &[Op::Create], vec![texts(&[Some("canary")])]);
    let held = minimiser.records(&stream(), given.clone(), rows()).unwrap_err();
    assert!(matches!(&held.reasons[..], [HeldReason::Key(_)]));
    let said = held.to_string();
    assert!(
        said.contains("${env:LATE}") && said.contains("crm.people") && !said.contains("canary"),
        "{said}"
    );
    keys.put("${env:LATE}");
    for _ in 0..3 {
        minimiser.records(&stream(), given.clone(), rows()).unwrap();
    }
    assert_eq!(keys.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_stream_whose_schema_changes_for_ever_does_not_fill_the_memory_with_plans() {
    let keys = Arc::new(TestKeys::default());
    keys.put("${env:LATE}");
    let mut minimiser = minimiser_with(&[HASHED], keys.clone());
    let mut come = |n: usize| {
        let given = schema(vec![text(&format!("x{n}"))], &[]);
        let rows = batch(&given, &[Op::Create], vec![texts(&[Some("a")])]);
        minimiser.records(&stream(), given, rows).unwrap();
        keys.asked.load(Ordering::Relaxed)
    };
    (0..512).for_each(|n| assert_eq!(come(n), n + 1));
    assert_eq!(come(0), 512, "all of them are kept");
    assert_eq!(come(512), 513, "the one that was used longest ago goes");
    assert_eq!(come(0), 513);
    assert_eq!(come(1), 514);
}

#[test]
fn all_that_is_wrong_with_a_stream_is_named_at_once() {
    let spec = "{streams: ['crm.*'], classify: [{fields: [id, secret], classes: [health]}, {fields: [n], classes: [pii.name]}],
        rules: [{classes: [health], then: {mask: all}}, {classes: ['pii.*'], then: {encrypt: {to: reader}}}], filter: 'row.gone'}";
    let columns = ["id", "secret", "n", "new"].map(text).to_vec();
    let given = schema(columns, &["id"]);
    let value = || texts(&[Some("canary")]);
    let rows = batch(&given, &[Op::Create], vec![value(), value(), value(), value()]);
    let held = minimiser(&[spec]).records(&stream(), given, rows).unwrap_err();
    let said = held.to_string();
    assert_eq!(held.reasons.len(), 4, "{said}");
    for part in ["`id`", "part of the key", "not offered by this version", "new fields are held", "`gone`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn rows_that_are_not_of_their_schema_are_not_written() {
    let given = schema(vec![text("x")], &[]);
    let other = schema(vec![Column::nullable("x", ColumnType::String), text("smuggled")], &[]);
    let rows = batch(&other, &[Op::Create], vec![texts(&[Some("a")]), texts(&[Some("b")])]);
    let mut minimiser = minimiser(&["{streams: ['crm.*'], on_new_field: allow, rules: []}"]);
    let held = minimiser.records(&stream(), given, rows).unwrap_err();
    assert!(matches!(&held.reasons[..], [HeldReason::Rows(_)]), "{held}");
}

#[test]
fn dead_letters_of_a_covered_stream_say_where_the_input_lies_and_nothing_of_it() {
    let letter = DeadLetter {
        resource: "people.csv".to_owned(),
        line: 7,
        column: Some("age".to_owned()),
        reason: "`canary` is no number".to_owned(),
        raw: b"1;canary".to_vec(),
        raw_truncated: false,
    };
    let covered =
        minimiser(&["{streams: ['crm.*'], rules: []}"]).dead_letters(&stream(), vec![letter.clone()]);
    let [told] = &covered[..] else { panic!("{covered:?}") };
    assert_eq!((&*told.resource, told.line, told.column.as_deref()), ("people.csv", 7, Some("age")));
    assert!(told.raw.is_empty() && told.raw_truncated);
    assert!(told.reason.contains("withheld") && !format!("{told:?}").contains("canary"), "{told:?}");
    let free = minimiser(&["{streams: ['erp.*'], rules: []}"]).dead_letters(&stream(), vec![letter.clone()]);
    assert_eq!(free, [letter]);
}
