//! Which rows pass, and what becomes of those that do not.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt8Type};
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch};
use towpath_minimise::Held;
use towpath_record::{Column, ColumnType, Op, StreamSchema};

use crate::scene::{
    batch, before_of, minimiser, name_lists, schema, stream, structs, text, texts, unchanged,
};

fn filtered(filter: &str, given: StreamSchema, rows: RecordBatch) -> Result<RecordBatch, Held> {
    let spec = format!("{{streams: ['crm.*'], on_new_field: allow, rules: [], filter: {filter:?}}}");
    minimiser(&[&spec]).records(&stream(), given, rows).map(|(_, rows)| rows)
}

fn people(key: &[&str]) -> StreamSchema {
    let columns = vec![text("id"), text("country"), Column::required("age", ColumnType::Int32)];
    schema(columns, key)
}

fn ages(ages: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(ages.to_vec()))
}

fn ops(rows: &RecordBatch) -> Vec<Op> {
    rows.column(0).as_primitive::<UInt8Type>().values().iter().map(|op| Op::from_code(*op).unwrap()).collect()
}

fn column(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let values = rows.column_by_name(name).unwrap().as_string::<i32>().clone();
    values.iter().map(|value| value.map(str::to_owned)).collect()
}

const OPS: [Op; 6] = [Op::Create, Op::Update, Op::Read, Op::Update, Op::Delete, Op::Truncate];

fn some_people(given: &StreamSchema) -> RecordBatch {
    let ids = texts(&[Some("1"), Some("2"), Some("3"), Some("4"), Some("5"), None]);
    let countries = texts(&[Some("DE"), Some("US"), Some("US"), Some("FR"), Some("DE"), None]);
    batch(given, &OPS, vec![ids, countries, ages(&[1, 2, 3, 4, 5, 0])])
}

#[test]
fn a_row_that_does_not_pass_becomes_a_deletion_of_its_key() {
    let given = people(&["id"]);
    let rows = filtered("row.country in ['DE', 'FR']", given.clone(), some_people(&given)).unwrap();
    assert_eq!(ops(&rows), [Op::Create, Op::Delete, Op::Delete, Op::Update, Op::Delete, Op::Truncate]);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(column(&rows, "id"), [some("1"), some("2"), some("3"), some("4"), some("5"), None]);
    assert_eq!(column(&rows, "country"), [some("DE"), None, None, some("FR"), None, None]);
    let ages = rows.column_by_name("age").unwrap().as_primitive::<Int32Type>();
    assert_eq!(ages.values()[..], [1, 0, 0, 4, 0, 0]);
    assert_eq!(ages.null_count(), 0, "a column that knows no absence has a neutral value");
}

#[test]
fn without_a_key_a_row_that_does_not_pass_is_left_out() {
    let given = people(&[]);
    let rows = filtered("row.country in ['DE', 'FR']", given.clone(), some_people(&given)).unwrap();
    assert_eq!(ops(&rows), [Op::Create, Op::Update, Op::Delete, Op::Truncate]);
    assert_eq!(column(&rows, "id"), [Some("1".to_owned()), Some("4".to_owned()), None, None]);
    let none = filtered("false", given.clone(), some_people(&given)).unwrap();
    assert_eq!(ops(&none), [Op::Delete, Op::Truncate]);
}

#[test]
fn every_filter_of_every_policy_must_let_a_row_through() {
    let specs = [
        "{streams: ['crm.*'], on_new_field: allow, rules: [], filter: 'row.age > 1'}",
        "{streams: ['**'], on_new_field: allow, rules: [], filter: 'row.age < 4'}",
        "{streams: ['erp.*'], on_new_field: allow, rules: [], filter: 'false'}",
    ];
    let given = people(&["id"]);
    let (_, rows) = minimiser(&specs).records(&stream(), given.clone(), some_people(&given)).unwrap();
    assert_eq!(ops(&rows), [Op::Delete, Op::Update, Op::Read, Op::Delete, Op::Delete, Op::Truncate]);
}

#[test]
fn a_filter_sees_what_the_source_gave_and_the_field_may_be_dropped() {
    let spec = "{streams: ['crm.*'], classify: [{fields: [country], classes: [pii.location]}, {fields: ['*'], classes: []}],
        rules: [{classes: ['pii.*'], then: drop}], filter: \"row.country == 'DE'\"}";
    let given = people(&["id"]);
    let (left, rows) = minimiser(&[spec]).records(&stream(), given.clone(), some_people(&given)).unwrap();
    assert!(left.columns().iter().all(|column| column.name != "country"));
    assert_eq!(ops(&rows)[..3], [Op::Create, Op::Delete, Op::Delete]);
}

fn versions(old: &[Option<&str>], new: &[Option<&str>], not_sent: &[&[&str]]) -> (StreamSchema, RecordBatch) {
    let plain = vec![text("id"), text("country")];
    let given = schema(vec![unchanged(), text("id"), text("country"), before_of(plain.clone())], &["id"]);
    let ids = || texts(&vec![Some("1"); new.len()]);
    let valid: Vec<_> = old.iter().map(Option::is_some).collect();
    let before = structs(&plain, vec![ids(), texts(old)], &valid);
    let rows =
        batch(&given, &vec![Op::Update; new.len()], vec![name_lists(not_sent), ids(), texts(new), before]);
    (given, rows)
}

#[test]
fn the_row_before_is_told_only_if_it_would_have_passed() {
    let (given, rows) = versions(
        &[Some("US"), Some("DE"), Some("DE"), None],
        &[Some("DE"), Some("DE"), Some("US"), Some("DE")],
        &[&[], &[], &[], &[]],
    );
    let rows = filtered("row.country == 'DE'", given, rows).unwrap();
    assert_eq!(ops(&rows), [Op::Update, Op::Update, Op::Delete, Op::Update]);
    let before = rows.column_by_name("_before").unwrap().as_struct();
    let told: Vec<_> = (0..4).map(|row| before.is_valid(row)).collect();
    assert_eq!(told, [false, true, false, false]);
    let countries = before.column_by_name("country").unwrap().as_string::<i32>();
    assert_eq!(countries.value_data(), b"DE");
}

#[test]
fn a_value_that_was_not_sent_is_that_of_the_row_before_or_holds_the_stream() {
    let (given, rows) = versions(&[Some("DE"), Some("US")], &[None, None], &[&["country"], &["country"]]);
    let rows = filtered("row.country == 'DE'", given, rows).unwrap();
    assert_eq!(ops(&rows), [Op::Update, Op::Delete]);
    let (given, rows) = versions(&[None], &[None], &[&["country"]]);
    let said = filtered("row.country != 'DE'", given, rows).unwrap_err().to_string();
    assert!(said.contains("did not send `country`") && said.contains("row before a change"), "{said}");
    let (given, rows) = versions(&[None], &[None], &[&["id"]]);
    assert_eq!(ops(&filtered("row.country == null", given, rows).unwrap()), [Op::Update]);
}

#[test]
fn what_cannot_be_decided_holds_the_stream_and_tells_no_value() {
    let given = schema(vec![text("id"), text("secret")], &["id"]);
    let rows = || batch(&given, &[Op::Create], vec![texts(&[Some("1")]), texts(&[Some("canary")])]);
    for (filter, why) in [
        ("row.secret > 18", "`>` is not defined for (string, int)"),
        ("row.secret", "neither true nor false"),
        ("row.secret.matches(row.secret + '(')", "cannot be evaluated"),
        ("int(row.secret) > 1", "cannot be evaluated"),
        ("{'a': 1}[row.secret] == 1", "a member that is not there"),
        ("row.secret.size() / (row.id.size() - 1) == 1", "divides by zero"),
        ("9223372036854775807 + row.id.size() == 1", "too large"),
        ("[1][row.id.size()] == 1", "an item that is not there"),
        ("row.secret.startswith('c')", "does not have"),
    ] {
        let said = filtered(filter, given.clone(), rows()).unwrap_err().to_string();
        assert!(said.contains("policy p0") && said.contains("`secret`") || said.contains("`id`"), "{said}");
        assert!(said.contains(why) && !said.contains("canary"), "{filter}: {said}");
    }
    let absent = batch(&given, &[Op::Create], vec![texts(&[Some("1")]), texts(&[None])]);
    let said = filtered("row.secret > 'a'", given.clone(), absent.clone()).unwrap_err().to_string();
    assert!(said.contains("row.NAME != null"), "{said}");
    let guarded = filtered("row.secret != null && row.secret > 'a'", given.clone(), absent).unwrap();
    assert_eq!(ops(&guarded), [Op::Delete]);
}

#[test]
fn a_field_that_is_not_there_holds_the_stream_unless_it_was_asked_for() {
    let given = people(&["id"]);
    let said = filtered("row.city == 'Ulm'", given.clone(), some_people(&given)).unwrap_err().to_string();
    assert!(
        said.contains("`city`") && said.contains("filter of policy p0") && said.contains("has(row.NAME)"),
        "{said}"
    );
    let asked = filtered("!has(row.city) || row.city == 'Ulm'", given.clone(), some_people(&given)).unwrap();
    assert_eq!(ops(&asked), OPS);
}
