//! Rows that are longer than a record holds, as changes: each is one dead letter and none takes much memory, whatever
//! stands around it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, Emission, ErrorKind, Rows};
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_record::Position;

use crate::harness::{Database, Run, end, read, shown};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, a longblob, b longblob);
    CREATE TABLE other (id int PRIMARY KEY, a longblob);\n";
/// A transaction of small and long rows, some of them in one statement, and some of a table that is not followed.
const CHANGES: &str = "BEGIN;
    INSERT INTO t VALUES (1, 'x', NULL);
    INSERT INTO t SELECT seq, repeat('x', IF(seq = 3, 12000000, 1)), repeat('y', IF(seq = 3, 12000000, 1)) FROM seq_2_to_4;
    INSERT INTO other VALUES (1, repeat('x', 15000000));
    UPDATE other SET a = repeat('z', 14000000);
    UPDATE t SET b = 'z';
    INSERT INTO t VALUES (5, 'v', 'v');
    COMMIT;
    DELETE FROM t WHERE id = 3;
    INSERT INTO t VALUES (6, 'w', 'w');\n";

/// The lines of what was emitted, of dead letters only that they are there.
fn lines(emissions: &[Emission]) -> Result<Vec<String>> {
    let short = |line: String| if line.starts_with("refused") { "refused".to_owned() } else { line };
    Ok(shown(emissions)?.into_iter().map(short).collect())
}

/// What is emitted up to so many lines. Long rows take long to pass, so silence says little.
async fn read_for(config: &Value, position: &Position, count: usize) -> Result<Vec<Emission>> {
    let mut run = Run::start(config, position)?;
    let mut seen = Vec::new();
    while lines(&seen)?.len() < count {
        seen.push(run.next(PATIENCE).await?.context("more is emitted")?);
    }
    run.stop().await?;
    Ok(seen)
}

async fn read_lines(config: &Value, position: &Position, count: usize) -> Result<Vec<String>> {
    lines(&read_for(config, position, count).await?)
}

#[tokio::test]
async fn a_change_too_large_to_be_taken_is_one_dead_letter_and_what_follows_is_read() -> Result<()> {
    for (name, compressed) in [("large", "OFF"), ("large_compressed", "ON")] {
        let server = Arc::new(MariaDbServer::start_with(&["max-allowed-packet=64M"], &[])?);
        let database = Database::new(&server, name, TABLES).await?;
        let config = database.config(&json!({ "batch_rows": 1, "tables": [format!("{name}.t")] }));
        let copied = read(&config, &Position::default()).await?;
        database.run(&format!("SET GLOBAL log_bin_compress = {compressed};\n{CHANGES}")).await?;
        let changed = read_for(&config, &end(&copied)?, 11).await?;
        let expected = [
            "create: 1 | 78 | -",
            "create: 2 | 78 | 79",
            "refused",
            "create: 4 | 78 | 79",
            "update: 1 | 78 | 7a",
            "update: 2 | 78 | 7a",
            "refused",
            "update: 4 | 78 | 7a",
            "create: 5 | 76 | 76",
            "refused",
            "create: 6 | 77 | 77",
        ];
        ensure!(lines(&changed)? == expected, "{:?}", lines(&changed)?);
        let letters = changed.iter().filter_map(|emission| match &emission.rows {
            Rows::DeadLetters(letters) => letters.first(),
            _ => None,
        });
        let first = letters.map(|letter| (&*letter.resource, &*letter.reason)).next();
        let (resource, reason) = first.unwrap_or_default();
        ensure!(resource == format!("table {name}.t"), "{resource}");
        ensure!(reason.contains("bytes in the binlog"), "{reason}");
        // Wherever the source is cut off, it goes on behind what was read.
        for cut in 0..changed.len() {
            let left = lines(&changed[cut + 1..])?;
            let rest = read_lines(&config, &changed[cut].position, left.len()).await?;
            ensure!(rest == left, "behind {cut}: {rest:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_change_of_which_the_server_does_not_tell_the_length_is_answered_as_the_admin_says() -> Result<()> {
    let server = Arc::new(MariaDbServer::start_with(&["max-allowed-packet=16M"], &[])?);
    let database = Database::new(&server, "unknown", TABLES).await?;
    let config = database.config(&json!({ "tables": ["unknown.t"] }));
    let copied = read(&config, &Position::default()).await?;
    database.run(CHANGES).await?;
    let error: AdapterError = read_for(&config, &end(&copied)?, 11).await.unwrap_err().downcast()?;
    ensure!(error.kind == ErrorKind::PositionLost, "{error}");
    ensure!(error.message.contains("max_allowed_packet") && error.message.contains("resync"), "{error}");
    let resync = database.config(&json!({ "tables": ["unknown.t"], "on_lost": "resync" }));
    let again = read_lines(&resync, &end(&copied)?, 6).await?;
    let expected = [
        "truncate: - | - | -",
        "read: 1 | 78 | 7a",
        "read: 2 | 78 | 7a",
        "read: 4 | 78 | 7a",
        "read: 5 | 76 | 76",
        "read: 6 | 77 | 77",
    ];
    ensure!(again == expected, "{again:?}");
    // Where the server is told to read longer events, the source goes on from where it was.
    database.run("SET GLOBAL max_allowed_packet = 67108864;\n").await?;
    let then = read_lines(&config, &end(&copied)?, 11).await?;
    ensure!(then.last().is_some_and(|line| line == "create: 6 | 77 | 77"), "{then:?}");
    Ok(())
}
