//! Tables that change their shape while they are read.

use serde_json::json;
use towpath_record::Op;

use crate::harness::{Agent, row};
use crate::replica::content;

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
    INSERT INTO people VALUES (1, 'ann', 30), (2, 'bob', 40);";

/// Runs the source while the application does this, and returns the agent.
async fn after(made: &str, settings: serde_json::Value, steps: &[&str]) -> Agent {
    let mut agent = Agent::new(made, settings);
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    for step in steps {
        agent.connect().execute_batch(step).unwrap();
        agent.receive_all(&mut run).await;
    }
    run.stop().await.unwrap();
    agent
}

#[tokio::test]
async fn a_write_never_fails_while_columns_are_added_renamed_and_dropped() {
    // No look of the source comes between these.
    let altering = "
        ALTER TABLE people DROP COLUMN age; INSERT INTO people VALUES (3, 'cid');
        ALTER TABLE people ADD COLUMN city TEXT DEFAULT 'Ulm'; INSERT INTO people VALUES (4, 'dan', 'Bonn');
        ALTER TABLE people RENAME COLUMN name TO full_name; UPDATE people SET full_name = 'Bob' WHERE id = 2;
        DELETE FROM people WHERE id = 1;";
    let agent = after(PEOPLE, json!({}), &[altering, "UPDATE people SET city = 'Kiel' WHERE id = 3;"]).await;
    let people: Vec<_> = agent.replica().stream("crm.people").into_values().collect();
    assert_eq!(people, [row(["2", "Bob", "Ulm"]), row(["3", "cid", "Kiel"]), row(["4", "dan", "Bonn"])]);
}

#[tokio::test]
async fn a_table_that_is_made_anew_is_emptied_and_copied() {
    let migration = "BEGIN; CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT);
        INSERT INTO new SELECT id, name FROM people WHERE id = 2; DROP TABLE people; ALTER TABLE new RENAME TO people;
        INSERT INTO people VALUES (5, 'eve'); COMMIT;";
    let agent =
        after(PEOPLE, json!({ "exclude": ["new"] }), &[migration, "DELETE FROM people WHERE id = 2;"]).await;
    let people: Vec<_> = agent.replica().stream("crm.people").into_values().collect();
    assert_eq!(people, [row(["5", "eve"])]);
    let ops: Vec<_> = agent.events("crm.people", 0).into_iter().map(|(op, _)| op).collect();
    assert!(ops.contains(&Op::Truncate), "{ops:?}");
}

#[tokio::test]
async fn a_new_table_is_followed_and_a_dropped_one_let_go() {
    let steps = [
        "CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1);",
        "INSERT INTO orders VALUES (2); INSERT INTO people VALUES (3, 'cid', 1); DROP TABLE people;",
        "INSERT INTO orders VALUES (3);",
    ];
    let agent = after(PEOPLE, json!({}), &steps).await;
    assert_eq!(agent.replica().stream("crm.orders").len(), 3);
    assert_eq!(agent.replica().stream("crm.people").len(), 3, "what was written before the drop arrives");
}

#[tokio::test]
async fn a_renamed_table_goes_on_under_its_new_name() {
    let steps = [
        "ALTER TABLE people RENAME TO persons; INSERT INTO persons VALUES (3, 'cid', 1);",
        "INSERT INTO persons VALUES (4, 'dan', 2);",
    ];
    let agent = after(PEOPLE, json!({}), &steps).await;
    assert_eq!(agent.replica().stream("crm.persons").len(), 4);
}

#[tokio::test]
async fn rows_without_a_key_are_copied_again_when_vacuum_may_have_numbered_them_anew() {
    let made = "CREATE TABLE lines (line TEXT); INSERT INTO lines VALUES ('a'), ('b'), ('c');";
    let steps =
        ["DELETE FROM lines WHERE line = 'a'; VACUUM;", "UPDATE lines SET line = 'C' WHERE line = 'c';"];
    let agent = after(made, json!({}), &steps).await;
    let expected = content(&agent.connect(), 1, "SELECT rowid, rowid, line FROM lines");
    assert_eq!(agent.replica().stream("crm.lines"), expected);
}

#[tokio::test]
async fn a_trigger_that_someone_dropped_is_replaced_and_its_table_copied() {
    let drop = "DROP TRIGGER _towpath_crm_1_delete; DELETE FROM people WHERE id = 1;";
    let agent = after(PEOPLE, json!({}), &[drop, "DELETE FROM people WHERE id = 2;"]).await;
    assert_eq!(agent.replica().stream("crm.people").len(), 0);
}

#[tokio::test]
async fn a_table_that_is_no_longer_chosen_keeps_no_trigger() {
    let mut agent = after(PEOPLE, json!({}), &[]).await;
    assert_eq!(agent.installed().iter().filter(|name| name.ends_with("_insert")).count(), 1);
    agent.configure(json!({ "exclude": ["people"] }));
    agent.run().await;
    assert_eq!(agent.installed().iter().filter(|name| name.ends_with("_insert")).count(), 0);
    agent.connect().execute_batch("DELETE FROM people WHERE id = 1").unwrap();
    agent.configure(json!({ "exclude": [] }));
    agent.run().await;
    assert_eq!(agent.replica().stream("crm.people").len(), 1, "what happened unseen is made good");
}
