//! What a sink keeps is compared with what its source has, while an application goes on writing, and mended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::{Value, json};
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_until;

const TABLES: &str = "PRAGMA journal_mode = wal;
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, paid REAL);
    CREATE TABLE teams (city TEXT NOT NULL, no INTEGER NOT NULL, PRIMARY KEY (city, no)) WITHOUT ROWID;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO people SELECT i, 'person ' || i, i / 8.0 FROM n;
    INSERT INTO teams VALUES ('Ulm', 1), ('Zürich', 2), ('Zürich', 3);";

/// What no application would do to a copy.
const TAMPER: &str = "DELETE FROM erp_people WHERE id IN (7, 4711);
    UPDATE erp_people SET name = 'somebody else' WHERE id = 42;
    INSERT INTO erp_people (id, name) VALUES (-1, 'nobody');
    DELETE FROM erp_teams WHERE city = 'Ulm';";

fn open(path: &Path) -> Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    Ok(database)
}

fn count(path: &Path, table: &str) -> Result<i64> {
    Ok(open(path)?.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
}

/// Changes rows that nobody tampers with, until told to stop.
fn write(path: &Path, enough: &AtomicBool) -> Result<()> {
    let database = open(path)?;
    let mut rng = fastrand::Rng::with_seed(7);
    while !enough.load(Ordering::Relaxed) {
        let (id, n) = (rng.u32(5_000..9_000), rng.u16(..));
        database.execute_batch(&format!("INSERT OR REPLACE INTO people VALUES ({id}, 'new {n}', {n})"))?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What a comparison found: its exit code, the keys that differ and how, and the verdicts by stream.
type Found = (i32, Vec<(String, String)>, Vec<Value>);

fn compare(fleet: &Fleet, more: &[&str]) -> Result<Found> {
    let output =
        fleet.cli().args(["compare", "to-copy", "-o", "json", "--settle", "10s"]).args(more).output()?;
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let differing = lines.iter().filter_map(|line| line.get("differs"));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut differing: Vec<_> = differing.map(|row| (word(&row["key"]), word(&row["kind"]))).collect();
    differing.sort_unstable();
    let verdicts = lines.iter().filter_map(|line| line.get("compared")).cloned().collect();
    let code = output.status.code().context("it was killed")?;
    ensure!(code == 0 || code == 3, "{}", String::from_utf8_lossy(&output.stderr));
    Ok((code, differing, verdicts))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_differ_are_found_and_sent_again_while_others_change() -> Result<()> {
    let fleet = Fleet::start(Plan::default()).await?;
    let (source, sink) = (fleet.join("erp.db"), fleet.join("copy.db"));
    open(&source)?.execute_batch(TABLES)?;
    let documents = Documents::new()
        .with(
            "Source",
            "erp",
            &json!({
                "agent": PLANT, "adapter": "sqlite", "config": { "path": source, "poll": "20ms" },
                "capture": { "linger": "5ms" },
            }),
        )
        .with("Sink", "copy", &json!({ "agent": CLOUD, "adapter": "sqlite", "config": { "path": sink } }))
        .with_route("to-copy", "copy");
    fleet.apply(&documents).await?;
    let arrived = async || {
        let is = |table: &str, rows: i64| count(&sink, table).is_ok_and(|found| found == rows);
        Ok((is("erp_people", 5_000) && is("erp_teams", 3)).then_some(()))
    };
    wait_until("the copy has arrived", PATIENCE, arrived).await.with_context(|| fleet.post_mortem())?;
    let checked = fleet.run_cli(&["source", "check", "erp"])?;
    ensure!(checked.contains("told apart by id") && checked.contains("told apart by city, no"), "{checked}");
    let (code, differing, _) = compare(&fleet, &[])?;
    ensure!((code, differing.len()) == (0, 0), "an untouched copy differs in {differing:?}");
    let enough = Arc::new(AtomicBool::new(false));
    let application = std::thread::spawn({
        let (source, enough) = (source.clone(), enough.clone());
        move || write(&source, &enough)
    });
    open(&sink)?.execute_batch(TAMPER)?;
    let expected = [
        (r#"{"city":"Ulm","no":1}"#, "missing_at_sink"),
        (r#"{"id":-1}"#, "missing_at_source"),
        (r#"{"id":42}"#, "different"),
        (r#"{"id":4711}"#, "missing_at_sink"),
        (r#"{"id":7}"#, "missing_at_sink"),
    ]
    .map(|(key, kind)| (key.to_owned(), kind.to_owned()));
    let (code, differing, _) = compare(&fleet, &[])?;
    ensure!((code, &differing[..]) == (3, &expected[..]), "found {code}, {differing:?}");
    let (code, differing, verdicts) = compare(&fleet, &["--repair"])?;
    ensure!((code, &differing[..]) == (0, &expected[..]), "found {code}, {differing:?}, {verdicts:?}");
    let repaired: u64 = verdicts.iter().filter_map(|verdict| verdict["repaired"].as_u64()).sum();
    ensure!(repaired == 5, "{verdicts:?}");
    enough.store(true, Ordering::Relaxed);
    application.join().expect("the application does not panic")?;
    let (code, differing, _) = compare(&fleet, &[])?;
    ensure!((code, differing.len()) == (0, 0), "after all, {differing:?} differ");
    let name: String =
        open(&sink)?.query_row("SELECT name FROM erp_people WHERE id = 42", [], |row| row.get(0))?;
    ensure!(name == "person 42", "{name}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_or_checked_is_refused_with_the_reason() -> Result<()> {
    let fleet = Fleet::start(Plan::default()).await?;
    let source = fleet.join("erp.db");
    open(&source)?.execute_batch(TABLES)?;
    let documents = Documents::new()
        .with("Source", "erp", &json!({ "agent": PLANT, "adapter": "sqlite", "config": { "path": source } }))
        .with_file_sink("files", CLOUD, &fleet.join("out"), "json_lines")
        .with_route("to-files", "files");
    fleet.apply(&documents).await?;
    let refused = |arguments: &[&str]| -> Result<String> {
        let output = fleet.cli().args(arguments).output()?;
        ensure!(!output.status.success(), "it was done");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    wait_until("the streams have come", PATIENCE, async || {
        Ok(fleet.run_cli(&["get", "streams"])?.contains("erp.teams").then_some(()))
    })
    .await?;
    fleet.agents[1].wait_linked().await?;
    let said = wait_until("the agent of the sink is known to be there", PATIENCE, async || {
        let said = refused(&["compare", "to-files"])?;
        Ok((!said.contains("not connected")).then_some(said))
    })
    .await?;
    ensure!(said.contains("no tables that can be read back") && said.contains("sqlite"), "{said}");
    let said = refused(&["compare", "to-fils"])?;
    ensure!(said.contains("did you mean `to-files`?"), "{said}");
    let said = refused(&["source", "check", "files"])?;
    ensure!(said.contains("there is no source `files`"), "{said}");
    std::fs::remove_file(&source)?;
    let said = fleet.cli().args(["source", "check", "erp"]).output()?;
    ensure!(said.status.code() == Some(3), "{said:?}");
    ensure!(String::from_utf8_lossy(&said.stdout).contains("FAILED"), "{said:?}");
    Ok(())
}
