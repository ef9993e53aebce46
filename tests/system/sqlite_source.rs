//! A SQLite database is followed into another one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_until;

const TABLES: &str = "PRAGMA journal_mode = wal;
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, balance REAL, picture BLOB);
    CREATE TABLE prices (item TEXT NOT NULL PRIMARY KEY, price REAL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO customers SELECT i, 'customer ' || i, i / 7.0, randomblob(i % 50) FROM n;";

/// What is compared: a query at the source and the same at the sink.
const QUERIES: [(&str, &str); 2] = [
    (
        "SELECT id, name, balance, picture FROM customers ORDER BY id",
        "SELECT id, name, balance, picture FROM erp_customers ORDER BY id",
    ),
    ("SELECT item, price FROM prices ORDER BY item", "SELECT item, price FROM erp_prices ORDER BY item"),
];

fn rows(path: &Path, query: &str) -> Result<Vec<Vec<Value>>> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    database.busy_timeout(PATIENCE)?;
    let mut statement = database.prepare(query)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|i| row.get(i)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes as a small application does until it is told to stop.
fn write(path: &Path, enough: &AtomicBool) -> Result<()> {
    let database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    let mut rng = Rng::with_seed(45);
    while !enough.load(Ordering::Relaxed) {
        let (id, other, n) = (rng.u32(1..4_000), rng.u32(1..4_000), rng.u16(..));
        database.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             INSERT OR IGNORE INTO customers VALUES ({id}, 'new {n}', {n}, x'{n:04x}');
             UPDATE OR IGNORE customers SET name = 'changed {n}' WHERE id = {other};
             UPDATE OR IGNORE customers SET id = {other} WHERE id = {};
             DELETE FROM customers WHERE id = {};
             INSERT OR REPLACE INTO prices VALUES ('item {}', {n});
             COMMIT;",
            id + 1,
            other + 1,
            n % 40,
        ))?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_copied_and_followed_while_every_process_is_killed() -> Result<()> {
    let mut fleet = Fleet::start(Plan::default()).await?;
    let (source, sink) = (fleet.join("erp.db"), fleet.join("copy.db"));
    Connection::open(&source)?.execute_batch(TABLES)?;
    let from = json!({ "path": source, "poll": "20ms", "batch": { "rows": 100 } });
    let documents = Documents::new()
        .with(
            "Source",
            "erp",
            &json!({
                "agent": PLANT, "adapter": "sqlite", "config": from, "capture": { "linger": "5ms" },
            }),
        )
        .with("Sink", "copy", &json!({ "agent": CLOUD, "adapter": "sqlite", "config": { "path": sink } }))
        .with_route("to-copy", "copy");
    fleet.apply(&documents).await?;
    let enough = Arc::new(AtomicBool::new(false));
    let application = std::thread::spawn({
        let (source, enough) = (source.clone(), enough.clone());
        move || write(&source, &enough)
    });
    for victim in [PLANT, "control", CLOUD, PLANT, "control"] {
        tokio::time::sleep(Duration::from_millis(400)).await;
        match victim {
            "control" => {
                fleet.control.kill()?;
                fleet.control.restart()?;
            }
            agent => {
                fleet.agent(agent).kill()?;
                fleet.agent(agent).start()?;
            }
        }
    }
    enough.store(true, Ordering::Relaxed);
    application.join().expect("the application does not panic")?;
    wait_until("the copy is equal", PATIENCE, async || {
        let is_equal = |(here, there): &(&str, &str)| {
            rows(&sink, there).is_ok_and(|copied| rows(&source, here).is_ok_and(|rows| rows == copied))
        };
        Ok(QUERIES.iter().all(is_equal).then_some(()))
    })
    .await
    .with_context(|| fleet.post_mortem())?;
    wait_until("what was delivered is deleted at the source", PATIENCE, async || {
        let kept = rows(&source, "SELECT count(*) FROM _towpath_erp_changes")?;
        Ok((kept == [[Value::Integer(0)]]).then_some(()))
    })
    .await
    .with_context(|| fleet.post_mortem())
}
