//! The laws that hold for every adapter.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_conformance::{SourceSubject, SourceSystem, source_suite};
use towpath_adapter_sqlite::adapter;

use crate::harness::connect;

const CONTENT: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, price REAL, seen INTEGER NOT NULL);
    INSERT INTO orders VALUES (1, 'a', 1.5, 1), (2, 'b', NULL, 1), (3, 'c', 'much', 2), (4, 'd', 4, 3), (9, 'e', -0.5, 4);
    CREATE TABLE parts (machine TEXT, no INTEGER, picture BLOB, seen INTEGER, PRIMARY KEY (machine, no)) WITHOUT ROWID;
    INSERT INTO parts VALUES ('x', 1, x'00ff', 1), ('x', 2, x'', 1), ('y', 1, NULL, 2);
    CREATE TABLE notes (note TEXT, seen INTEGER);
    INSERT INTO notes VALUES ('one', 1), ('two', 2);
    CREATE VIEW everything AS SELECT id FROM orders;
";

struct Databases {
    settings: Value,
}

struct Database {
    folder: TempDir,
    settings: Value,
}

impl Database {
    fn path(&self) -> PathBuf {
        self.folder.path().join("crm.db")
    }
}

#[async_trait]
impl SourceSubject for Databases {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SourceSystem>> {
        let database = Database { folder: tempfile::tempdir()?, settings: self.settings.clone() };
        connect(&database.path()).execute_batch(CONTENT)?;
        Ok(Box::new(database))
    }
}

#[async_trait]
impl SourceSystem for Database {
    fn config(&self) -> Value {
        let mut config = json!({ "path": self.path(), "poll": "10ms", "batch": { "rows": 2 } });
        let settings = self.settings.as_object().cloned().unwrap_or_default();
        config.as_object_mut().expect("it is an object").extend(settings);
        config
    }

    /// What the application sees of its own.
    async fn state(&self) -> anyhow::Result<String> {
        let database = connect(&self.path());
        let mut state = String::new();
        for query in [
            "SELECT group_concat(id || item || coalesce(price, '')) FROM orders",
            "SELECT group_concat(machine || no || coalesce(hex(picture), '')) FROM parts",
            "SELECT group_concat(note) FROM notes",
            "SELECT group_concat(sql) FROM sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE '!_towpath%' ESCAPE '!'
                AND name <> 'sqlite_sequence'",
        ] {
            state += &database.query_row(query, [], |row| row.get::<_, String>(0))?;
        }
        Ok(state)
    }

    fn quiet_after(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[tokio::test]
async fn the_laws_of_sources_hold_with_triggers() -> anyhow::Result<()> {
    source_suite(adapter().source.unwrap(), &Databases { settings: json!({}) }, &[]).await
}

#[tokio::test]
async fn the_laws_of_sources_hold_with_polling() -> anyhow::Result<()> {
    let settings = json!({ "capture": "polling", "watermark": "seen" });
    source_suite(adapter().source.unwrap(), &Databases { settings }, &[]).await
}
