//! When queries run: on their schedule, once for all runs that were missed, and not before.

use std::sync::Arc;

use serde_json::json;

use crate::clock::SetClock;
use crate::harness::{Agent, merge, orders};

const ORDERS: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, seen INTEGER);
    INSERT INTO orders VALUES (1, 'a', 1);";

fn nightly(agent_settings: serde_json::Value) -> (Agent, Arc<SetClock>) {
    let mut settings = orders(json!({}));
    merge(&mut settings, json!({ "schedule": { "cron": "0 3 * * *", "zone": "Europe/Berlin" } }));
    merge(&mut settings, agent_settings);
    let mut agent = Agent::new(ORDERS, settings);
    let clock = Arc::new(SetClock::at("2026-03-27T12:00:00Z"));
    agent.clock = Some(clock.clone());
    (agent, clock)
}

fn insert(agent: &Agent, id: u32) {
    agent.sql(&format!("INSERT INTO orders VALUES ({id}, 'x', {id})"));
}

#[tokio::test]
async fn a_query_runs_when_it_is_due_and_not_before() {
    let (mut agent, clock) = nightly(json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    assert_eq!(agent.shown(0).len(), 1, "the first run comes at once");
    for (id, before, due) in [
        (2, "2026-03-28T01:59:59Z", "2026-03-28T02:00:00Z"),
        // Summer time began: three in the morning is an hour earlier in UTC.
        (3, "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
    ] {
        insert(&agent, id);
        clock.set(before);
        agent.receive_all(&mut run).await;
        assert_eq!(agent.shown(0).len(), id as usize - 1, "{before}");
        clock.set(due);
        agent.receive_all(&mut run).await;
        assert_eq!(agent.shown(0).len(), id as usize, "{due}");
    }
    run.stop().await.unwrap();
}

#[tokio::test]
async fn runs_that_were_missed_are_made_up_for_by_one() {
    let (mut agent, clock) = nightly(json!({}));
    agent.run().await;
    insert(&agent, 2);
    clock.set("2026-04-10T12:00:00Z");
    let mut run = agent.start();
    let before = agent.durable.len();
    agent.receive_all(&mut run).await;
    assert_eq!(agent.shown(0).len(), 2);
    let progress = agent.durable[before..].len();
    assert_eq!(progress, 2, "one run: its row, and that it ran");
    insert(&agent, 3);
    agent.receive_all(&mut run).await;
    assert_eq!(agent.shown(0).len(), 2, "the next one waits for its time");
    run.stop().await.unwrap();
    agent.run().await;
    assert_eq!(agent.shown(0).len(), 2, "a restart is no reason to run");
}

#[tokio::test]
async fn runs_that_were_missed_are_left_out_if_so_wished() {
    let (mut agent, clock) = nightly(json!({ "missed": "wait" }));
    agent.run().await;
    assert_eq!(agent.shown(0).len(), 0, "the first run waits for its time as well");
    clock.set("2026-04-10T12:00:00Z");
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    assert_eq!(agent.shown(0).len(), 0);
    clock.set("2026-04-11T01:00:00Z");
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.shown(0).len(), 1);
}

#[tokio::test]
async fn each_query_may_have_a_schedule_of_its_own() {
    let hourly = json!({
        "stream": "hourly", "sql": "SELECT id, item, seen FROM orders", "mark": "seen", "key": ["id"],
        "schedule": { "every": "1h" },
    });
    let (mut agent, clock) = nightly(json!({}));
    let mut settings = orders(json!({}));
    settings["queries"].as_array_mut().unwrap().push(hourly);
    agent.configure(json!({ "queries": settings["queries"] }));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    insert(&agent, 2);
    clock.set("2026-03-27T13:00:00Z");
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!((agent.replica("erp.orders").len(), agent.replica("hourly").len()), (1, 2));
}
