//! Values arrive exactly, or not at all and with a reason.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde_json::json;
use towpath_adapter_api::Rows;
use towpath_record::Op;

use crate::harness::{Agent, row};

#[tokio::test]
async fn every_storage_class_survives_copy_and_change() {
    let sql =
        "CREATE TABLE v (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, f BOOLEAN, d DATETIME);";
    let mut agent = Agent::new(sql, json!({}));
    let blob: Vec<u8> = (0..=255).collect();
    let insert = |agent: &Agent| {
        let application = agent.connect();
        let sql = "INSERT INTO v (i, r, t, b, f, d) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut statement = application.prepare(sql).unwrap();
        statement.execute((i64::MIN, f64::NEG_INFINITY, "nul \0 and ß", &blob, true, "2026-01-31")).unwrap();
        statement.execute((i64::MAX, 5e-324, "", Vec::<u8>::new(), false, 1_700_000_000)).unwrap();
        statement.execute((None::<i64>, None::<f64>, 12, None::<i64>, None::<i64>, 0.1)).unwrap();
    };
    insert(&agent);
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    insert(&agent);
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.letters(), []);
    let mut rows = 0;
    for emission in &agent.durable {
        let Rows::Records { batch, .. } = &emission.rows else { continue };
        let ints = batch.column(4).as_primitive::<Int64Type>();
        assert_eq!(ints.iter().collect::<Vec<_>>(), [Some(i64::MIN), Some(i64::MAX), None]);
        let reals = batch.column(5).as_primitive::<Float64Type>();
        assert_eq!(reals.iter().collect::<Vec<_>>(), [Some(f64::NEG_INFINITY), Some(5e-324), None]);
        let texts = batch.column(6).as_string::<i32>();
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("nul \0 and ß"), Some(""), Some("12")]);
        let blobs = batch.column(7).as_binary::<i32>();
        assert_eq!(blobs.iter().collect::<Vec<_>>(), [Some(&*blob), Some(&[][..]), None]);
        let flags = batch.column(8).as_boolean();
        assert_eq!(flags.iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
        let dates = batch.column(9).as_string::<i32>();
        assert_eq!(dates.iter().collect::<Vec<_>>(), [Some("2026-01-31"), Some("1700000000"), Some("0.1")]);
        rows += batch.num_rows();
    }
    assert_eq!(rows, 6);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_a_dead_letter_and_its_neighbours_arrive() {
    let sql = "CREATE TABLE v (id INTEGER PRIMARY KEY, n INTEGER, t TEXT);
         INSERT INTO v VALUES (1, 1, 'a'), (2, 'two', 'b'), (3, 3, 'c');";
    let mut agent = Agent::new(sql, json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let application = agent.connect();
    let not_utf8 = ToSqlOutput::Borrowed(ValueRef::Text(b"\xff\xfe"));
    application.execute("INSERT INTO v VALUES (4, 4, ?1)", [not_utf8]).unwrap();
    application.execute_batch("INSERT INTO v VALUES (5, 5, 'e'); UPDATE v SET n = 2 WHERE id = 2;").unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let letters = agent.letters();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0].column.as_deref(), Some("n"));
    assert!(letters[0].resource.starts_with("table \"v\" of "), "{}", letters[0].resource);
    assert!(
        letters[0].reason.contains("a text does not fit a column of type int64"),
        "{}",
        letters[0].reason
    );
    assert_eq!(String::from_utf8_lossy(&letters[0].raw), "read: id=2 n='two' t='b'");
    assert!(String::from_utf8_lossy(&letters[1].raw).contains("x'fffe'"), "{letters:?}");
    let rows: Vec<_> = agent.replica().stream("crm.v").into_values().collect();
    let expected = [row(["1", "1", "a"]), row(["2", "2", "b"]), row(["3", "3", "c"]), row(["5", "5", "e"])];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_column_of_mixed_values_is_read_as_text_if_told() {
    let sql = "CREATE TABLE v (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO v VALUES (1, 1), (2, 'two'), (3, x'0a');";
    let mut agent = Agent::new(sql, json!({ "text_columns": ["v.n"] }));
    agent.run().await;
    let rows: Vec<_> = agent.replica().stream("crm.v").into_values().collect();
    assert_eq!(rows, [row(["1", "1"]), row(["2", "two"]), row(["3", "x'0a'"])]);
    assert_eq!(agent.letters(), []);
}

#[tokio::test]
async fn a_row_that_is_too_large_is_a_dead_letter_and_its_delete_arrives() {
    let sql = "CREATE TABLE v (id INTEGER PRIMARY KEY, b BLOB); INSERT INTO v VALUES (1, x''), (2, zeroblob(30000000));";
    let mut agent = Agent::new(sql, json!({ "before": true }));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let from = agent.durable.len();
    agent
        .connect()
        .execute_batch("UPDATE v SET b = zeroblob(20000000); DELETE FROM v WHERE id = 1;")
        .unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let letters = agent.letters();
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(letters.iter().all(|it| it.raw_truncated && it.reason.contains("8388608")), "{letters:?}");
    assert_eq!(agent.events("crm.v", from), [(Op::Delete, vec![Some("1".into()), None, None])]);
}

#[tokio::test]
async fn a_key_that_is_null_is_a_dead_letter() {
    let sql = "CREATE TABLE v (word TEXT PRIMARY KEY); INSERT INTO v VALUES ('a'), (NULL), ('b');";
    let mut agent = Agent::new(sql, json!({}));
    agent.run().await;
    assert!(agent.letters()[0].reason.contains("NOT NULL"));
    assert_eq!(agent.replica().stream("crm.v").len(), 2);
}
