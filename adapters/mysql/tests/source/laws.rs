//! The laws that hold for every source, of the copy and of the changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use serde_json::{Value, json};
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_adapter_conformance::{SourceSubject, SourceSystem, source_suite};

use crate::harness::{Database, server};

const CONTENT: &str = "CREATE TABLE orders (id varchar(20) PRIMARY KEY, note text);
    CREATE TABLE `lines` (a int, b int, note text, PRIMARY KEY (b, a));
    INSERT INTO orders VALUES ('a', 'x'), ('B', 'tab\\there'), ('c''s', '\\\\N'), ('d', NULL);
    BEGIN;
    INSERT INTO `lines` SELECT seq % 3, seq, concat('line ', seq) FROM seq_1_to_5;
    INSERT INTO orders VALUES ('e', 'z');
    COMMIT;
    UPDATE orders SET note = 'y' WHERE id = 'a';
    DELETE FROM orders WHERE id = 'd';
    UPDATE `lines` SET a = 9 WHERE b = 2;
    TRUNCATE TABLE orders;
    INSERT INTO orders VALUES ('f', 'x'), ('g', 'x'), ('h', 'x');
    UPDATE orders SET note = 'w';\n";

/// Databases of which the content is found by the copy, or comes as changes.
struct Databases {
    server: Arc<MariaDbServer>,
    next: AtomicUsize,
    config: Value,
}

struct System {
    database: Database,
    config: Value,
}

#[async_trait]
impl SourceSubject for Databases {
    async fn fresh(&self) -> Result<Box<dyn SourceSystem>> {
        // Streams are named after their tables alone, and so are the same in each database.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let database = Database::new(&self.server, &format!("suite_{number}"), CONTENT).await?;
        Ok(Box::new(System { database, config: self.config.clone() }))
    }
}

#[async_trait]
impl SourceSystem for System {
    fn config(&self) -> Value {
        self.database.config(&self.config)
    }

    async fn state(&self) -> Result<String> {
        let rows = self.database.texts("SELECT concat_ws(',', id, note) FROM orders ORDER BY id").await?;
        let files = self.database.texts("SELECT count(*) FROM information_schema.TABLES").await?;
        Ok([rows, files].concat().join("\n"))
    }

    fn quiet_after(&self) -> Duration {
        Duration::from_millis(700)
    }
}

async fn suite(config: Value) -> Result<()> {
    let databases = Databases { server: server()?, next: AtomicUsize::new(0), config };
    source_suite(towpath_adapter_mysql::adapter().source.unwrap(), &databases, &[]).await
}

#[tokio::test]
async fn the_laws_of_sources_hold_of_the_copy() -> Result<()> {
    suite(json!({ "batch_rows": 3, "stream": "{table}" })).await
}

#[tokio::test]
async fn the_laws_of_sources_hold_of_a_copy_in_short_ranges_that_lock() -> Result<()> {
    suite(json!({ "batch_rows": 2, "range_rows": 2, "stream": "{table}", "copy_reads": "locking" })).await
}

#[tokio::test]
async fn the_laws_of_sources_hold_of_the_changes() -> Result<()> {
    suite(json!({ "batch_rows": 3, "stream": "{table}", "snapshot": "never", "begin": "oldest" })).await
}
