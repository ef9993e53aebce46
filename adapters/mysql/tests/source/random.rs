//! A writer at random, and a source that is cut off at random: what was emitted, applied in order, equals the tables.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use towpath_record::Position;

use crate::harness::{Account, Database, Run, connect, server};

const TABLES: &str = "CREATE TABLE plain (id int PRIMARY KEY, n int, note text);
    CREATE TABLE words (id varchar(40) CHARACTER SET latin1 PRIMARY KEY, n int, note text);
    CREATE TABLE pair (b int, a varchar(40), n int, note text, PRIMARY KEY (a, b));
    INSERT INTO plain SELECT seq, 0, 'first' FROM seq_0_to_1999;
    INSERT INTO words SELECT concat('k', seq), 0, 'first' FROM seq_0_to_999;
    INSERT INTO pair SELECT seq % 7, concat('k', seq), 0, 'first' FROM seq_0_to_999;\n";

/// One statement on a random row of a random table.
fn statement(rng: &mut Rng) -> String {
    let id = rng.u32(0..3000);
    let (table, key, values) = match rng.u8(0..3) {
        0 => ("plain", format!("id = {id}"), format!("({id}")),
        1 => ("words", format!("id = 'k{id}'"), format!("('k{id}'")),
        _ => ("pair", format!("a = 'k{id}'"), format!("({}, 'k{id}'", id % 7)),
    };
    let other = rng.u32(3000..1_000_000);
    match rng.u8(0..10) {
        0..3 => format!("INSERT IGNORE INTO {table} VALUES {values}, 1, repeat('ä', {id}))"),
        3..6 => format!("UPDATE {table} SET n = n + 1 WHERE {key}"),
        6 => format!("UPDATE {table} SET note = repeat('x', {other} % 3000) WHERE {key}"),
        7 => match table {
            "plain" => format!("UPDATE IGNORE plain SET id = {other} WHERE {key}"),
            // The same key to the server in another case, or quite another.
            "words" if rng.bool() => format!("UPDATE words SET id = upper(id) WHERE {key}"),
            "words" => format!("UPDATE IGNORE words SET id = 'k{other}' WHERE {key}"),
            _ => format!("UPDATE pair SET b = b + 1 WHERE {key}"),
        },
        _ => format!("DELETE FROM {table} WHERE {key}"),
    }
}

/// One transaction, often of several statements, sometimes large, with savepoints, and sometimes rolled back.
fn transaction(rng: &mut Rng) -> Vec<String> {
    let mut sql = vec!["BEGIN".to_owned()];
    for part in 0..rng.usize(1..6) {
        let savepoint = rng.u8(0..4) == 0;
        if savepoint {
            sql.push(format!("SAVEPOINT s{part}"));
        }
        let statements = if rng.u8(0..8) == 0 { 60 } else { rng.usize(1..5) };
        sql.extend((0..statements).map(|_| statement(rng)));
        if savepoint && rng.bool() {
            sql.push(format!("ROLLBACK TO s{part}"));
        }
    }
    sql.push(if rng.u8(0..6) == 0 { "ROLLBACK" } else { "COMMIT" }.to_owned());
    match rng.u8(0..60) {
        0 => sql.push("TRUNCATE TABLE pair".to_owned()),
        1 => sql.push("FLUSH BINARY LOGS".to_owned()),
        2 => sql.push("ALTER TABLE plain COMMENT 'x', FORCE".to_owned()),
        _ => {}
    }
    sql
}

async fn equal_wherever_it_is_cut_off(extra: Value) -> Result<()> {
    let seed =
        std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(fastrand::u64(..));
    equal(extra, seed).await.with_context(|| format!("repeat with TOWPATH_SEED={seed}"))
}

async fn equal(extra: Value, seed: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let server = server()?;
    let database = Database::new(&server, "random", TABLES).await?;
    let config = database.config(&extra);
    let until = Instant::now() + Duration::from_secs(6);
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (server, mut rng) = (server.clone(), Rng::with_seed(seed ^ writer));
            tokio::spawn(async move {
                let mut client = connect(&server, "random").await?;
                let mut written = 0;
                while Instant::now() < until {
                    written += 1;
                    for statement in transaction(&mut rng) {
                        // Two writers may want the same rows in another order; one of them gives up.
                        if client.query_drop(statement).await.is_err() {
                            client.query_drop("ROLLBACK").await?;
                            break;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
                anyhow::Ok(written)
            })
        })
        .collect();
    let (mut account, mut position, mut runs) = (Account::default(), Position::default(), 0);
    let (mut writers, mut written) = (writers, 0);
    loop {
        if Instant::now() >= until {
            // One may still wait for another's lock; what it writes then is to be read too.
            for writer in writers.drain(..) {
                written += writer.await??;
            }
        }
        let patience = Duration::from_secs(if writers.is_empty() { 6 } else { 1 });
        let mut run = Run::start(&config, &position)?;
        let emissions = if !writers.is_empty() { rng.usize(1..60) } else { usize::MAX };
        let mut seen = 0;
        while seen < emissions
            && let Some(emission) = run.next(patience).await?
        {
            seen += 1;
            if rng.u8(0..10) == 0 {
                run.driver.releaser().release(position.clone(), Vec::new()).await?;
            }
            position = emission.position.clone();
            account.apply(&emission).with_context(|| format!("run {runs}"))?;
        }
        run.stop().await?;
        runs += 1;
        if emissions == usize::MAX {
            break;
        }
    }
    ensure!(written > 20 && runs > 5, "{written} transactions in {runs} runs show little");
    for (table, columns) in [("plain", "id, n, note"), ("words", "id, n, note"), ("pair", "b, a, n, note")] {
        let theirs =
            database.texts(&format!("SELECT concat_ws('|', {columns}) FROM {table} ORDER BY 1")).await?;
        let rows = account.0.remove(&format!("random.{table}")).unwrap_or_default().into_values();
        let mut ours: Vec<_> =
            rows.map(|row| row.into_iter().flatten().collect::<Vec<_>>().join("|")).collect();
        let mut theirs = theirs;
        ours.sort();
        theirs.sort();
        let differ = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        ensure!(ours == theirs, "{table}: {} rows in place of {}; {differ:?}", ours.len(), theirs.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emitted_equals_the_tables_wherever_the_source_is_cut_off() -> Result<()> {
    equal_wherever_it_is_cut_off(json!({ "batch_rows": 40, "range_rows": 150, "heartbeat": "300ms" })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_of_ranges_that_lock_and_of_changes_that_meet_them() -> Result<()> {
    let extra = json!({ "batch_rows": 40, "range_rows": 150, "heartbeat": "300ms", "copy_reads": "locking" });
    equal_wherever_it_is_cut_off(extra).await
}
