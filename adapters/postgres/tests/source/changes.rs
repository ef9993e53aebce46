//! What changes look like: old rows, values that were not sent, other keys, other columns, truncated tables.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath_adapter_api::Rows;
use towpath_adapter_conformance::cell;
use towpath_record::Position;

use crate::harness::{Copy, Database, read, server, shown, start};

/// A value that PostgreSQL stores apart from its row: long, and not to be compressed.
const LONG: &str = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) i)";

#[tokio::test]
async fn a_value_that_was_not_sent_is_told_and_kept_by_the_sink() -> Result<()> {
    let server = server()?;
    let sql = format!(
        "CREATE TABLE t (id int PRIMARY KEY, n int, note text); INSERT INTO t VALUES (1, 1, {LONG}), (2, 1, {LONG});
         CREATE TABLE f (LIKE t INCLUDING ALL); ALTER TABLE f REPLICA IDENTITY FULL; INSERT INTO f SELECT * FROM t"
    );
    let database = Database::new(&server, "toast", &sql).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    let position = copied.last().context("something was copied")?.position.clone();
    let sql = "UPDATE t SET n = 2; UPDATE t SET id = 9 WHERE id = 2; UPDATE f SET n = 2 WHERE id = 1; \
         UPDATE t SET n = 3 WHERE id = 1";
    database.client.batch_execute(sql).await?;
    let changed = read(&config, &position).await?;
    let lines = shown(&changed)?;
    let told = lines.iter().filter(|line| *line == "update: [note] | 1 | 2 | -").count();
    ensure!(told == 1, "{lines:?}");
    ensure!(lines.iter().any(|line| line == "delete: - | 2 | - | -"), "{lines:?}");
    ensure!(lines.iter().any(|line| line.starts_with("create: - | 9 | 2 | ")), "{lines:?}");
    // Where the whole row identifies it, the server tells everything.
    ensure!(lines.iter().any(|line| line.starts_with("update: 1 | 2 | ") && line.len() > 6_000), "{lines:?}");
    let mut copy = Copy::new(&database, "copy").await?;
    for emission in copied.into_iter().chain(changed) {
        copy.apply(emission).await?;
    }
    copy.commit().await?;
    for table in ["t", "f"] {
        let differ = format!(
            "(TABLE public.{table} EXCEPT TABLE copy.public_{table}) UNION ALL \
             (TABLE copy.public_{table} EXCEPT TABLE public.{table})"
        );
        let differ = database.texts(&format!("SELECT d::text FROM ({differ}) d")).await?;
        ensure!(differ.is_empty(), "{differ:?}");
    }
    Ok(())
}

#[tokio::test]
async fn other_columns_make_another_schema_and_a_truncated_table_is_told() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE PUBLICATION everything FOR ALL TABLES";
    let database = Database::new(&server, "ddl", sql).await?;
    let config = database.config(&json!({ "publication": "everything" }));
    let copied = read(&config, &Position::default()).await?;
    let position = copied.last().context("the end of the copy is told")?.position.clone();
    let sql = "INSERT INTO t VALUES (1, 'x'); ALTER TABLE t ADD b int; INSERT INTO t VALUES (2, 'y', 5);
        ALTER TABLE t RENAME a TO c; ALTER TABLE t ALTER b TYPE bigint; INSERT INTO t VALUES (3, 'z', 6);
        ALTER TABLE t DROP c; TRUNCATE t; INSERT INTO t VALUES (4, 7);
        CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1)";
    for statement in sql.split(';') {
        database.client.batch_execute(statement).await?;
    }
    let changed = read(&config, &position).await?;
    let lines = shown(&changed)?;
    let expected = [
        "create: - | 1 | x",
        "create: - | 2 | y | 5",
        "create: - | 3 | z | 6",
        "truncate: - | -",
        "create: 4 | 7",
        "create: 1",
    ];
    ensure!(lines == expected, "{lines:?}");
    ensure!(changed.iter().any(|emission| emission.stream.as_str() == "public.later"));
    Ok(())
}

#[tokio::test]
async fn an_idle_source_lets_the_server_forget_its_log() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "idle", "CREATE TABLE t (id int PRIMARY KEY)").await?;
    let other = Database::new(&server, "busy", "CREATE TABLE t (id int)").await?;
    let config = database.config(&json!({ "heartbeat": "200ms" }));
    let mut run = start(&config, &Position::default())?;
    let first = run.next(crate::harness::QUIET).await?.context("the end of the copy is told")?;
    let slot = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'idle'";
    let before = database.texts(slot).await?;
    other.client.batch_execute("INSERT INTO t SELECT generate_series(1, 10000)").await?;
    let mut last = first.position;
    while let Some(emission) = run.next(crate::harness::QUIET).await? {
        last = emission.position;
        run.driver.releaser().release(last.clone(), Vec::new()).await?;
        if database.texts(slot).await? != before {
            break;
        }
    }
    ensure!(database.texts(slot).await? != before, "the slot stays at {before:?} with {last:?}");
    run.stop().await
}

#[tokio::test]
async fn the_row_before_a_change_is_told_where_it_is_asked_for_and_known() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE whole (id int PRIMARY KEY, note text, n numeric(5,2)); CREATE TABLE key (LIKE whole INCLUDING ALL);
        ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole VALUES (1, 'x', 1.5), (2, NULL, 2);
        INSERT INTO key SELECT * FROM whole";
    let database = Database::new(&server, "before", sql).await?;
    let config = database.config(&json!({ "before": true }));
    let copied = read(&config, &Position::default()).await?;
    let position = copied.last().context("something was copied")?.position.clone();
    database.client.batch_execute("UPDATE whole SET note = 'y'; UPDATE key SET note = 'y'").await?;
    database
        .client
        .batch_execute("UPDATE whole SET id = 3 WHERE id = 1; DELETE FROM whole WHERE id = 2")
        .await?;
    let mut before = Vec::new();
    for emission in copied.iter().chain(&read(&config, &position).await?) {
        let Rows::Records { batch, schema } = &emission.rows else { continue };
        ensure!(schema.arrow() == &batch.schema());
        let told = batch.column_by_name("_before");
        ensure!(told.is_some() == (emission.stream.as_str() == "public.whole"), "{}", emission.stream);
        before.extend(told.map(|told| cell::cells(told)).transpose()?.into_iter().flatten());
    }
    let said: Vec<_> = before.iter().map(|row| row.as_deref().unwrap_or("-")).collect();
    ensure!(said.len() == 7 && said[..2] == ["-", "-"], "{said:?}");
    // Two updates, an update of the key as a delete and a create, and a delete.
    for (place, parts) in [(2, ["1", "x", "1.50"]), (4, ["1", "y", "1.50"]), (6, ["2", "y", "2.00"])] {
        ensure!(parts.iter().all(|part| said[place].contains(part)), "{place}: {said:?}");
    }
    ensure!(said[5] == "-", "a row that is new has none before: {said:?}");
    Ok(())
}
