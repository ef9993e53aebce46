//! A writer at random, and a source that is cut off at random: what was emitted, applied in order, equals the tables.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::json;
use towpath_record::Position;

use crate::harness::{Copy, Database, connect, server, start};

const TABLES: &str = "CREATE TABLE plain (id int PRIMARY KEY, n int, note text);
    CREATE TABLE whole (id text PRIMARY KEY, n int, note text); ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE pair (b int, a text, n int, note text, PRIMARY KEY (a, b));
    INSERT INTO plain SELECT i, 0, 'first' FROM generate_series(0, 1999) i;
    INSERT INTO whole SELECT 'k' || i, 0, 'first' FROM generate_series(0, 999) i;
    INSERT INTO pair SELECT i % 7, 'k' || i, 0, 'first' FROM generate_series(0, 999) i;";

/// One statement on a random row of a random table.
fn statement(rng: &mut Rng) -> String {
    let id = rng.u32(0..3000);
    let (table, key, values) = match rng.u8(0..3) {
        0 => ("plain", format!("id = {id}"), format!("({id}")),
        1 => ("whole", format!("id = 'k{id}'"), format!("('k{id}'")),
        _ => ("pair", format!("a = 'k{id}'"), format!("({}, 'k{id}'", id % 7)),
    };
    let long = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 150))";
    let other = rng.u32(3000..1_000_000);
    match rng.u8(0..10) {
        0..3 => format!("INSERT INTO {table} VALUES {values}, 1, {long}) ON CONFLICT DO NOTHING"),
        3..6 => format!("UPDATE {table} SET n = n + 1 WHERE {key}"),
        6 => format!("UPDATE {table} SET note = {long} WHERE {key}"),
        7 => match table {
            "plain" => format!(
                "UPDATE plain SET id = {other} WHERE {key} AND NOT EXISTS (SELECT 1 FROM plain WHERE id = {other})"
            ),
            "whole" => format!(
                "UPDATE whole SET id = 'k{other}' WHERE {key} AND NOT EXISTS (SELECT 1 FROM whole WHERE id = 'k{other}')"
            ),
            _ => format!("UPDATE pair SET b = b + 1 WHERE {key}"),
        },
        _ => format!("DELETE FROM {table} WHERE {key}"),
    }
}

/// One transaction, often of several statements, sometimes large, with savepoints, and sometimes rolled back.
fn transaction(rng: &mut Rng) -> String {
    let mut sql = "BEGIN;".to_owned();
    for part in 0..rng.usize(1..6) {
        let savepoint = rng.u8(0..4) == 0;
        if savepoint {
            sql.push_str(&format!("SAVEPOINT s{part};"));
        }
        let statements = if rng.u8(0..8) == 0 { 60 } else { rng.usize(1..5) };
        for _ in 0..statements {
            sql.push_str(&statement(rng));
            sql.push(';');
        }
        if savepoint && rng.bool() {
            sql.push_str(&format!("ROLLBACK TO s{part};"));
        }
    }
    sql.push_str(if rng.u8(0..6) == 0 { "ROLLBACK" } else { "COMMIT" });
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emitted_equals_the_tables_wherever_the_source_is_cut_off() -> Result<()> {
    let seed =
        std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(fastrand::u64(..));
    println!("TOWPATH_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let server = server()?;
    let database = Database::new(&server, "random", TABLES).await?;
    let config = database.config(&json!({ "batch_rows": 40, "heartbeat": "300ms" }));
    let until = Instant::now() + Duration::from_secs(6);
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (server, mut rng) = (server.clone(), Rng::with_seed(seed ^ writer));
            tokio::spawn(async move {
                let client = connect(&server, "random").await?;
                let mut written = 0;
                while Instant::now() < until {
                    // Two writers may want the same rows in another order; one of them gives up.
                    match client.batch_execute(&transaction(&mut rng)).await {
                        Ok(()) => written += 1,
                        Err(_) => client.batch_execute("ROLLBACK").await?,
                    }
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
                anyhow::Ok(written)
            })
        })
        .collect();
    let mut copy = Copy::new(&database, "copy").await?;
    let (mut position, mut runs) = (Position::default(), 0);
    loop {
        let patience = Duration::from_secs(if Instant::now() < until { 1 } else { 4 });
        let mut run = start(&config, &position)?;
        let emissions = if Instant::now() < until { rng.usize(1..60) } else { usize::MAX };
        let mut seen = 0;
        while seen < emissions
            && let Some(emission) = run.next(patience).await?
        {
            seen += 1;
            if rng.u8(0..10) == 0 {
                run.driver.releaser().release(position.clone(), Vec::new()).await?;
            }
            position = emission.position.clone();
            copy.apply(emission).await.with_context(|| format!("run {runs}"))?;
        }
        run.stop().await?;
        // The copy of the next run begins when older transactions have ended, and the sink's is one of them.
        copy.commit().await?;
        runs += 1;
        if emissions == usize::MAX {
            break;
        }
    }
    let mut written = 0;
    for writer in writers {
        written += writer.await??;
    }
    ensure!(written > 20 && runs > 5, "{written} transactions in {runs} runs show little");
    for table in ["plain", "whole", "pair"] {
        let (ours, theirs) =
            (format!("SELECT * FROM public.{table}"), format!("SELECT * FROM copy.public_{table}"));
        let differ = format!("({ours} EXCEPT {theirs}) UNION ALL ({theirs} EXCEPT {ours})");
        let differ = database.texts(&format!("SELECT left(d::text, 90) FROM ({differ}) d")).await?;
        ensure!(
            differ.is_empty(),
            "{table}: {} rows differ: {:?}",
            differ.len(),
            &differ[..differ.len().min(4)]
        );
    }
    Ok(())
}
