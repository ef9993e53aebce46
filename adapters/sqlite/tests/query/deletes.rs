//! Rows that are gone.

use std::sync::Arc;

use serde_json::json;

use crate::clock::SetClock;
use crate::harness::{Agent, merge, orders};

const ORDERS: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, seen INTEGER);
    INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4);";

#[tokio::test]
async fn a_row_that_is_gone_is_deleted_once_also_over_a_restart() {
    let mut agent = Agent::new(ORDERS, orders(json!({ "deletes": {} })));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let from = agent.durable.len();
    agent.sql("DELETE FROM orders WHERE id IN (2, 4); INSERT INTO orders VALUES (5, 'e', 5);");
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let mut shown = agent.shown(from);
    shown.sort();
    assert_eq!(shown, ["delete: 2 | - | -", "delete: 4 | - | -", "read: 5 | e | 5"]);
    let from = agent.durable.len();
    agent.run().await;
    assert_eq!(agent.shown(from), [""; 0]);
    agent.sql("INSERT INTO orders VALUES (2, 'again', 6); DELETE FROM orders WHERE id = 1;");
    agent.run().await;
    assert_eq!(agent.shown(from).len(), 2);
    assert_eq!(agent.replica("erp.orders").into_keys().collect::<Vec<_>>(), ["2", "3", "5"]);
}

#[tokio::test]
async fn a_delete_that_did_not_become_durable_comes_again() {
    let mut agent = Agent::new(ORDERS, orders(json!({ "deletes": {} })));
    agent.configure(json!({ "batch": { "rows": 1 } }));
    agent.run().await;
    agent.sql("DELETE FROM orders WHERE id < 4;");
    let mut run = agent.start();
    assert!(agent.receive(&mut run).await);
    run.stop().await.unwrap();
    assert_eq!(agent.replica("erp.orders").len(), 3, "one of three deletes is durable");
    agent.run().await;
    assert_eq!(agent.replica("erp.orders").into_keys().collect::<Vec<_>>(), ["4"]);
}

#[tokio::test]
async fn keys_that_a_lost_cache_knew_are_learned_again_by_filling_the_stream_anew() {
    let mut agent = Agent::new(ORDERS, orders(json!({ "deletes": {} })));
    agent.run().await;
    agent.cache = Arc::default();
    agent.sql("DELETE FROM orders WHERE id = 3;");
    let from = agent.durable.len();
    agent.run().await;
    assert!(agent.shown(from)[0].starts_with("truncate"), "{:?}", agent.shown(from));
    assert_eq!(agent.replica("erp.orders").into_keys().collect::<Vec<_>>(), ["1", "2", "4"]);
    let from = agent.durable.len();
    agent.run().await;
    assert_eq!(agent.shown(from), [""; 0]);
}

#[tokio::test]
async fn deletes_that_are_asked_for_later_begin_with_the_stream_anew() {
    let mut agent = Agent::new(ORDERS, orders(json!({})));
    agent.run().await;
    agent.sql("DELETE FROM orders WHERE id = 1;");
    agent.configure(orders(json!({ "deletes": {} })));
    agent.run().await;
    assert_eq!(agent.replica("erp.orders").into_keys().collect::<Vec<_>>(), ["2", "3", "4"]);
}

#[tokio::test]
async fn keys_are_compared_on_a_schedule_and_by_a_query_of_their_own() {
    let deletes = json!({ "sql": "SELECT id FROM orders", "schedule": { "cron": "0 * * * *" } });
    let sql = "SELECT id, upper(item) AS item, seen FROM orders";
    let mut settings = orders(json!({ "deletes": deletes, "sql": sql }));
    merge(&mut settings, json!({ "schedule": { "every": "1m" } }));
    let mut agent = Agent::new(ORDERS, settings);
    let clock = Arc::new(SetClock::at("2026-01-01T00:00:30Z"));
    agent.clock = Some(clock.clone());
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    agent.sql("DELETE FROM orders WHERE id = 1;");
    clock.set("2026-01-01T00:59:30Z");
    agent.receive_all(&mut run).await;
    assert_eq!(agent.replica("erp.orders").len(), 4, "it is not yet time");
    clock.set("2026-01-01T01:00:30Z");
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.replica("erp.orders").len(), 3);
}

#[tokio::test]
async fn keys_of_another_type_delete_nothing() {
    let deletes = json!({ "sql": "SELECT CAST(id AS TEXT) || '' AS id FROM orders" });
    let mut agent = Agent::new(ORDERS, orders(json!({ "deletes": deletes })));
    let error = agent.run_to_failure().await;
    assert!(error.to_string().contains("deletes.sql"), "{error}");
    assert_eq!(agent.replica("erp.orders").len(), 4);
}

#[tokio::test]
async fn what_a_release_covers_leaves_the_cache() {
    let mut agent = Agent::new(ORDERS, orders(json!({ "deletes": {} })));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    // Enough notes for a new base.
    for id in 100..180 {
        agent.sql(&format!("INSERT INTO orders VALUES ({id}, 'x', {id});"));
        while !agent.replica("erp.orders").contains_key(&id.to_string()) {
            agent.receive(&mut run).await;
        }
    }
    agent.receive_all(&mut run).await;
    let entries = || {
        use towpath_adapter_api::Cache;
        agent.cache.scan(b"q", None, 1_000).unwrap().len()
    };
    assert!(entries() > 64, "nothing is removed before its release");
    run.release(&agent.position(), &[]).await.unwrap();
    assert!(entries() < 64, "{} entries are left", entries());
    agent.sql("DELETE FROM orders WHERE id >= 100;");
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    agent.run().await;
    assert_eq!(agent.replica("erp.orders").into_keys().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
}
