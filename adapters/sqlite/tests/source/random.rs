//! An application that writes at random while the source is killed at random: what was emitted, replayed, is what is
//! in the tables, and no row comes twice. A failure names its seed; `TOWPATH_SEED` runs it again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Agent, connect};
use crate::replica::content;

const TABLES: &str = "
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, score REAL, photo BLOB, code INTEGER UNIQUE);
    CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY, n INTEGER);
    CREATE TABLE pairs (a INTEGER, b TEXT, v TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
    CREATE TABLE lines (line TEXT);
";

/// Each stream, how many columns its key has, and the query of what it should hold.
const QUERIES: [(&str, usize, &str); 4] = [
    ("crm.people", 1, "SELECT id, id, name, score, photo, code FROM people"),
    ("crm.words", 1, "SELECT word, word, n FROM words"),
    ("crm.pairs", 2, "SELECT b, a, a, b, v FROM pairs"),
    ("crm.lines", 1, "SELECT rowid, rowid, line FROM lines"),
];

/// How the application writes.
#[derive(Clone, Copy)]
struct Habits {
    /// Whether rows replace others, which then go without a word to triggers.
    replaces: bool,
    journal: &'static str,
}

fn write_once(database: &Connection, rng: &mut Rng, habits: Habits) {
    let id = rng.i64(1..60);
    let other = rng.i64(1..60);
    let verb = if habits.replaces { "INSERT OR REPLACE" } else { "INSERT OR IGNORE" };
    let update = if habits.replaces { "UPDATE OR REPLACE" } else { "UPDATE OR IGNORE" };
    let number = rng.u32(..);
    let sql = match rng.u8(0..14) {
        0..3 => {
            format!("{verb} INTO people VALUES ({id}, 'p{number}', {number} / 7.0, x'{number:08x}', {other})")
        }
        3 => format!("{update} people SET name = 'q{number}', code = {other} WHERE id = {id}"),
        4 => format!("{update} people SET id = {other} WHERE id = {id}"),
        5 => format!("DELETE FROM people WHERE id = {id}"),
        6 => format!("{verb} INTO words VALUES ('w{id}', {number})"),
        7 => format!("{update} words SET word = 'w{other}' WHERE word = 'w{id}'"),
        8 => format!("DELETE FROM words WHERE word = 'w{id}'"),
        9 => format!("{verb} INTO pairs VALUES ({}, 'b{}', 'v{number}')", id % 8, other % 8),
        10 => format!(
            "{update} pairs SET a = {}, v = 'u' WHERE b = 'b{}' AND a = {}",
            other % 8,
            id % 8,
            id % 7
        ),
        11 => format!("DELETE FROM pairs WHERE a = {}", id % 8),
        12 => format!("INSERT INTO lines VALUES ('l{number}'), ('m')"),
        _ => format!("DELETE FROM lines WHERE rowid % 13 = {}", id % 13),
    };
    database.execute_batch(&sql).unwrap();
}

fn write_transaction(database: &Connection, rng: &mut Rng, habits: Habits) {
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..rng.u8(1..6) {
        write_once(database, rng, habits);
    }
    let end = if rng.u8(0..8) == 0 { "ROLLBACK" } else { "COMMIT" };
    database.execute_batch(end).unwrap();
}

fn write_until(path: PathBuf, seed: u64, habits: Habits, enough: &AtomicBool) {
    let database = connect(&path);
    let mut rng = Rng::with_seed(seed);
    while !enough.load(Ordering::Relaxed) {
        write_transaction(&database, &mut rng, habits);
        std::thread::sleep(Duration::from_micros(rng.u64(0..4_000)));
    }
}

fn is_equal(agent: &Agent) -> bool {
    let (database, replica) = (agent.connect(), agent.replica());
    QUERIES.iter().all(|(stream, key, query)| replica.stream(stream) == content(&database, *key, query))
}

async fn replays_to_what_is_there(seed: u64, habits: Habits) {
    let mut rng = Rng::with_seed(seed);
    let settings = json!({ "batch": { "rows": rng.usize(1..40) }, "poll": "2ms" });
    let mut agent = Agent::new(&format!("PRAGMA journal_mode = {}; {TABLES}", habits.journal), settings);
    {
        let application = agent.connect();
        (0..150).for_each(|_| write_transaction(&application, &mut rng, habits));
    }
    let enough = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (path, enough, seed) = (agent.path(), enough.clone(), rng.u64(..));
        move || write_until(path, seed, habits, &enough)
    });
    for _ in 0..rng.u8(5..12) {
        let mut run = agent.start();
        for _ in 0..rng.u8(1..25) {
            agent.receive(&mut run).await;
            if rng.u8(0..4) == 0 {
                agent.release(&run).await;
            }
        }
        run.stop().await.unwrap();
        // What had not become durable is emitted again.
        let lost = rng.usize(0..4).min(agent.durable.len() - agent.released);
        agent.durable.truncate(agent.durable.len() - lost);
    }
    enough.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let mut run = agent.start();
    agent.receive_until(&mut run, is_equal).await;
    agent.receive_all(&mut run).await;
    agent.release(&run).await;
    run.stop().await.unwrap();
    assert!(is_equal(&agent), "seed {seed}");
    assert_eq!(agent.changes_kept(), 0, "seed {seed}");
    assert_eq!(agent.letters(), [], "seed {seed}");
    if !habits.replaces {
        assert_eq!(agent.replica().surprises, [""; 0], "seed {seed}");
    }
}

async fn rounds(habits: Habits) {
    let given = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or_else(|| (0..4).map(|_| fastrand::u64(..)).collect(), |seed| vec![seed]);
    for seed in seeds {
        eprintln!("TOWPATH_SEED={seed}");
        replays_to_what_is_there(seed, habits).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_arrives_once_whatever_is_written_and_killed() {
    rounds(Habits { replaces: false, journal: "wal" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_arrives_once_from_a_database_with_a_rollback_journal() {
    rounds(Habits { replaces: false, journal: "delete" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_replaced_are_replaced_in_the_stream() {
    rounds(Habits { replaces: true, journal: "wal" }).await;
}
