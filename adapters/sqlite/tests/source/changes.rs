//! What becomes of each kind of write.

use rusqlite::Connection;
use serde_json::json;
use towpath_record::Op;

use crate::harness::{Agent, row};

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE);";

/// An agent that has read everything so far, and what it reads of `stream` after the application did this.
async fn events_of(
    agent: &mut Agent,
    stream: &str,
    write: impl FnOnce(&Connection),
) -> Vec<(Op, Vec<Option<String>>)> {
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let from = agent.durable.len();
    write(&agent.connect());
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    agent.events(stream, from)
}

#[tokio::test]
async fn each_write_becomes_one_change_in_its_order() {
    let mut agent = Agent::new(PEOPLE, json!({}));
    let events = events_of(&mut agent, "crm.people", |application| {
        let sql = "INSERT INTO people VALUES (1, 'ann', 'a@x');
             UPDATE people SET name = 'Ann' WHERE id = 1;
             UPDATE people SET id = 7 WHERE id = 1;
             DELETE FROM people;";
        application.execute_batch(sql).unwrap();
    })
    .await;
    let key_only = |id: &str| vec![Some(id.to_owned()), None, None];
    let expected = [
        (Op::Create, row(["1", "ann", "a@x"])),
        (Op::Update, row(["1", "Ann", "a@x"])),
        (Op::Delete, key_only("1")),
        (Op::Create, row(["7", "Ann", "a@x"])),
        (Op::Delete, key_only("7")),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn what_was_there_is_read_and_what_is_rolled_back_is_not() {
    let mut agent = Agent::new(&format!("{PEOPLE} INSERT INTO people VALUES (1, 'ann', NULL);"), json!({}));
    let events = events_of(&mut agent, "crm.people", |application| {
        let sql =
            "BEGIN; DELETE FROM people; ROLLBACK; INSERT OR IGNORE INTO people VALUES (1, 'eve', 'e@x');";
        application.execute_batch(sql).unwrap();
    })
    .await;
    assert_eq!(events, []);
    assert_eq!(agent.events("crm.people", 0), [(Op::Read, vec![Some("1".into()), Some("ann".into()), None])]);
}

#[tokio::test]
async fn rows_that_replace_removes_without_a_word_are_deleted() {
    for recursive in ["OFF", "ON"] {
        let rows = "INSERT INTO people VALUES (1, 'ann', 'a@x'), (2, 'bob', 'b@x'), (3, 'cid', 'c@x');";
        let mut agent = Agent::new(&format!("{PEOPLE}{rows}"), json!({}));
        events_of(&mut agent, "crm.people", |application| {
            let sql = format!(
                "PRAGMA recursive_triggers = {recursive};
                 INSERT OR REPLACE INTO people VALUES (4, 'dan', 'a@x');
                 UPDATE OR REPLACE people SET email = 'b@x' WHERE id = 3;
                 INSERT OR IGNORE INTO people VALUES (5, 'eve', 'b@x');
                 REPLACE INTO people VALUES (4, 'Dan', 'd@x');"
            );
            application.execute_batch(&sql).unwrap();
        })
        .await;
        let people = agent.replica().stream("crm.people");
        let left: Vec<_> = people.into_values().collect();
        assert_eq!(
            left,
            [row(["3", "cid", "b@x"]), row(["4", "Dan", "d@x"])],
            "recursive triggers {recursive}"
        );
    }
}

#[tokio::test]
async fn tables_with_any_kind_of_key_or_none_are_followed() {
    let tables = "CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY, n INTEGER);
        CREATE TABLE pairs (a INTEGER, b TEXT COLLATE NOCASE, v TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
        CREATE TABLE lines (line TEXT);
        CREATE TABLE sums (id INTEGER PRIMARY KEY, a INTEGER, twice INTEGER AS (a * 2), more INTEGER AS (a + 1) STORED);
        CREATE TABLE \"Odd 'names'\" (\"the \"\"key\"\"\" INTEGER PRIMARY KEY, \"select\" TEXT, rowid TEXT);";
    let mut agent = Agent::new(tables, json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let sql = "INSERT INTO words VALUES ('one', 1), ('two', 2); UPDATE words SET word = 'eins' WHERE n = 1;
         INSERT INTO pairs VALUES (1, 'x', 'a'), (2, 'x', 'b'); UPDATE pairs SET b = 'X', v = 'c' WHERE a = 1;
         DELETE FROM pairs WHERE a = 2;
         INSERT INTO lines VALUES ('same'), ('same'), ('other'); DELETE FROM lines WHERE rowid = 1;
         UPDATE lines SET line = 'Other' WHERE rowid = 3;
         INSERT INTO sums (a) VALUES (5); UPDATE sums SET a = 6;
         INSERT INTO \"Odd 'names'\" VALUES (1, 'from', 'r'); UPDATE \"Odd 'names'\" SET \"select\" = 'where';";
    agent.connect().execute_batch(sql).unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    let replica = agent.replica();
    assert_eq!(replica.surprises, [""; 0]);
    let rows = |stream| replica.stream(stream).into_values().collect::<Vec<_>>();
    assert_eq!(rows("crm.words"), [row(["eins", "1"]), row(["two", "2"])]);
    assert_eq!(rows("crm.pairs"), [row(["1", "X", "c"])]);
    assert_eq!(rows("crm.lines"), [row(["2", "same"]), row(["3", "Other"])]);
    assert_eq!(rows("crm.sums"), [row(["1", "6", "12", "7"])]);
    assert_eq!(rows("crm.Odd__names_"), [row(["1", "where", "r"])]);
}

#[tokio::test]
async fn rows_carry_what_they_were_before_if_asked() {
    let mut agent = Agent::new(PEOPLE, json!({ "before": true }));
    let events = events_of(&mut agent, "crm.people", |application| {
        let sql = "INSERT INTO people VALUES (1, 'ann', 'a@x'); UPDATE people SET name = 'Ann'; DELETE FROM people;";
        application.execute_batch(sql).unwrap();
    })
    .await;
    let before = events[1].1[3].clone().unwrap();
    assert!(before.contains("ann") && before.contains("a@x"), "{before}");
    assert_eq!(events[0].1[3], None);
    assert_eq!(events[2], (Op::Delete, vec![Some("1".into()), Some("Ann".into()), Some("a@x".into()), None]));
}

#[tokio::test]
async fn triggers_of_the_application_are_followed_to_their_end() {
    let sql = format!(
        "{PEOPLE}
         CREATE TRIGGER stamp AFTER INSERT ON people BEGIN
             UPDATE people SET name = NEW.name || '!' WHERE id = NEW.id; END;
         CREATE TRIGGER bounce AFTER INSERT ON people WHEN NEW.name = 'no' BEGIN
             DELETE FROM people WHERE id = NEW.id; END;"
    );
    let mut agent = Agent::new(&sql, json!({}));
    events_of(&mut agent, "crm.people", |application| {
        application.execute_batch("INSERT INTO people VALUES (1, 'ann', NULL), (2, 'no', NULL);").unwrap();
    })
    .await;
    let people: Vec<_> = agent.replica().stream("crm.people").into_values().collect();
    assert_eq!(people, [vec![Some("1".into()), Some("ann!".into()), None]]);
}

#[tokio::test]
async fn only_chosen_tables_are_read_and_streams_are_named_as_told() {
    let sql = "CREATE TABLE a1 (id INTEGER PRIMARY KEY); CREATE TABLE a2 (id INTEGER PRIMARY KEY);
         CREATE TABLE b (id INTEGER PRIMARY KEY); INSERT INTO a1 VALUES (1); INSERT INTO a2 VALUES (1);
         INSERT INTO b VALUES (1); CREATE VIRTUAL TABLE a3 USING fts5(text);";
    let settings = json!({ "include": ["A*"], "exclude": ["a2"], "stream": "erp.{source}-{table}" });
    let mut agent = Agent::new(sql, settings);
    agent.run().await;
    let replica = agent.replica();
    assert_eq!(replica.streams.keys().collect::<Vec<_>>(), ["erp.crm-a1"]);
}

#[tokio::test]
async fn writes_that_alternate_between_tables_do_not_make_an_emission_each() {
    let sql = "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY);";
    let mut agent = Agent::new(sql, json!({}));
    let mut run = agent.start();
    agent.receive_all(&mut run).await;
    let from = agent.durable.len();
    let application = agent.connect();
    application.execute_batch("BEGIN").unwrap();
    for id in 0..100 {
        application
            .execute_batch(&format!("INSERT INTO a VALUES ({id}); INSERT INTO b VALUES ({id});"))
            .unwrap();
    }
    application.execute_batch("COMMIT").unwrap();
    agent.receive_all(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.durable.len() - from, 2);
    // Whoever is cut off between the two goes on with the second.
    agent.durable.truncate(from + 1);
    agent.run().await;
    let replica = agent.replica();
    assert_eq!(replica.surprises, [""; 0]);
    assert_eq!((replica.stream("crm.a").len(), replica.stream("crm.b").len()), (100, 100));
}
