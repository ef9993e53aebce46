//! Polling a database that may not be written.

use serde_json::json;
use towpath_adapter_api::ErrorKind;
use towpath_record::Op;

use crate::harness::{Agent, row};

fn polling(settings: serde_json::Value) -> serde_json::Value {
    let mut config = json!({ "capture": "polling", "watermark": "seen", "batch": { "rows": 3 } });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    config
}

const NOTES: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT, seen INTEGER);";

#[tokio::test]
async fn rows_that_share_a_watermark_are_neither_lost_nor_doubled() {
    let rows = "INSERT INTO notes VALUES (5, 'e', 1), (6, 'f', 1), (7, 'g', 2);";
    let mut agent = Agent::new(&format!("{NOTES}{rows}"), polling(json!({})));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    // Later rows with the highest watermark, on both sides of the one that was read.
    agent.connect().execute_batch("INSERT INTO notes VALUES (3, 'c', 2), (9, 'i', 2);").unwrap();
    agent.receive_all(&mut run).await;
    agent.connect().execute_batch("UPDATE notes SET note = 'G' WHERE id = 7;").unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    agent.connect().execute_batch("INSERT INTO notes VALUES (1, 'a', 2);").unwrap();
    agent.run().await;
    let read = ["5 e 1", "6 f 1", "7 g 2", "3 c 2", "9 i 2", "7 G 2", "1 a 2"];
    let expected: Vec<_> = read
        .map(|it| (Op::Read, it.split(' ').map(|cell| Some(cell.to_owned())).collect::<Vec<_>>()))
        .to_vec();
    assert_eq!(agent.events("crm.notes", 0), expected);
}

#[tokio::test]
async fn more_rows_than_can_be_remembered_share_a_watermark_and_are_read_once() {
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO notes SELECT i, 'x', 1 FROM n;";
    let settings = polling(json!({ "batch": { "rows": 150 } }));
    let mut agent = Agent::new(&format!("{NOTES}{many}"), settings);
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    agent.durable.truncate(9);
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    agent.connect().execute_batch("INSERT INTO notes VALUES (3000, 'y', 1), (3001, 'z', 2);").unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let replica = agent.replica();
    assert_eq!(replica.surprises, [""; 0]);
    assert_eq!(replica.stream("crm.notes").len(), 2002);
}

#[tokio::test]
async fn nothing_is_written_and_a_value_that_does_not_fit_is_a_dead_letter() {
    let rows =
        "INSERT INTO notes VALUES (1, 'a', 1), (2, x'ff', 2), (3, x'fe', 2), (4, 'd', NULL), (5, 'e', 3);";
    let mut agent = Agent::new(&format!("{NOTES}{rows}"), polling(json!({})));
    let before = std::fs::read(agent.path()).unwrap();
    agent.run().await;
    assert_eq!(agent.letters().len(), 2);
    let read: Vec<_> = agent.events("crm.notes", 0).into_iter().map(|(_, row)| row).collect();
    assert_eq!(read, [row(["1", "a", "1"]), row(["5", "e", "3"])]);
    assert_eq!(agent.installed(), [""; 0]);
    assert_eq!(std::fs::read(agent.path()).unwrap(), before);
}

#[tokio::test]
async fn a_table_without_the_watermark_is_refused_by_name() {
    let mut agent = Agent::new("CREATE TABLE other (id INTEGER PRIMARY KEY);", polling(json!({})));
    let error = agent.run_to_failure().await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.to_string().contains("\"other\"") && error.to_string().contains("`seen`"), "{error}");
}

#[tokio::test]
async fn another_file_in_the_place_of_the_database_is_read_only_if_told() {
    let mut agent = Agent::new(&format!("{NOTES} INSERT INTO notes VALUES (1, 'a', 9);"), polling(json!({})));
    agent.run().await;
    let other = agent.path().with_extension("other");
    let sql = format!("{NOTES} INSERT INTO notes VALUES (2, 'b', 1);");
    crate::harness::connect(&other).execute_batch(&sql).unwrap();
    std::fs::rename(&other, agent.path()).unwrap();
    assert_eq!(agent.run_to_failure().await.kind, ErrorKind::PositionLost);
    agent.configure(json!({ "on_replaced": "copy_again" }));
    agent.run().await;
    let notes: Vec<_> = agent.replica().stream("crm.notes").into_values().collect();
    assert_eq!(notes, [row(["2", "b", "1"])]);
}
