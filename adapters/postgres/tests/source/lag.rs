//! A slot that keeps too much of the server's log, and a slot that is gone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath_adapter_api::{Precedence, Rows};
use towpath_adapter_conformance::SourceStart;
use towpath_record::{Position, ResourceName};

use crate::harness::{Copy, Database, QUIET, read, server, shown, start, start_with};

const TABLES: &str =
    "CREATE TABLE a (id int PRIMARY KEY, note text); CREATE TABLE b (id int PRIMARY KEY, note text);
    INSERT INTO a SELECT i, 'first' FROM generate_series(1, 500) i; INSERT INTO b VALUES (1, 'first')";
/// More log than the sources of these tests may hold back, in several transactions.
const MUCH: &str = "UPDATE a SET note = repeat(md5(id::text), 40); DELETE FROM a WHERE id % 2 = 0;
    INSERT INTO a SELECT i, repeat(md5(i::text), 40) FROM generate_series(1000, 9000) i; UPDATE b SET note = 'second'";
const SLOTS: &str = "SELECT slot_name::text FROM pg_replication_slots";

async fn write_much(database: &Database) -> Result<()> {
    for statement in MUCH.split(';') {
        database.client.batch_execute(statement).await?;
    }
    Ok(())
}

async fn write_much_again(database: &Database) -> Result<()> {
    Ok(database.client.batch_execute("UPDATE a SET note = note || '!' WHERE id >= 1000").await?)
}

async fn equal(database: &Database) -> Result<()> {
    for table in ["a", "b"] {
        let differ = format!(
            "(TABLE public.{table} EXCEPT TABLE copy.public_{table}) UNION ALL \
             (TABLE copy.public_{table} EXCEPT TABLE public.{table})"
        );
        let differ = database.texts(&format!("SELECT left(d::text, 40) FROM ({differ}) d")).await?;
        ensure!(differ.is_empty(), "{table}: {:?}", &differ[..differ.len().min(4)]);
    }
    Ok(())
}

#[tokio::test]
async fn a_slot_that_keeps_too_much_is_dropped_and_everything_copied_anew_if_so_chosen() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "excess", TABLES).await?;
    let config = database.config(&json!({
        "max_slot_lag_bytes": "4MiB", "on_slot_lag": "drop_and_resync", "heartbeat": "200ms", "batch_rows": 300,
    }));
    let mut copy = Copy::new(&database, "copy").await?;
    let mut run = start(&config, &Position::default())?;
    let mut position = Position::default();
    while let Some(emission) = run.next(QUIET).await? {
        position = emission.position.clone();
        copy.apply(emission).await?;
    }
    copy.commit().await?;
    // Nobody takes what the source reads: it can neither go on nor confirm anything.
    write_much(&database).await?;
    let started = Instant::now();
    while !database.texts(SLOTS).await?.is_empty() {
        ensure!(started.elapsed() < Duration::from_secs(20), "the slot was not dropped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // While there is no room, no other slot holds back log in its place.
    tokio::time::sleep(Duration::from_millis(600)).await;
    ensure!(database.texts(SLOTS).await?.is_empty());
    let mut truncated = 0;
    while let Some(emission) = run.next(QUIET).await? {
        truncated +=
            shown(std::slice::from_ref(&emission))?.iter().filter(|l| l.starts_with("truncate")).count();
        position = emission.position.clone();
        run.driver.releaser().release(position.clone(), Vec::new()).await?;
        // The copy begins when older transactions have ended, and the sink's is one. A commit for mere progress would
        // itself be progress, without end.
        if !matches!(emission.rows, Rows::Progress) {
            copy.apply(emission).await?;
            copy.commit().await?;
        }
    }
    ensure!(truncated == 2, "{truncated} tables begin anew");
    equal(&database).await?;
    // From here on changes are followed as ever, also by the next run.
    run.stop().await?;
    database.client.batch_execute("INSERT INTO b VALUES (2, 'third')").await?;
    let changed = read(&config, &position).await?;
    ensure!(shown(&changed)? == ["create: - | 2 | third"], "{:?}", shown(&changed)?);
    Ok(())
}

#[tokio::test]
async fn a_slot_that_keeps_too_much_stays_unless_chosen_otherwise() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "stays", TABLES).await?;
    let config =
        database.config(&json!({ "max_slot_lag_bytes": "1MiB", "heartbeat": "100ms", "batch_rows": 50 }));
    let mut copy = Copy::new(&database, "copy").await?;
    let mut run = start(&config, &Position::default())?;
    while let Some(emission) = run.next(QUIET).await? {
        copy.apply(emission).await?;
    }
    copy.commit().await?;
    write_much(&database).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(database.texts(SLOTS).await? == ["stays"]);
    while let Some(emission) = run.next(QUIET).await? {
        ensure!(shown(std::slice::from_ref(&emission))?.iter().all(|line| !line.starts_with("truncate")));
        copy.apply(emission).await?;
    }
    copy.commit().await?;
    equal(&database).await?;
    run.stop().await
}

#[tokio::test]
async fn the_other_sources_of_the_agent_wait_while_a_slot_keeps_too_much_if_so_chosen() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "first", TABLES).await?;
    let config = database.config(
        &json!({ "max_slot_lag_bytes": "2MiB", "on_slot_lag": "pause_others", "heartbeat": "200ms" }),
    );
    let precedence = Precedence::default();
    let mut other = precedence.turn(ResourceName::new("other")?);
    let begin = SourceStart { precedence, ..SourceStart::default() };
    let mut run = start_with(&config, begin.clone())?;
    while let Some(emission) = run.next(QUIET).await? {
        run.release(&emission.position, &[]).await?;
    }
    ensure!(other.waits_for().is_none(), "the slot keeps little");
    write_much(&database).await?;
    tokio::time::timeout(Duration::from_secs(20), other.changed())
        .await
        .context("nobody is asked to wait")?;
    let first = other.waits_for().context("it has to wait")?;
    ensure!(first.source.as_str() == "erp" && first.reason.contains("max_slot_lag_bytes"), "{first:?}");
    // What it read is taken and released, and the server writes down that older transactions have ended.
    let mut lines = Vec::new();
    let started = Instant::now();
    while other.waits_for().is_some() {
        ensure!(started.elapsed() < Duration::from_secs(40), "the others still wait");
        while let Some(emission) = run.next(Duration::from_millis(400)).await? {
            lines.extend(shown(std::slice::from_ref(&emission))?);
            run.release(&emission.position, &[]).await?;
        }
        database.client.batch_execute("CHECKPOINT").await?;
    }
    let inserted = lines.iter().filter(|line| line.starts_with("create")).count();
    ensure!(inserted == 8001, "{inserted} rows were inserted");
    // A source that stops goes first no longer, however much its slot keeps.
    write_much_again(&database).await?;
    tokio::time::timeout(Duration::from_secs(20), other.changed())
        .await
        .context("nobody is asked to wait")?;
    ensure!(other.waits_for().is_some());
    run.stop().await?;
    ensure!(other.waits_for().is_none(), "the source has stopped");
    Ok(())
}

#[tokio::test]
async fn a_slot_that_is_gone_is_answered_by_a_copy_if_so_chosen_wherever_that_is_cut_off() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "vanished", TABLES).await?;
    let config = database.config(&json!({ "on_slot_lag": "drop_and_resync", "batch_rows": 100 }));
    let mut copy = Copy::new(&database, "copy").await?;
    let mut position = Position::default();
    for emission in read(&config, &position).await? {
        position = emission.position.clone();
        copy.apply(emission).await?;
    }
    copy.commit().await?;
    database.client.batch_execute("DELETE FROM a WHERE id < 50; INSERT INTO b VALUES (7, 'new')").await?;
    let idle = "SELECT 1::text FROM pg_replication_slots WHERE NOT active";
    while database.texts(idle).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    database.client.batch_execute("SELECT pg_drop_replication_slot('vanished')").await?;
    // Each run is cut off after two emissions, and the next goes on where it ended.
    for _ in 0..20 {
        let mut run = start(&config, &position)?;
        for _ in 0..2 {
            let Some(emission) = run.next(QUIET).await? else { break };
            position = emission.position.clone();
            copy.apply(emission).await.context("after the slot was gone")?;
        }
        run.stop().await?;
        copy.commit().await?;
        if equal(&database).await.is_ok() {
            return Ok(());
        }
    }
    equal(&database).await
}
