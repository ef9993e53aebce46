//! The laws that hold for every source, of the copy and of the changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use serde_json::{Value, json};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_adapter_conformance::{SourceSubject, SourceSystem, source_suite};

use crate::harness::{Database, server};

const TABLES: &str = "CREATE TABLE orders (id text COLLATE \"C\" PRIMARY KEY, note text);
    CREATE TABLE lines (a int, b int, note text, PRIMARY KEY (b, a));
    CREATE PUBLICATION towpath FOR TABLE orders, lines;";
const CONTENT: &str =
    "INSERT INTO orders VALUES ('a', 'x'), ('B', e'tab\\there'), ('c''s', '\\N'), ('d', NULL);
    BEGIN; INSERT INTO lines SELECT i % 3, i, 'line ' || i FROM generate_series(1, 5) i;
    INSERT INTO orders VALUES ('e', 'z'); COMMIT;
    UPDATE orders SET note = 'y' WHERE id = 'a'; DELETE FROM orders WHERE id = 'd';
    UPDATE lines SET a = 9 WHERE b = 2;";

/// Databases of which the content is found by the copy, or comes as changes.
struct Databases {
    server: Arc<PostgresServer>,
    next: AtomicUsize,
    snapshot: &'static str,
}

struct System {
    database: Database,
    snapshot: &'static str,
}

#[async_trait]
impl SourceSubject for Databases {
    async fn fresh(&self) -> Result<Box<dyn SourceSystem>> {
        let name = format!("suite_{}_{}", self.snapshot, self.next.fetch_add(1, Ordering::Relaxed));
        let database = Database::new(&self.server, &name, TABLES).await?;
        let slot = format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')");
        database.client.batch_execute(&slot).await?;
        database.client.batch_execute(CONTENT).await?;
        Ok(Box::new(System { database, snapshot: self.snapshot }))
    }
}

#[async_trait]
impl SourceSystem for System {
    fn config(&self) -> Value {
        self.database.config(&json!({ "publication": "towpath", "snapshot": self.snapshot, "batch_rows": 3 }))
    }

    async fn state(&self) -> Result<String> {
        // The server acts on what it is told a moment later.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let slot =
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = current_database()";
        let rows = "SELECT string_agg(o::text, ',' ORDER BY id) FROM orders o";
        Ok([self.database.texts(slot).await?, self.database.texts(rows).await?].concat().join("\n"))
    }

    fn quiet_after(&self) -> Duration {
        Duration::from_millis(800)
    }
}

#[tokio::test]
async fn the_laws_of_sources_hold_of_the_copy() -> Result<()> {
    let databases = Databases { server: server()?, next: AtomicUsize::new(0), snapshot: "initial" };
    source_suite(towpath_adapter_postgres::adapter().source.unwrap(), &databases, &[]).await
}

#[tokio::test]
async fn the_laws_of_sources_hold_of_the_changes() -> Result<()> {
    let databases = Databases { server: server()?, next: AtomicUsize::new(0), snapshot: "never" };
    source_suite(towpath_adapter_postgres::adapter().source.unwrap(), &databases, &[]).await
}
