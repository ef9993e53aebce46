//! Locks, releases, restored backups, and leaving.

use std::time::Duration;

use serde_json::json;
use towpath_adapter_api::ErrorKind;
use towpath_record::Op;

use crate::harness::{Agent, connect};

const PEOPLE: &str =
    "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES (1, 'ann');";

#[tokio::test]
async fn changes_are_kept_until_they_are_released_and_no_longer() {
    let mut agent = Agent::new(PEOPLE, json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    agent.connect().execute_batch("INSERT INTO people VALUES (2, 'bob'), (3, 'cid');").unwrap();
    agent.receive_all(&mut run).await;
    assert_eq!(agent.changes_kept(), 2);
    agent.release(&run).await;
    assert_eq!(agent.changes_kept(), 0);
    agent.release(&run).await;
    run.stop().await.unwrap();
    // The position still holds after its change is gone, and ids do not begin anew.
    agent.connect().execute_batch("INSERT INTO people VALUES (4, 'dan');").unwrap();
    agent.run().await;
    assert_eq!(agent.replica().surprises, [""; 0]);
    assert_eq!(agent.replica().stream("crm.people").len(), 4);
}

#[tokio::test]
async fn a_locked_database_is_waited_for() {
    for journal in ["delete", "wal"] {
        let mut agent = Agent::new(&format!("PRAGMA journal_mode = {journal}; {PEOPLE}"), json!({}));
        let application = agent.connect();
        application.execute_batch("BEGIN EXCLUSIVE; INSERT INTO people VALUES (2, 'bob');").unwrap();
        let mut run = agent.start();
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(agent.durable.is_empty());
        application.execute_batch("COMMIT").unwrap();
        agent.receive_until(&mut run, |agent| agent.replica().stream("crm.people").len() == 2).await;
        application.execute_batch("BEGIN EXCLUSIVE; INSERT INTO people VALUES (3, 'cid');").unwrap();
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        application.execute_batch("COMMIT").unwrap();
        agent.receive_until(&mut run, |agent| agent.replica().stream("crm.people").len() == 3).await;
        run.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_full_spool_keeps_no_transaction_open() {
    let mut agent =
        Agent::new(&format!("PRAGMA journal_mode = wal; {PEOPLE}"), json!({ "batch": { "rows": 1 } }));
    let sql = "INSERT INTO people VALUES (2, 'bob'), (3, 'cid'), (4, 'dan'), (5, 'eve');";
    agent.connect().execute_batch(sql).unwrap();
    let run = agent.start();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let application = agent.connect();
    application.execute_batch("INSERT INTO people VALUES (6, 'fay')").unwrap();
    let (busy, log, done): (i64, i64, i64) = application
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!((busy, log, done), (0, 0, 0));
    run.stop().await.unwrap();
    agent.run().await;
    assert_eq!(agent.replica().stream("crm.people").len(), 6);
}

/// An agent that has read a row more than the backup in the place of the database has.
async fn restored(later: &str) -> Agent {
    let mut agent = Agent::new(PEOPLE, json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    agent.connect().execute_batch("INSERT INTO people VALUES (2, 'bob');").unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let backup = agent.path().with_extension("backup");
    std::fs::copy(agent.path(), &backup).unwrap();
    agent.connect().execute_batch("INSERT INTO people VALUES (3, 'cid');").unwrap();
    agent.run().await;
    std::fs::rename(&backup, agent.path()).unwrap();
    agent.connect().execute_batch(later).unwrap();
    agent
}

#[tokio::test]
async fn a_restored_backup_is_noticed_even_if_it_was_written_since() {
    for later in ["", "INSERT INTO people VALUES (4, 'dan'), (5, 'eve');"] {
        let mut agent = restored(later).await;
        let error = agent.run_to_failure().await;
        assert_eq!(error.kind, ErrorKind::PositionLost);
        assert!(error.to_string().contains("on_replaced: copy_again"), "{error}");
        agent.configure(json!({ "on_replaced": "copy_again" }));
        agent.run().await;
        let people = agent.replica().stream("crm.people");
        assert_eq!(people.len(), if later.is_empty() { 2 } else { 4 });
        assert_eq!(agent.events("crm.people", 0).iter().filter(|(op, _)| *op == Op::Truncate).count(), 1);
    }
}

#[tokio::test]
async fn a_file_that_takes_the_place_of_the_open_one_is_noticed() {
    let mut agent = Agent::new(PEOPLE, json!({ "on_replaced": "copy_again" }));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let other = agent.path().with_extension("other");
    connect(&other).execute_batch("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);").unwrap();
    std::fs::rename(&other, agent.path()).unwrap();
    agent.receive_until(&mut run, |agent| agent.replica().stream("crm.people").is_empty()).await;
    agent.receive_all(&mut run).await;
    agent.connect().execute_batch("INSERT INTO people VALUES (7, 'gus');").unwrap();
    agent.receive_until(&mut run, |agent| agent.replica().stream("crm.people").len() == 1).await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn uninstalling_leaves_nothing_and_a_return_makes_good_what_was_missed() {
    let mut agent = Agent::new(PEOPLE, json!({}));
    agent.run().await;
    assert!(!agent.installed().is_empty());
    agent.configure(json!({ "uninstall": true }));
    agent.run().await;
    assert_eq!(agent.installed(), [""; 0]);
    let emitted = agent.durable.len();
    agent.run().await;
    assert_eq!(agent.durable.len(), emitted, "it is said once");
    agent.connect().execute_batch("DELETE FROM people; INSERT INTO people VALUES (9, 'ivy');").unwrap();
    agent.configure(json!({ "uninstall": false }));
    agent.run().await;
    assert_eq!(agent.replica().stream("crm.people").len(), 1);
}

/// The statements that the documentation gives an admin whose agent is gone.
#[tokio::test]
async fn the_documented_statements_remove_everything() {
    let mut agent = Agent::new(PEOPLE, json!({}));
    agent.run().await;
    let docs = include_str!("../../../../docs/sources/sqlite.md");
    let query = docs.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let application = agent.connect();
    let mut statement = application.prepare(query).unwrap();
    let statements: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(statement);
    assert!(statements.len() > 3, "{statements:?}");
    application.execute_batch(&statements.join("\n")).unwrap();
    assert_eq!(agent.installed(), [""; 0]);
    assert_eq!(agent.run_to_failure().await.kind, ErrorKind::PositionLost);
}

#[tokio::test]
async fn tables_that_would_share_a_stream_are_refused() {
    let sql = "CREATE TABLE \"a b\" (id INTEGER PRIMARY KEY); CREATE TABLE a_b (id INTEGER PRIMARY KEY);";
    let mut agent = Agent::new(sql, json!({}));
    let error = agent.run_to_failure().await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.to_string().contains("exclude one of them"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_missing_is_waited_for() {
    let mut agent = Agent::new(PEOPLE, json!({}));
    std::fs::remove_file(agent.path()).unwrap();
    assert_eq!(agent.run_to_failure().await.kind, ErrorKind::Unavailable);
    assert!(!agent.path().exists(), "it is not created");
}
