//! The laws that hold for every adapter.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{Registry, Verdict};
use towpath_adapter_conformance::{SourceSubject, SourceSystem, registry_suite, source_suite};
use towpath_adapter_sqlite::query_adapter;
use towpath_record::ResourceName;

use crate::harness::{Agent, orders};

const CONTENT: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL, seen INTEGER);
    INSERT INTO orders VALUES (1, 'a', 1.5, 1), (2, 'b', NULL, 1), (3, 'c', 'much', 1), (4, 'd', 4, 3), (9, 'e', 0, 4);
    CREATE TABLE parts (machine TEXT, no INTEGER, picture BLOB, seen TEXT);
    INSERT INTO parts VALUES ('x', 1, x'00ff', '2026-01-01 00:00:00'), ('x', 2, x'', '2026-01-01 00:00:01'),
        ('y', 1, NULL, '2026-01-01 00:00:01'), ('z', NULL, NULL, '2026-01-01 00:00:02');
    CREATE TABLE notes (note TEXT, seen INTEGER);
    INSERT INTO notes VALUES ('one', 1), ('one', 1), ('one', 1), ('two', 2), ('two', 2), ('three', 2);
";

struct Databases;

struct Database(TempDir);

#[async_trait]
impl SourceSubject for Databases {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SourceSystem>> {
        let database = Database(tempfile::tempdir()?);
        Connection::open(database.0.path().join("erp.db"))?.execute_batch(CONTENT)?;
        Ok(Box::new(database))
    }
}

#[async_trait]
impl SourceSystem for Database {
    fn config(&self) -> Value {
        json!({
            "connection": { "path": self.0.path().join("erp.db") },
            "schedule": { "every": "30ms" },
            "batch": { "rows": 2 },
            "queries": [
                { "stream": "orders", "sql": "SELECT * FROM orders", "mark": "seen", "key": ["id"], "overlap": 2,
                  "deletes": {} },
                { "stream": "parts", "sql": "SELECT * FROM parts -- all", "mark": "seen", "key": ["machine", "no"],
                  "overlap": "1s" },
                { "stream": "notes", "sql": "SELECT * FROM notes", "mark": "seen" },
            ],
        })
    }

    async fn state(&self) -> anyhow::Result<String> {
        Ok(format!("{:?}", std::fs::read(self.0.path().join("erp.db"))?))
    }

    fn quiet_after(&self) -> Duration {
        Duration::from_millis(800)
    }
}

#[tokio::test]
async fn the_laws_of_sources_hold() -> anyhow::Result<()> {
    source_suite(query_adapter().source.unwrap(), &Databases, &[]).await
}

#[tokio::test]
async fn the_laws_of_registration_hold() -> anyhow::Result<()> {
    registry_suite(&Registry::new(vec![query_adapter()]))
}

#[tokio::test]
async fn a_check_says_of_each_query_what_it_lacks() {
    let agent = Agent::new("CREATE TABLE orders (id INTEGER PRIMARY KEY, item, seen INTEGER);", json!({}));
    let mut config = orders(json!({}));
    let queries = config["queries"].as_array_mut().unwrap();
    queries.push(json!({ "stream": "b", "sql": "SELECT id FROM orders", "mark": "seen", "key": ["id"] }));
    queries.push(json!({ "stream": "c", "sql": "SELECT * FROM nowhere", "mark": "seen", "key": ["id"] }));
    queries.push(json!({ "stream": "d", "sql": "SELECT * FROM orders", "mark": "seen" }));
    config["connection"] = json!({ "path": agent.path() });
    let name = ResourceName::new("erp").unwrap();
    let findings = (query_adapter().source.unwrap().check.unwrap())(&name, &config).await.unwrap();
    let verdicts: Vec<_> = findings.iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::Good, Verdict::Failed, Verdict::Failed, Verdict::Warning]);
    assert!(findings[1].found.contains("no column `seen`, its mark"), "{}", findings[1].found);
    assert!(findings[2].found.contains("no such table"), "{}", findings[2].found);
}
