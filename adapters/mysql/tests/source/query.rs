//! Scheduled queries at a real MariaDB server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, Emission, ErrorKind, MemoryCache, Registry};
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_adapter_conformance::{SourceSubject, SourceSystem, registry_suite, source_suite};
use towpath_adapter_mysql::query_adapter;
use towpath_record::Position;

use crate::harness::{Database, Run, end, server, shown};

const QUIET: Duration = Duration::from_millis(800);
const CONTENT: &str = "CREATE TABLE orders (id int PRIMARY KEY, item text, price decimal(12,2), seen timestamp(6) NULL);
    INSERT INTO orders VALUES (1, 'a', 1.5, '2026-01-01 00:00:00.000001'), (2, 'b\\\\', -2, '2026-01-01 00:00:01'),
        (3, 'c', 3, '2026-01-01 00:00:01'), (4, 'd', NULL, '0000-00-00'), (5, 'e', 5, '2026-01-01 00:00:01.5');
    CREATE TABLE notes (note text, no bigint);
    INSERT INTO notes SELECT 'same', 1 FROM seq_1_to_7;
    INSERT INTO notes VALUES ('other', 2);\n";

/// What a source of these queries is configured with.
fn config(database: &Database, queries: &Value, connection: &Value) -> Value {
    json!({
        "connection": database.config(connection), "queries": queries, "schedule": { "every": "40ms" },
        "batch": { "rows": 2 },
    })
}

async fn read(config: &Value, position: &Position, cache: &Arc<MemoryCache>) -> Result<Vec<Emission>> {
    Run::start_of(query_adapter(), config, position, cache.clone())?.all(QUIET).await
}

/// What is read once by a source that knows nothing.
async fn read_anew(config: &Value) -> Result<Vec<String>> {
    shown(&read(config, &Position::default(), &Arc::default()).await?)
}

async fn failure(config: &Value) -> Result<AdapterError> {
    let mut run = Run::start_of(query_adapter(), config, &Position::default(), Arc::default())?;
    let error = loop {
        match run.next(Duration::from_secs(20)).await {
            Ok(emission) => drop(emission.context("the source goes on")?),
            Err(error) => break error,
        }
    };
    error.downcast()
}

struct Databases {
    server: Arc<MariaDbServer>,
    next: AtomicUsize,
}

struct System(Database);

#[async_trait]
impl SourceSubject for Databases {
    async fn fresh(&self) -> Result<Box<dyn SourceSystem>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(System(Database::new(&self.server, &format!("query_{number}"), CONTENT).await?)))
    }
}

fn orders_and_notes() -> Value {
    json!([
        { "stream": "orders", "sql": "SELECT * FROM orders", "mark": "seen", "key": ["id"], "overlap": "1s",
          "deletes": {} },
        { "stream": "notes", "sql": "SELECT * FROM notes", "mark": "no" },
    ])
}

#[async_trait]
impl SourceSystem for System {
    fn config(&self) -> Value {
        config(&self.0, &orders_and_notes(), &json!({}))
    }

    async fn state(&self) -> Result<String> {
        let orders =
            self.0.texts("SELECT concat_ws(',', id, item, price, seen) FROM orders ORDER BY id").await?;
        let notes = self.0.texts("SELECT concat_ws(',', note, no) FROM notes ORDER BY 1").await?;
        Ok([orders, notes].concat().join("\n"))
    }

    fn quiet_after(&self) -> Duration {
        QUIET
    }
}

#[tokio::test]
async fn the_laws_of_sources_hold_of_queries() -> Result<()> {
    let databases = Databases { server: server()?, next: AtomicUsize::new(0) };
    source_suite(query_adapter().source.unwrap(), &databases, &[]).await
}

#[tokio::test]
async fn the_laws_of_registration_hold_of_queries() -> Result<()> {
    registry_suite(&Registry::new(vec![query_adapter()]))
}

#[tokio::test]
async fn what_rises_is_read_and_what_is_gone_is_deleted_over_a_restart() -> Result<()> {
    let database = Database::new(&server()?, "rises", CONTENT).await?;
    let cache = Arc::default();
    let config = config(&database, &orders_and_notes(), &json!({}));
    let first = read(&config, &Position::default(), &cache).await?;
    let refused: Vec<_> = shown(&first)?.into_iter().filter(|line| line.starts_with("refused")).collect();
    assert!(
        refused.len() == 1 && refused[0].contains("Some(\"seen\")"),
        "no calendar has its mark: {refused:?}"
    );
    assert_eq!(shown(&first)?.len(), 4 + 8 + 1);
    let late = "INSERT INTO orders VALUES (6, 'it''s \"late\"', 0.01, '2026-01-01 00:00:00.6'),
        (7, 'too late', 0, '2025-01-01 00:00:00'), (8, 'h', 8, '2026-01-02 00:00:00');
        DELETE FROM orders WHERE id = 3;\n";
    database.run(late).await?;
    let then = shown(&read(&config, &end(&first)?, &cache).await?)?;
    let mut heads: Vec<_> = then.iter().map(|line| line[..line.find(" |").unwrap()].to_owned()).collect();
    heads.sort();
    assert_eq!(heads, ["delete: 3", "read: 6", "read: 8"]);
    Ok(())
}

#[tokio::test]
async fn every_type_of_a_mark_and_a_key_is_told_to_the_server_again() -> Result<()> {
    let server = server()?;
    let types = [
        ("bigint", ["-9007199254740993", "9007199254740993", "9007199254740994"]),
        ("bigint unsigned", ["1", "18446744073709551614", "18446744073709551615"]),
        ("decimal(38,20)", ["-1.125", "0.10000000000000000001", "0.10000000000000000002"]),
        ("float", ["-0.1", "1.1", "3e30"]),
        ("double", ["-0.1", "1e-300", "1e300"]),
        ("year", ["1999", "2026", "2027"]),
        ("date", ["1000-01-01", "2026-01-01", "2026-01-02"]),
        ("datetime", ["1000-01-01 00:00:00", "2026-01-01 00:00:01", "2026-01-02"]),
        ("datetime(6)", ["2026-01-01 00:00:00", "2026-01-01 00:00:00.000001", "2026-01-02"]),
        ("timestamp(3)", ["2026-01-01 00:00:00", "2026-01-01 00:00:00.001", "2026-03-29 02:30:00"]),
        ("varchar(20)", ["a'b", "b\\\\c", "ß"]),
        ("varchar(20) character set latin1", ["A", "b", "ü"]),
        (
            "uuid",
            [
                "00000000-0000-0000-0000-000000000001",
                "a0000000-0000-0000-0000-000000000001",
                "f0000000-0000-0000-0000-000000000001",
            ],
        ),
    ];
    for (number, (name, values)) in types.into_iter().enumerate() {
        let [a, b, c] = values.map(|value| value.replace('\'', "''"));
        let sql = format!(
            "CREATE TABLE t (m {name}, k {name});\nINSERT INTO t VALUES ('{a}', '{a}'), ('{b}', '{a}'), ('{b}', '{b}');\n"
        );
        let database = Database::new(&server, &format!("mark_{number}"), &sql).await?;
        let queries = json!([{ "stream": "t", "sql": "SELECT * FROM t", "mark": "m", "key": ["k", "m"], "max_rows": 1 }]);
        let config = config(&database, &queries, &json!({}));
        let cache = Arc::default();
        let first = read(&config, &Position::default(), &cache).await?;
        assert_eq!(shown(&first)?.len(), 3, "{name}: {:?}", shown(&first)?);
        database
            .run(&format!("INSERT INTO t VALUES ('{b}', '{c}'), ('{c}', '{c}'), ('{a}', '{c}');\n"))
            .await?;
        let then = shown(&read(&config, &end(&first)?, &cache).await?)?;
        assert_eq!(then.len(), 2, "{name}: {then:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_of_times_bits_and_bytes_is_one_behind_which_reading_goes_on() -> Result<()> {
    let sql = "CREATE TABLE t (m int, a time(6), b bit(1), c varbinary(9), d bit(12));
        INSERT INTO t VALUES (1, '00:00:00.000001', 0, x'00ff27', 1), (1, '00:00:00.000001', 1, x'00', 2),
            (1, '00:00:00.000001', 1, x'0000', 4095), (1, '23:59:59', 0, '', 0);\n";
    let database = Database::new(&server()?, "behind", sql).await?;
    let queries = json!([{ "stream": "t", "sql": "SELECT * FROM t", "mark": "m", "key": ["a", "b", "c", "d"], "max_rows": 1 }]);
    assert_eq!(
        read_anew(&config(&database, &queries, &json!({}))).await?,
        [
            "read: 1 | 00:00:00.000001 | false | 00ff27 | 1",
            "read: 1 | 00:00:00.000001 | true | 00 | 2",
            "read: 1 | 00:00:00.000001 | true | 0000 | 4095",
            "read: 1 | 23:59:59.000000 | false |  | 0"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_row_is_read_as_the_copy_of_the_table_would_read_it() -> Result<()> {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, i1 tinyint, u1 tinyint unsigned, i2 smallint, i3 mediumint unsigned,
            i4 int unsigned, i8 bigint, u8 bigint unsigned zerofill, f float, d double, n decimal(30,10), m decimal(65,2),
            y year, da date, dt datetime(3), ts timestamp(6) NULL, ti time(2), b1 bit(1), b9 bit(9), c char(5),
            v varchar(9) character set latin1, u varchar(9) character set utf16, x text, bi binary(4), vb varbinary(4),
            bl longblob, e enum('x','y'), s set('p','q'), j json, uu uuid, i_4 inet4, i_6 inet6, g point,
            gen int GENERATED ALWAYS AS (i1 + 1) VIRTUAL);
        INSERT INTO t (id, i1, u1, i2, i3, i4, i8, u8, f, d, n, m, y, da, dt, ts, ti, b1, b9, c, v, u, x, bi, vb, bl, e, s, j,
            uu, i_4, i_6, g) VALUES (1, -128, 255, -32768, 16777215, 4294967295, -9223372036854775808,
            18446744073709551615, 1.1, 1e300, -12345678901234567890.0123456789, 1.50, 1901, '1000-01-01',
            '2026-02-28 23:59:59.125', '2026-01-01 00:00:00.000001', '23:59:59.99', 1, 511, 'ab', 'ä€', '😀', 'ß', 'ab',
            x'0001', x'ff', 'y', 'p,q', '{\"a\": 1}', '123e4567-e89b-12d3-a456-426655440000', '10.0.0.1', '2001:db8::1',
            ST_GeomFromText('POINT(1 2)')),
            (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, '0000-00-00', '2026-00-01', '0000-00-00',
            NULL, NULL, NULL, '', '', '', '', '', '', '', NULL, '', NULL, NULL, NULL, NULL, NULL);\n";
    let database = Database::new(&server()?, "types", sql).await?;
    let queries = json!([{ "stream": "t", "sql": "SELECT * FROM t", "mark": "id", "key": ["id"] }]);
    for options in [json!({}), json!({ "zero_dates": "text", "time": "interval" })] {
        let copied = Run::start(&database.config(&options), &Position::default())?.all(QUIET).await?;
        let asked = read_anew(&config(&database, &queries, &options)).await?;
        assert_eq!(asked, shown(&copied)?, "{options}");
        assert_eq!(asked.len(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn what_an_expression_gives_is_read_with_its_type() -> Result<()> {
    let sql = "CREATE TABLE t (id int PRIMARY KEY);
        INSERT INTO t VALUES (1), (2);\n";
    let database = Database::new(&server()?, "expressions", sql).await?;
    let sql = "SELECT id, sum(id) AS total, avg(id) AS middle, count(*) AS many, NULL AS nothing, concat('n', id) AS name, \
         id / 3 AS third, id = 1 AS is_first, timestamp('2026-01-01 01:00:00') AS at, cast(id AS char) AS text, \
         unhex('ff') AS byte FROM t GROUP BY id";
    let queries = json!([{ "stream": "t", "sql": sql, "mark": "total", "key": ["name"] }]);
    assert_eq!(
        read_anew(&config(&database, &queries, &json!({}))).await?,
        [
            "read: 1 | 1 | 1.0000 | 1 | - | n1 | 0.3333 | 1 | 2026-01-01 01:00:00.000000 | 1 | ff",
            "read: 2 | 2 | 2.0000 | 1 | - | n2 | 0.6667 | 0 | 2026-01-01 01:00:00.000000 | 2 | ff"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn dates_that_no_calendar_has_are_read_as_the_admin_says_and_can_be_marks_as_text() -> Result<()> {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, seen datetime, due date);
        INSERT INTO t VALUES (1, '0000-00-00', NULL), (2, '2026-00-00', NULL), (3, '2026-01-01 00:00:01', '2026-02-00');\n";
    let database = Database::new(&server()?, "zeros", sql).await?;
    let queries = |mark: &str| json!([{ "stream": "t", "sql": "SELECT * FROM t", "mark": mark, "key": ["id"], "max_rows": 1 }]);
    let by_id = |policy: &str| config(&database, &queries("id"), &json!({ "zero_dates": policy }));
    assert_eq!(
        read_anew(&by_id("null")).await?[1..],
        ["read: 2 | - | -", "read: 3 | 2026-01-01 00:00:01.000000 | -"]
    );
    let refused = read_anew(&by_id("refuse")).await?;
    assert!(refused.iter().all(|line| line.contains("no calendar has the date")), "{refused:?}");
    let by_mark = config(&database, &queries("seen"), &json!({ "zero_dates": "text" }));
    assert_eq!(
        read_anew(&by_mark).await?,
        [
            "read: 1 | 0000-00-00 00:00:00 | -",
            "read: 2 | 2026-00-00 00:00:00 | -",
            "read: 3 | 2026-01-01 00:00:01 | 2026-02-00"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn an_enum_is_refused_as_a_mark_or_a_key_and_taken_as_text() -> Result<()> {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, size enum('small','large'));
        INSERT INTO t VALUES (1, 'small'), (2, 'large');\n";
    let database = Database::new(&server()?, "enums", sql).await?;
    let query = |sql: &str| {
        let queries = json!([{ "stream": "t", "sql": sql, "mark": "id", "key": ["size"], "max_rows": 1 }]);
        config(&database, &queries, &json!({}))
    };
    let error = failure(&query("SELECT * FROM t")).await?;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.to_string().contains("`size`") && error.to_string().contains("CAST"), "{error}");
    assert_eq!(read_anew(&query("SELECT id, CAST(size AS CHAR) AS size FROM t")).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_at_the_server() -> Result<()> {
    let database = Database::new(&server()?, "slow", "").await?;
    let queries = json!([{ "stream": "t", "sql": "SELECT sleep(300) AS m", "mark": "m" }]);
    let mut config = config(&database, &queries, &json!({}));
    config["timeout"] = json!("1s");
    let error = failure(&config).await?;
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("`timeout`"), "{error}");
    let running = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE info LIKE '%sleep(300)%' AND id <> connection_id()";
    let mut looks = 0;
    while database.texts(running).await? != ["0"] {
        looks += 1;
        assert!(looks < 100, "the statement runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
