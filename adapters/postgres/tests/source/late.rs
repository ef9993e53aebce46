//! Tables that come later, and tables that are asked for again, are copied while changes flow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use towpath_adapter_api::{MemoryCache, Resume, Rows};
use towpath_adapter_conformance::{SourceRun, SourceStart};
use towpath_record::{Mark, Position};

use crate::harness::{Copy, Database, connect, server, shown, start_with};

const TABLES: &str = "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY, n int);
    INSERT INTO a SELECT i, 0 FROM generate_series(1, 300) i; INSERT INTO b SELECT i, 0 FROM generate_series(1, 300) i;
    CREATE PUBLICATION some_tables FOR TABLE a";

/// How long a source is silent when it has read everything; a copy that begins anew takes a moment.
const QUIET: Duration = Duration::from_secs(3);

/// A source over several runs, and the copy that it makes.
struct Story {
    cache: Arc<MemoryCache>,
    position: Position,
    marks: Vec<Mark>,
    rebuild: Option<Vec<Mark>>,
    copy: Copy,
    /// What was emitted.
    lines: Vec<String>,
}

impl Story {
    async fn new(database: &Database) -> Result<Self> {
        Ok(Self {
            cache: Arc::default(),
            position: Position::default(),
            marks: Vec::new(),
            rebuild: None,
            copy: Copy::new(database, "copy").await?,
            lines: Vec::new(),
        })
    }

    fn start(&mut self, config: &Value) -> Result<SourceRun> {
        let resume = Resume { position: self.position.clone(), rebuild: self.rebuild.take() };
        start_with(config, SourceStart { resume, cache: self.cache.clone(), ..SourceStart::default() })
    }

    /// Takes in at most so many emissions, fewer if the source falls silent; says whether it did.
    async fn follow(&mut self, run: &mut SourceRun, most: usize) -> Result<bool> {
        for _ in 0..most {
            let Some(emission) = run.next(QUIET).await? else { return Ok(true) };
            self.position = emission.position.clone();
            self.marks.extend(emission.marks.clone());
            self.lines.extend(shown(std::slice::from_ref(&emission))?);
            if matches!(emission.rows, Rows::Records { .. }) {
                self.copy.apply(emission).await?;
                self.copy.commit().await?;
            }
        }
        Ok(false)
    }

    /// Reads until all is read, and returns what was emitted.
    async fn read(&mut self, config: &Value) -> Result<Vec<String>> {
        let mut run = self.start(config)?;
        self.follow(&mut run, usize::MAX).await?;
        run.stop().await?;
        Ok(std::mem::take(&mut self.lines))
    }
}

fn truncates(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with("truncate")).count()
}

async fn equal(database: &Database, table: &str) -> Result<()> {
    let differ = format!(
        "(TABLE public.{table} EXCEPT TABLE copy.public_{table}) UNION ALL \
         (TABLE copy.public_{table} EXCEPT TABLE public.{table})"
    );
    let differ = database.texts(&format!("SELECT d::text FROM ({differ}) d")).await?;
    ensure!(differ.is_empty(), "{table}: {} rows: {:?}", differ.len(), &differ[..differ.len().min(4)]);
    Ok(())
}

fn config(database: &Database, extra: &Value) -> Value {
    let mut config = json!({ "publication": "some_tables", "heartbeat": "100ms", "batch_rows": 40 });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    database.config(&config)
}

#[tokio::test]
async fn a_table_that_comes_into_the_publication_is_copied_once() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "comes", TABLES).await?;
    let config = config(&database, &json!({}));
    let mut story = Story::new(&database).await?;
    let mut run = story.start(&config)?;
    story.follow(&mut run, usize::MAX).await?;
    ensure!(story.lines.len() == 300 && truncates(&story.lines) == 0, "{:?}", story.lines);
    database.client.batch_execute("ALTER PUBLICATION some_tables ADD TABLE b; UPDATE b SET n = 1").await?;
    story.follow(&mut run, usize::MAX).await?;
    run.stop().await?;
    equal(&database, "b").await?;
    ensure!(truncates(&story.lines) == 1);
    story.lines.clear();
    // Later runs know of it: by the cache, and by the marks if the cache is lost.
    database.client.batch_execute("UPDATE b SET n = 2 WHERE id = 1").await?;
    ensure!(story.read(&config).await? == ["update: 1 | 2"]);
    (story.cache, story.rebuild) = (Arc::default(), Some(story.marks.clone()));
    database.client.batch_execute("UPDATE b SET n = 3 WHERE id = 1").await?;
    ensure!(story.read(&config).await? == ["update: 1 | 3"]);
    // One that left and comes back has missed changes.
    database.client.batch_execute("ALTER PUBLICATION some_tables DROP TABLE b; UPDATE b SET n = 4").await?;
    ensure!(story.read(&config).await?.is_empty());
    database.client.batch_execute("ALTER PUBLICATION some_tables ADD TABLE b").await?;
    ensure!(truncates(&story.read(&config).await?) == 1);
    equal(&database, "b").await
}

#[tokio::test]
async fn a_table_is_copied_again_each_time_its_number_grows_and_only_then() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "again", TABLES).await?;
    database.client.batch_execute("ALTER PUBLICATION some_tables ADD TABLE b").await?;
    let mut story = Story::new(&database).await?;
    let at = |generation: u64| config(&database, &json!({ "resync": { "public.b": generation } }));
    ensure!(truncates(&story.read(&at(1)).await?) == 0);
    for (generation, copies) in [(1, 0), (2, 1), (2, 0), (1, 0), (5, 1), (5, 0)] {
        database.client.batch_execute("UPDATE b SET n = n + 1 WHERE id < 9; UPDATE a SET n = n + 1").await?;
        let lines = story.read(&at(generation)).await?;
        let copied = lines.iter().filter(|line| line.starts_with("read")).count();
        ensure!(truncates(&lines) == copies && copied == 300 * copies, "{generation}: {copied} of {lines:?}");
    }
    equal(&database, "a").await?;
    equal(&database, "b").await
}

/// One change at random.
fn statement(rng: &mut Rng) -> String {
    let (table, id) = (if rng.bool() { "a" } else { "b" }, rng.u32(1..600));
    match rng.u8(0..4) {
        0 => format!("INSERT INTO {table} VALUES ({id}, 1) ON CONFLICT DO NOTHING"),
        1 => format!("DELETE FROM {table} WHERE id = {id}"),
        2 => format!(
            "UPDATE {table} SET id = -id WHERE id = {id} AND NOT EXISTS (SELECT 1 FROM {table} WHERE id = -{id})"
        ),
        _ => format!("UPDATE {table} SET n = n + 1 WHERE id % 7 = {}", id % 7),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_while_changes_flow_lose_and_double_nothing_wherever_they_are_cut_off() -> Result<()> {
    let seed =
        std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(fastrand::u64(..));
    println!("TOWPATH_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let server = server()?;
    let database = Database::new(&server, "flows", TABLES).await?;
    let until = Instant::now() + Duration::from_secs(8);
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (server, mut rng) = (server.clone(), Rng::with_seed(seed ^ writer));
            tokio::spawn(async move {
                let client = connect(&server, "flows").await?;
                while Instant::now() < until {
                    let statements: Vec<_> = (0..rng.usize(1..6)).map(|_| statement(&mut rng)).collect();
                    // Two writers may want the same rows in another order; one of them gives up.
                    if client
                        .batch_execute(&format!("BEGIN; {}; COMMIT", statements.join("; ")))
                        .await
                        .is_err()
                    {
                        client.batch_execute("ROLLBACK").await?;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    let mut story = Story::new(&database).await?;
    let (mut generation, mut published) = (0, false);
    while Instant::now() < until {
        generation += rng.u64(0..2);
        let resync = json!({ "resync": { "public.a": generation }, "batch_rows": rng.usize(20..200) });
        let mut run = story.start(&config(&database, &resync))?;
        story.follow(&mut run, rng.usize(1..40)).await.context("while changes flow")?;
        if !published && rng.bool() {
            database.client.batch_execute("ALTER PUBLICATION some_tables ADD TABLE b").await?;
            published = true;
        }
        story.follow(&mut run, rng.usize(1..40)).await.context("while changes flow")?;
        run.stop().await?;
    }
    for writer in writers {
        writer.await??;
    }
    if !published {
        database.client.batch_execute("ALTER PUBLICATION some_tables ADD TABLE b").await?;
    }
    let resync = json!({ "resync": { "public.a": generation + 1 } });
    story.read(&config(&database, &resync)).await.context("at rest")?;
    equal(&database, "a").await?;
    equal(&database, "b").await
}
