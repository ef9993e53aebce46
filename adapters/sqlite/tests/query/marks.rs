//! What is read once, what is read again, and what is refused.

use serde_json::json;
use towpath_adapter_api::ErrorKind;

use crate::harness::{Agent, orders};

const ORDERS: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, seen INTEGER);";

#[tokio::test]
async fn what_rises_is_read_and_what_stays_is_not() {
    let rows = "INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', NULL);";
    let mut agent = Agent::new(&format!("{ORDERS}{rows}"), orders(json!({})));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    assert_eq!(agent.shown(0), ["read: 1 | a | 1", "read: 2 | b | 2"]);
    let from = agent.durable.len();
    // A new row with the highest mark, below the key that was read; one that rises; one that changes silently.
    agent.sql("INSERT INTO orders VALUES (0, 'z', 2); UPDATE orders SET item = 'A', seen = 3 WHERE id = 1;");
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.shown(from), ["read: 0 | z | 2", "read: 1 | A | 3"]);
    let from = agent.durable.len();
    agent.run().await;
    assert_eq!(agent.shown(from), [""; 0], "nothing comes again after a restart");
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_read_within_the_overlap_and_no_other_again() {
    let rows = "INSERT INTO orders VALUES (1, 'a', 10), (2, 'b', 18), (3, 'c', 20);";
    let mut agent = Agent::new(&format!("{ORDERS}{rows}"), orders(json!({ "overlap": 5 })));
    agent.run().await;
    let from = agent.durable.len();
    agent.sql("INSERT INTO orders VALUES (4, 'late', 16), (5, 'too late', 14); UPDATE orders SET item = 'B' WHERE id = 2;");
    agent.run().await;
    assert_eq!(agent.shown(from), ["read: 4 | late | 16", "read: 2 | B | 18"]);
    let from = agent.durable.len();
    agent.run().await;
    assert_eq!(agent.shown(from), [""; 0]);
}

#[tokio::test]
async fn more_rows_than_a_position_remembers_share_a_mark_and_are_read_once() {
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO orders SELECT i, 'x', 7 FROM n;";
    let mut agent = Agent::new(&format!("{ORDERS}{many}"), orders(json!({})));
    agent.configure(json!({ "batch": { "rows": 300 } }));
    let mut run = agent.start();
    for _ in 0..4 {
        assert!(agent.receive(&mut run).await);
    }
    run.stop().await.unwrap();
    agent.run().await;
    agent.sql("INSERT INTO orders VALUES (6000, 'y', 7), (6001, 'z', 8);");
    agent.run().await;
    agent.run().await;
    assert_eq!(agent.shown(0).len(), 5002);
    assert_eq!(agent.replica("erp.orders").len(), 5002);
}

#[tokio::test]
async fn rows_without_a_key_come_as_often_as_they_are_there() {
    let equal = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
        INSERT INTO orders SELECT NULL, 'x', 1 FROM n;";
    let settings = orders(json!({ "sql": "SELECT item, seen FROM orders", "key": [] }));
    let mut agent = Agent::new(&format!("{ORDERS}{equal}"), settings);
    agent.configure(json!({ "batch": { "rows": 7 } }));
    let mut run = agent.start();
    assert!(agent.receive(&mut run).await);
    run.stop().await.unwrap();
    agent.run().await;
    assert_eq!(agent.shown(0).len(), 50);
    agent.sql("INSERT INTO orders VALUES (NULL, 'x', 1), (NULL, 'x', 2);");
    agent.run().await;
    assert_eq!(agent.shown(0).len(), 52);
}

#[tokio::test]
async fn a_run_ends_at_its_most_rows_and_the_next_goes_on_there() {
    let rows = "INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 2), (5, 'e', 2);";
    let mut agent = Agent::new(&format!("{ORDERS}{rows}"), orders(json!({ "max_rows": 2, "overlap": 9 })));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let ids: Vec<String> = agent.shown(0).iter().map(|it| it[6..7].to_owned()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
    let sizes: Vec<_> =
        agent.durable.iter().map(|it| format!("{:?}", it.rows).matches("RecordBatch {").count()).collect();
    assert!(sizes.iter().filter(|size| **size == 1).count() >= 3, "three runs were needed: {sizes:?}");
}

#[tokio::test]
async fn what_cannot_be_a_record_is_a_dead_letter_once() {
    let rows = "INSERT INTO orders VALUES (1, 'a', 1), (2, x'ff', 2), (3, 'c', 3);
        CREATE VIEW v AS SELECT id, item, CASE id WHEN 3 THEN 9e999 ELSE seen END AS seen FROM orders;";
    let mut agent =
        Agent::new(&format!("{ORDERS}{rows}"), orders(json!({ "sql": "SELECT * FROM v", "overlap": 9 })));
    agent.run().await;
    agent.run().await;
    assert_eq!(agent.shown(0), ["read: 1 | a | 1"]);
    let letters = agent.letters();
    let reasons: Vec<_> = letters.iter().map(|it| (it.column.as_deref().unwrap(), &*it.reason)).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].0 == "item" && reasons[0].1.contains("a blob does not fit"), "{reasons:?}");
    assert!(reasons[1].0 == "seen", "{reasons:?}");
    assert!(letters[0].resource.contains("query erp.orders"), "{}", letters[0].resource);
    assert_eq!(letters[0].raw, b"id=2 item=x'ff' seen=2");
}

#[tokio::test]
async fn what_cannot_work_stops_the_source_with_a_remedy() {
    let mut agent = Agent::new(ORDERS, orders(json!({ "mark": "rowversion" })));
    let error = agent.run_to_failure().await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.to_string().contains("no column `rowversion`, its mark"), "{error}");
    let mut agent = Agent::new(
        &format!("{ORDERS} INSERT INTO orders VALUES (1, 'a', 1);"),
        orders(json!({ "overlap": "5m" })),
    );
    let error = agent.run_to_failure().await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.to_string().contains("`overlap`"), "{error}");
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_and_tried_again() {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, i AS seen, 1 AS item FROM n";
    let mut agent = Agent::new(ORDERS, orders(json!({ "sql": endless })));
    agent.configure(json!({ "timeout": "1s" }));
    let error = agent.run_to_failure().await;
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("`timeout`"), "{error}");
}
