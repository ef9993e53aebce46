//! The tables as they are now, and what a database lacks.

use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde_json::json;
use towpath_adapter_api::{BatchOutput, Finding, Reading, Rows, Verdict, WhichRows};
use towpath_adapter_conformance::Row;
use towpath_adapter_conformance::cell;
use towpath_adapter_sqlite::adapter;
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::{ResourceName, StreamName, StreamSchema};

use crate::harness::Agent;

/// The schema of a stream, as the source has emitted it, and its rows without what only belongs to a change.
fn emitted(agent: &Agent, stream: &str) -> (StreamSchema, Vec<Row>) {
    let of_stream = agent.durable.iter().filter(|emission| emission.stream.as_str() == stream);
    let records = of_stream.filter_map(|emission| match &emission.rows {
        Rows::Records { schema, batch } => Some((schema.clone(), batch.clone())),
        _ => None,
    });
    let records: Vec<_> = records.collect();
    let rows = records.iter().flat_map(|(_, batch)| {
        let data: Vec<_> = (RESERVED_COLUMNS..batch.num_columns()).collect();
        cell::rows(&batch.project(&data).unwrap()).unwrap()
    });
    (records.last().unwrap().0.clone(), rows.collect())
}

async fn read(agent: &Agent, stream: &str, schema: &StreamSchema, rows: WhichRows) -> Vec<Row> {
    let make = adapter().source.unwrap().reader.unwrap();
    let mut reader = make(&agent.config()).unwrap();
    let reading = Reading {
        owner: ResourceName::new("crm").unwrap(),
        stream: StreamName::new(stream).unwrap(),
        schema: schema.clone(),
        rows,
    };
    let (output, mut batches) = BatchOutput::channel(2);
    let reading = tokio::spawn(async move { reader.read(&reading, output).await });
    let mut found = Vec::new();
    while let Some(batch) = batches.recv().await {
        found.extend(cell::rows(&batch).unwrap());
    }
    reading.await.unwrap().unwrap();
    found
}

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, paid REAL, photo BLOB, active BOOLEAN);
    INSERT INTO people VALUES (1, 'Ada', 1.5, x'00ff', 1), (2, NULL, NULL, NULL, 0), (30, 'Zoë', -0.25, x'', NULL);";

#[tokio::test]
async fn a_table_reads_as_it_was_copied_whatever_the_size_of_a_piece() {
    for rows in [1, 2, 1_000] {
        let mut agent = Agent::new(PEOPLE, json!({ "batch": { "rows": rows } }));
        let mut run = agent.start();
        agent.receive_all(&mut run).await;
        let (schema, copied) = emitted(&agent, "crm.people");
        assert_eq!(copied.len(), 3);
        assert_eq!(read(&agent, "crm.people", &schema, WhichRows::All).await, copied);
    }
}

#[tokio::test]
async fn rows_are_found_by_their_keys_and_those_that_are_not_there_are_passed_over() {
    let mut agent = Agent::new(PEOPLE, json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let (schema, copied) = emitted(&agent, "crm.people");
    let keys = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
    let ids: Arc<dyn Array> = Arc::new(Int64Array::from(vec![30, 7, 1]));
    let keys = RecordBatch::try_new(Arc::new(keys), vec![ids]).unwrap();
    let found = read(&agent, "crm.people", &schema, WhichRows::Keys(keys)).await;
    assert_eq!(found, [copied[2].clone(), copied[0].clone()]);
}

#[tokio::test]
async fn a_key_of_several_columns_is_found_whatever_kind_its_values_are_stored_as() {
    let sql = "CREATE TABLE odd (a, b TEXT, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
        INSERT INTO odd VALUES (5, 'x', 1), ('5', 'y', 2), (x'05', 'z', 3), (1.5, 'w', 4), ('six', '', 5);";
    let mut agent = Agent::new(sql, json!({ "text_columns": ["odd.*"] }));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let (schema, copied) = emitted(&agent, "crm.odd");
    assert_eq!(copied.len(), 5);
    let texts = |values: [&str; 5]| -> Arc<dyn Array> { Arc::new(StringArray::from(values.to_vec())) };
    let fields = ["a", "b"].map(|name| Field::new(name, DataType::Utf8, false));
    let keys = vec![texts(["5", "5", "x'05'", "1.5", "six"]), texts(["x", "y", "z", "w", ""])];
    let keys = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), keys).unwrap();
    let mut found = read(&agent, "crm.odd", &schema, WhichRows::Keys(keys)).await;
    let mut copied = copied;
    found.sort_by_key(|row| format!("{row:?}"));
    copied.sort_by_key(|row| format!("{row:?}"));
    assert_eq!(found, copied);
}

async fn findings(agent: &Agent) -> Vec<Finding> {
    let check = adapter().source.unwrap().check.unwrap();
    check(&ResourceName::new("crm").unwrap(), &agent.config()).await.unwrap()
}

fn verdict(findings: &[Finding], subject: &str) -> (Verdict, String) {
    let found = findings.iter().find(|finding| finding.subject == subject);
    let found = found.unwrap_or_else(|| panic!("nothing is said of {subject}: {findings:?}"));
    (found.verdict, found.found.clone())
}

#[tokio::test]
async fn a_check_names_what_costs_and_what_keeps_the_source_from_working() {
    let sql =
        "PRAGMA journal_mode = wal; CREATE TABLE good (id INTEGER PRIMARY KEY); CREATE TABLE loose (x);";
    let mut agent = Agent::new(sql, json!({}));
    let found = findings(&agent).await;
    assert_eq!(verdict(&found, "journal_mode").0, Verdict::Good);
    assert_eq!(verdict(&found, "table \"good\""), (Verdict::Good, "1 columns, told apart by id".to_owned()));
    assert_eq!(verdict(&found, "table \"loose\"").0, Verdict::Warning);
    agent.configure(json!({ "capture": "polling", "watermark": "changed_at" }));
    let found = findings(&agent).await;
    assert!(verdict(&found, "table \"good\"").1.contains("changed_at"), "{found:?}");
    assert_eq!(verdict(&found, "table \"good\"").0, Verdict::Failed);
    std::fs::remove_file(agent.path()).unwrap();
    assert_eq!(verdict(&findings(&agent).await, "file").0, Verdict::Failed);
}

#[tokio::test]
async fn a_check_leaves_no_trace_in_the_database() {
    let agent = Agent::new("CREATE TABLE good (id INTEGER PRIMARY KEY)", json!({}));
    let before = std::fs::read(agent.path()).unwrap();
    findings(&agent).await;
    assert_eq!(std::fs::read(agent.path()).unwrap(), before);
}
