//! A PostgreSQL server as the source, for a PostgreSQL and a SQLite sink.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_until;

const PASSWORD_VARIABLE: &str = "TOWPATH_TEST_PASSWORD";
const SETTINGS: &[&str] = &["wal_level=logical", "logical_decoding_work_mem=64kB"];
const TABLES: &str = "CREATE TABLE orders (id int PRIMARY KEY, n int, note text);
    INSERT INTO orders SELECT i, 0, 'first' FROM generate_series(1, 3000) i; CREATE DATABASE copy";

async fn connect(server: &PostgresServer, database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn config(server: &PostgresServer, database: &str, extra: &Value) -> Value {
    let mut config = json!({
        "host": "127.0.0.1", "port": server.port(), "database": database, "user": "towpath",
        "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" },
    });
    config.as_object_mut().expect("it is an object").extend(extra.as_object().cloned().unwrap_or_default());
    config
}

/// Transactions of all kinds, one of them large enough to be sent before its commit.
async fn write(client: &Client, round: i32) -> Result<()> {
    let (new, last) = (round * 10_000, round * 10_000 + 2_000);
    let sql = format!(
        "INSERT INTO orders SELECT i, {round}, repeat(md5(i::text), 20) FROM generate_series({new}, {last}) i;
         UPDATE orders SET n = n + 1 WHERE id % 7 = {round};
         BEGIN; DELETE FROM orders WHERE id % 11 = {round}; SAVEPOINT s; DELETE FROM orders; ROLLBACK TO s; COMMIT;
         BEGIN; UPDATE orders SET note = 'never'; ROLLBACK;
         UPDATE orders SET id = -id WHERE id % 13 = {round} AND id > 0;"
    );
    Ok(client.batch_execute(&sql).await?)
}

type Orders = BTreeMap<i32, (i32, String)>;

async fn orders(client: &Client, table: &str) -> Orders {
    let rows = client.query(&format!("SELECT id, n, note FROM {table}"), &[]).await.unwrap_or_default();
    rows.into_iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

fn orders_in_sqlite(path: &Path) -> Result<Orders> {
    let database = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(Duration::from_secs(5))?;
    let mut rows = database.prepare("SELECT id, n, note FROM erp_orders")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_arrive_whole_in_both_databases_though_every_process_is_killed() -> Result<()> {
    let server = PostgresServer::start_with(SETTINGS, &[])?;
    let client = connect(&server, "postgres").await?;
    for statement in TABLES.split(';') {
        client.batch_execute(statement).await?;
    }
    let agent_environment = vec![(PASSWORD_VARIABLE.to_owned(), "towpath".to_owned())];
    let mut fleet = Fleet::start(Plan { agent_environment, ..Plan::default() }).await?;
    let database = fleet.join("erp.db");
    let source = config(&server, "postgres", &json!({ "stream": "erp.{table}", "batch_rows": 100 }));
    let documents = Documents::new()
        .with("Source", "erp", &json!({ "agent": PLANT, "adapter": "postgres", "config": source }))
        .with(
            "Sink",
            "warehouse",
            &json!({ "agent": CLOUD, "adapter": "postgres", "config": config(&server, "copy", &json!({})) }),
        )
        .with(
            "Sink",
            "local",
            &json!({ "agent": CLOUD, "adapter": "sqlite", "config": { "path": database } }),
        )
        .with_route("to-warehouse", "warehouse")
        .with_route("to-local", "local");
    fleet.apply(&documents).await?;
    for round in 1..=4 {
        write(&client, round).await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        match round {
            1 | 3 => {
                fleet.agent(PLANT).kill()?;
                fleet.agent(PLANT).start()?;
            }
            2 => {
                fleet.control.kill()?;
                fleet.control.restart()?;
            }
            _ => {
                fleet.agent(CLOUD).kill()?;
                fleet.agent(CLOUD).start()?;
            }
        }
    }
    write(&client, 5).await?;
    let expected = orders(&client, "orders").await;
    ensure!(expected.len() > 5_000, "{} orders show little", expected.len());
    let copy = connect(&server, "copy").await?;
    let arrived = wait_until("both databases have the same orders", PATIENCE, async || {
        let same = orders(&copy, "erp_orders").await == expected;
        Ok((same && orders_in_sqlite(&database).is_ok_and(|orders| orders == expected)).then_some(()))
    });
    arrived.await.with_context(|| fleet.post_mortem())
}
