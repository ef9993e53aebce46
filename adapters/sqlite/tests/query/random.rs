//! A random writer, and a source that is killed at any point.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::{Agent, orders};

const SEEDS: std::ops::Range<u64> = 0..6;

#[tokio::test]
async fn everything_that_rises_and_everything_that_goes_arrives_wherever_the_source_is_killed() {
    let seeds = std::env::var("TOWPATH_SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in seeds.map_or(SEEDS, |seed| seed..seed + 1) {
        write_and_kill(seed).await;
    }
}

async fn write_and_kill(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let overlap = random.u32(0..6);
    let mut query = json!({ "deletes": {} });
    if overlap > 0 {
        query["overlap"] = json!(overlap);
    }
    if random.bool() {
        query["max_rows"] = json!(random.u32(3..20));
    }
    let sql = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, seen INTEGER);";
    let mut agent = Agent::new(sql, orders(query));
    agent.configure(json!({ "batch": { "rows": random.usize(1..9) } }));
    let mut mark = 100;
    for _ in 0..12 {
        for _ in 0..random.usize(..25) {
            let id = random.u32(..60);
            mark += i64::from(random.u8(..3) == 0);
            // Late, but within the overlap of what can have been read.
            let late = mark - i64::from(random.u32(..=overlap));
            match random.u8(..4) {
                0 => agent.sql(&format!("DELETE FROM orders WHERE id = {id}")),
                _ => agent.sql(&format!("REPLACE INTO orders VALUES ({id}, 'v{}', {late})", random.u16(..))),
            }
        }
        let mut run = agent.start();
        for _ in 0..random.usize(..6) {
            agent.receive(&mut run).await;
        }
        run.stop().await.unwrap();
    }
    agent.run().await;
    agent.run().await;
    let database = agent.connect();
    let mut statement = database.prepare("SELECT id, item, seen FROM orders").unwrap();
    let text = |row: &rusqlite::Row<'_>, at| row.get::<_, rusqlite::types::Value>(at).map(shown);
    let rows =
        statement.query_map([], |row| Ok((text(row, 0)?, vec![text(row, 0)?, text(row, 1)?, text(row, 2)?])));
    let expected: BTreeMap<_, _> =
        rows.unwrap().map(Result::unwrap).map(|(key, row)| (key.unwrap(), row)).collect();
    assert_eq!(agent.replica("erp.orders"), expected, "seed {seed}");
}

fn shown(value: rusqlite::types::Value) -> Option<String> {
    match value {
        rusqlite::types::Value::Null => None,
        rusqlite::types::Value::Integer(value) => Some(value.to_string()),
        rusqlite::types::Value::Text(text) => Some(text),
        other => panic!("{other:?}"),
    }
}
