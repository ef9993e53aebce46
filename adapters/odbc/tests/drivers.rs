//! ODBC with real drivers, of SQLite and PostgreSQL, under unixODBC.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{AdapterError, Emission, Registry, Rows};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_adapter_conformance::{
    SourceStart, SourceSubject, SourceSystem, cell, registry_suite, source_suite,
};
use towpath_adapter_odbc::adapter;
use towpath_record::Position;

const QUIET: Duration = Duration::from_millis(1_200);

fn sql(program: &mut Command) -> Result<()> {
    let done = program.output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn sqlite(folder: &TempDir, text: &str) -> Result<String> {
    let path = folder.path().join("erp.db");
    sql(Command::new("sqlite3").arg(&path).arg(text))?;
    Ok(format!("Driver=SQLite3;Database={};Timeout=10000", path.display()))
}

fn config(string: &str, query: Value) -> Value {
    json!({ "connection": { "string": string }, "schedule": { "every": "50ms" }, "queries": [query] })
}

async fn read(config: &Value, position: &Position) -> Result<Vec<Emission>> {
    SourceStart::default().at(position).run((adapter().source.unwrap().build)(config)?).read(QUIET).await
}

async fn failure(config: &Value) -> AdapterError {
    read(config, &Position::default()).await.unwrap_err().downcast().unwrap()
}

fn rows(emissions: &[Emission]) -> Vec<Vec<Option<String>>> {
    let batches = emissions.iter().filter_map(|emission| match &emission.rows {
        Rows::Records { batch, .. } => Some(cell::rows(batch).unwrap()),
        _ => None,
    });
    batches.flatten().collect()
}

struct SqliteFiles;

struct SqliteFile(TempDir, String);

#[async_trait]
impl SourceSubject for SqliteFiles {
    async fn fresh(&self) -> Result<Box<dyn SourceSystem>> {
        let folder = tempfile::tempdir()?;
        let text = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item VARCHAR(20), seen INTEGER);
            INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 1), (3, 'ß', 1), (4, NULL, 2), (9, 'e', 3);";
        let string = sqlite(&folder, text)?;
        Ok(Box::new(SqliteFile(folder, string)))
    }
}

#[async_trait]
impl SourceSystem for SqliteFile {
    fn config(&self) -> Value {
        let query = json!({
            "stream": "orders", "sql": "SELECT id, item, seen FROM orders", "mark": "seen", "key": ["id"], "overlap": 1,
            "deletes": {},
        });
        let mut config = config(&self.1, query);
        config["batch"] = json!({ "rows": 2 });
        config
    }

    async fn state(&self) -> Result<String> {
        Ok(format!("{:?}", std::fs::read(self.0.path().join("erp.db"))?))
    }

    fn quiet_after(&self) -> Duration {
        QUIET
    }
}

#[tokio::test]
async fn the_laws_of_sources_hold_with_the_driver_of_sqlite() -> Result<()> {
    source_suite(adapter().source.unwrap(), &SqliteFiles, &[]).await
}

#[tokio::test]
async fn the_laws_of_registration_hold() -> Result<()> {
    registry_suite(&Registry::new(vec![adapter()]))
}

#[tokio::test]
async fn types_and_marks_go_through_the_driver_of_postgres_exactly() -> Result<()> {
    let server = PostgresServer::start()?;
    let psql = |text: &str| {
        sql(Command::new("psql").arg(server.url("postgres")).args([
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            text,
        ]))
    };
    psql(
        "CREATE TABLE orders (id bigint, small smallint, price numeric(12,2), ratio float8, name varchar(40), note text,
            day date, at timestamp, raw bytea);
        INSERT INTO orders VALUES
            (9007199254740993, -7, 12.30, 0.1, 'ß €', repeat('x', 100000), '2026-02-28', '2026-01-01 10:00:00.123456', '\\x00ff'),
            (2, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01 10:00:00.123457', NULL)",
    )?;
    let string = format!(
        "Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={};Database=postgres;Uid=towpath;Pwd=towpath",
        server.port()
    );
    let query = json!({ "stream": "orders", "sql": "SELECT * FROM orders", "mark": "at", "key": ["id"] });
    let config = config(&string, query);
    let first = read(&config, &Position::default()).await?;
    let seen = rows(&first);
    assert_eq!(seen.len(), 2);
    let cells: Vec<_> = seen[0].iter().map(|cell| cell.clone().unwrap_or_default()).collect();
    assert_eq!(cells[..5], ["9007199254740993", "-7", "12.30", "0.1", "ß €"]);
    // The driver cuts text to its `MaxLongVarcharSize`, 8190 by default; see the documentation.
    assert!(cells[5].starts_with("xxxx"), "{}", cells[5].len());
    assert_eq!(cells[6], "2026-02-28");
    assert!(cells[7].contains("10:00:00.123456"), "{}", cells[7]);
    psql(
        "INSERT INTO orders (id, at) VALUES (3, '2026-01-01 10:00:00.123457'), (4, '2026-01-01 11:00:00'), (5, '2025-01-01')",
    )?;
    let position = first.last().unwrap().position.clone();
    let ids: Vec<_> =
        rows(&read(&config, &position).await?).into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(ids, ["3", "4"], "rows before the mark are not read");
    Ok(())
}

#[tokio::test]
async fn a_failure_names_its_cause_and_no_secret() {
    let query = json!({ "stream": "s", "sql": "SELECT 1 AS a", "mark": "a" });
    let missing = config("Driver=NoSuchDriver;Pwd=s3cret", query.clone());
    let error = failure(&missing).await;
    assert!(error.to_string().contains("NoSuchDriver"), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    let folder = tempfile::tempdir().unwrap();
    let string = sqlite(&folder, "CREATE TABLE t (a INTEGER);").unwrap();
    let query = json!({ "stream": "s", "sql": "SELECT a FROM nothing", "mark": "a" });
    let error = failure(&config(&string, query)).await;
    assert!(error.to_string().contains("nothing"), "{error}");
}
