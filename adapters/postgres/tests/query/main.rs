//! Scheduled queries at a real PostgreSQL server.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use towpath_adapter_api::{Emission, ErrorKind, MemoryCache, Registry, Rows};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_adapter_conformance::{
    SourceStart, SourceSubject, SourceSystem, registry_suite, shown, source_suite,
};
use towpath_adapter_postgres::query_adapter;
use towpath_record::Position;

const QUIET: Duration = Duration::from_millis(800);
const CONTENT: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(12,2), seen timestamptz);
    INSERT INTO orders VALUES (1, 'a', 1.5, '2026-01-01 00:00:00.000001+00'), (2, 'b', 'NaN', '2026-01-01 00:00:01+00'),
        (3, 'c', 3, '2026-01-01 00:00:01+00'), (4, 'd', NULL, 'infinity'), (5, 'e', 5, '2026-01-01 00:00:01.5+02');
    CREATE TABLE notes (note text, no bigint);
    INSERT INTO notes SELECT 'same', 1 FROM generate_series(1, 7);
    INSERT INTO notes VALUES ('other', 2);
";

async fn connect(server: &PostgresServer, database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

struct Databases {
    server: PostgresServer,
    made: AtomicUsize,
}

struct Database {
    url: String,
    client: Client,
}

impl Databases {
    fn start() -> Result<Self> {
        Ok(Self { server: PostgresServer::start()?, made: AtomicUsize::new(0) })
    }

    async fn make(&self, sql: &str) -> Result<Database> {
        let name = format!("d{}", self.made.fetch_add(1, Ordering::Relaxed));
        connect(&self.server, "postgres").await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let client = connect(&self.server, &name).await?;
        client.batch_execute(sql).await?;
        Ok(Database { url: self.server.url(&name), client })
    }
}

impl Database {
    fn config(&self, queries: Value) -> Value {
        let connection = json!({ "url": self.url, "tls": { "mode": "disable" } });
        json!({ "connection": connection, "queries": queries, "schedule": { "every": "40ms" }, "batch": { "rows": 2 } })
    }
}

#[async_trait]
impl SourceSubject for Databases {
    async fn fresh(&self) -> Result<Box<dyn SourceSystem>> {
        Ok(Box::new(self.make(CONTENT).await?))
    }
}

#[async_trait]
impl SourceSystem for Database {
    fn config(&self) -> Value {
        self.config(json!([
            { "stream": "orders", "sql": "SELECT * FROM orders", "mark": "seen", "key": ["id"], "overlap": "1s",
              "deletes": {} },
            { "stream": "notes", "sql": "SELECT * FROM notes", "mark": "no" },
        ]))
    }

    async fn state(&self) -> Result<String> {
        let sql = "SELECT (SELECT string_agg(o::text, ';' ORDER BY id) FROM orders o)
            || (SELECT string_agg(n::text, ';' ORDER BY n::text) FROM notes n)";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    fn quiet_after(&self) -> Duration {
        QUIET
    }
}

async fn read(config: &Value, position: &Position, cache: &Arc<MemoryCache>) -> Result<Vec<Emission>> {
    let start = SourceStart { cache: cache.clone(), ..SourceStart::default() }.at(position);
    start.run((query_adapter().source.unwrap().build)(config)?).read(QUIET).await
}

#[tokio::test]
async fn the_laws_of_sources_hold() -> Result<()> {
    source_suite(query_adapter().source.unwrap(), &Databases::start()?, &[]).await
}

#[tokio::test]
async fn the_laws_of_registration_hold() -> Result<()> {
    registry_suite(&Registry::new(vec![query_adapter()]))
}

#[tokio::test]
async fn what_rises_is_read_and_what_is_gone_is_deleted_over_a_restart() -> Result<()> {
    let databases = Databases::start()?;
    let database = databases.make(CONTENT).await?;
    let cache = Arc::default();
    let config = SourceSystem::config(&database);
    let first = read(&config, &Position::default(), &cache).await?;
    let letters = first.iter().filter_map(|it| match &it.rows {
        Rows::DeadLetters(letters) => Some(letters.iter().filter_map(|it| it.column.as_deref())),
        _ => None,
    });
    let mut columns: Vec<_> = letters.flatten().collect();
    columns.sort_unstable();
    assert_eq!(columns, ["price", "seen"], "NaN is no decimal, infinity no mark");
    let sql = "INSERT INTO orders VALUES (6, 'it''s \"late\"', 0.01, '2026-01-01 00:00:00.5+00'),
        (7, 'too late', 0, '2025-01-01 00:00:00+00'), (8, 'h', 8, '2026-01-02 00:00:00+00');
        DELETE FROM orders WHERE id = 3";
    database.client.batch_execute(sql).await?;
    let position = first.last().unwrap().position.clone();
    let then = read(&config, &position, &cache).await?;
    let mut lines: Vec<_> =
        shown(&then)?.iter().map(|line| line[..line.find(" |").unwrap()].to_owned()).collect();
    lines.sort();
    assert_eq!(lines, ["delete: 3", "read: 6", "read: 8"]);
    Ok(())
}

#[tokio::test]
async fn every_type_of_a_mark_and_a_key_is_told_to_the_server_again() -> Result<()> {
    let databases = Databases::start()?;
    for (name, values) in [
        ("bigint", ["1", "2", "3"]),
        ("numeric", ["0.5", "1.25", "1e30"]),
        ("numeric(20,3)", ["-1.125", "2", "3.999"]),
        ("float8", ["-0.1", "1e-300", "1e300"]),
        ("date", ["0044-03-15", "2026-01-01", "2026-01-02"]),
        ("timestamp", ["2026-01-01 00:00:00", "2026-01-01 00:00:00.000001", "2026-01-02"]),
        (
            "timestamptz",
            ["2026-01-01 00:00:00+14", "2026-01-01 00:00:00.000001+00", "2026-01-02 00:00:00-03"],
        ),
        ("text COLLATE \"C\"", ["a'b", "b\\c", "ß"]),
        (
            "uuid",
            [
                "00000000-0000-0000-0000-000000000001",
                "a0000000-0000-0000-0000-000000000001",
                "f0000000-0000-0000-0000-000000000001",
            ],
        ),
    ] {
        let [a, b, c] = values.map(|value| value.replace('\'', "''"));
        let sql = format!(
            "CREATE TABLE t (m {name}, k {name}); INSERT INTO t VALUES ('{a}', '{a}'), ('{b}', '{a}'), ('{b}', '{b}')"
        );
        let database = databases.make(&sql).await?;
        let queries = json!([{ "stream": "t", "sql": "SELECT * FROM t", "mark": "m", "key": ["k", "m"], "max_rows": 1 }]);
        let config = database.config(queries);
        let cache = Arc::default();
        let first = read(&config, &Position::default(), &cache).await?;
        assert_eq!(shown(&first)?.len(), 3, "{name}: {:?}", shown(&first)?);
        database
            .client
            .batch_execute(&format!("INSERT INTO t VALUES ('{b}', '{c}'), ('{c}', '{c}'), ('{a}', '{c}')"))
            .await?;
        let then = read(&config, &first.last().unwrap().position, &cache).await?;
        assert_eq!(shown(&then)?.len(), 2, "{name}: {:?}", shown(&then)?);
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() -> Result<()> {
    let databases = Databases::start()?;
    let database = databases.make("").await?;
    let mut config =
        database.config(json!([{ "stream": "t", "sql": "SELECT 1 AS m FROM pg_sleep(30)", "mark": "m" }]));
    config["timeout"] = json!("1s");
    let source = (query_adapter().source.unwrap().build)(&config)?;
    let error = SourceStart::default().run(source).end().await?.1.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("57014"), "{error}");
    Ok(())
}
