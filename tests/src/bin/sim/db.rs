//! Databases at both ends: applications write at random, and every process is killed at random, the servers among them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath_tests::engines::{
    Address, Dialect, Engine, PASSWORD, PASSWORD_VARIABLE, Shape, Table, Tally, Writer, difference,
    sqlite_rows,
};
use towpath_tests::fleet::{Fleet, Plan};
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_while_moving;

use crate::Options;

const ROUNDS: u64 = 100;
const PROGRESS_EVERY: u64 = 10;
/// Transactions of each application in a round.
const TRANSACTIONS: std::ops::Range<u32> = 5..40;
/// A sink that does not move for so long is stuck.
const STILL: Duration = Duration::from_secs(60);
/// What copies are looked at for at most this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    println!("sim db: {rounds} rounds, seed {seed}");
    let started = Instant::now();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut world = World::start(seed).await?;
    let (mut kills, mut compared) = (0, 0);
    for round in 1..=rounds {
        kills += world.write_and_kill(&mut rng).await?;
        let verdict = world.settle().await;
        match verdict {
            Ok(rows) => compared += rows,
            Err(error) => {
                println!("round {round}: {error:#}\n{}", world.fleet.post_mortem());
                println!("the fleet's directory is kept: {:?}", world.fleet.keep());
                return Ok(false);
            }
        }
        if round.is_multiple_of(PROGRESS_EVERY) {
            println!(
                "round {round:4}: {kills:5} kills, {compared:8} rows equal, {} s",
                started.elapsed().as_secs()
            );
        }
    }
    world.report(seed, rounds, kills, compared, started.elapsed());
    Ok(true)
}

/// Two servers that are written, each followed into the other and into a file of SQLite.
struct World {
    fleet: Fleet,
    engines: Vec<Engine>,
    writers: Vec<Writer>,
}

/// Where the tables of a server are kept once more.
enum Copy {
    Server(Address),
    File(PathBuf),
}

impl World {
    async fn start(seed: u64) -> Result<Self> {
        let agent_environment = vec![(PASSWORD_VARIABLE.to_owned(), PASSWORD.to_owned())];
        let fleet = Fleet::start(Plan { agent_environment, ..Plan::default() }).await?;
        let mut engines = Vec::new();
        let mut writers = Vec::new();
        for dialect in [Dialect::Postgres, Dialect::MariaDb] {
            let engine = Engine::start(dialect).await?;
            let mut writer = Writer::create(engine.address("towpath"), seed ^ writers.len() as u64).await?;
            // Something to copy before anything is followed.
            writer.write(20).await?;
            engines.push(engine);
            writers.push(writer);
        }
        let world = Self { fleet, engines, writers };
        world.fleet.apply(&world.documents()).await?;
        Ok(world)
    }

    fn documents(&self) -> Documents {
        let mut documents = Documents::new();
        for (n, engine) in self.engines.iter().enumerate() {
            let name = engine.adapter();
            let other = &self.engines[1 - n];
            let from = engine.config("towpath", &json!({ "stream": format!("{name}.{{table}}") }));
            let sqlite = json!({ "path": self.file(engine) });
            documents = documents
                .with("Source", name, &json!({ "agent": PLANT, "adapter": name, "config": from, "capture": { "linger": "5ms" } }))
                .with(
                    "Sink",
                    &format!("{name}-there"),
                    &json!({ "agent": CLOUD, "adapter": other.adapter(), "config": other.config("copy", &json!({})) }),
                )
                .with(
                    "Sink",
                    &format!("{name}-file"),
                    &json!({ "agent": CLOUD, "adapter": "sqlite", "config": sqlite }),
                );
            for sink in ["there", "file"] {
                let (sink, streams) = (format!("{name}-{sink}"), format!("{name}.*"));
                let spec = json!({
                    "streams": [streams], "sink": sink, "from": "earliest",
                    "retry": { "first": "50ms", "max": "1s" }, "breaker": { "failures": 20, "pause": "1s" },
                });
                documents = documents.with("Route", &format!("to-{sink}"), &spec);
            }
        }
        documents
    }

    fn file(&self, engine: &Engine) -> PathBuf {
        self.fleet.join(format!("{}.db", engine.adapter()))
    }

    /// Lets the applications write while processes are killed; everything runs again at the end. How many were killed.
    async fn write_and_kill(&mut self, rng: &mut fastrand::Rng) -> Result<u64> {
        let Self { fleet, engines, writers } = self;
        let transactions = rng.u32(TRANSACTIONS);
        let writing =
            futures_util::future::try_join_all(writers.iter_mut().map(|writer| writer.write(transactions)));
        let kills = rng.u64(1..4);
        let killing = async {
            for _ in 0..kills {
                pause(rng, 300).await;
                kill_one(fleet, engines, rng).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::try_join!(writing, killing)?;
        Ok(kills)
    }

    /// Waits until every copy has what its source has, by a full look at both, and lets Towpath compare them as well. How
    /// many rows are equal.
    async fn settle(&self) -> Result<u64> {
        let mut rows = 0;
        for (engine, writer) in self.engines.iter().zip(&self.writers) {
            writer.touch().await?;
            for (table, shape) in writer.shapes().await? {
                let mut connection = engine.address("towpath").connect().await?;
                let source = shape.read(&mut connection, table).await?;
                for copy in self.copies(engine) {
                    let found =
                        wait_for_copy(&copy, &format!("{}_{table}", engine.adapter()), &shape, &source)
                            .await?;
                    let differences = difference(&source, &found);
                    ensure!(
                        differences.count() == 0,
                        "{} rows of {}.{table} differ in {copy}: {differences:?}",
                        differences.count(),
                        engine.adapter(),
                    );
                    rows += source.len() as u64;
                }
            }
        }
        for engine in &self.engines {
            for sink in ["there", "file"] {
                let route = format!("to-{}-{sink}", engine.adapter());
                let compared = self.fleet.run_cli(&["compare", &route, "--settle", "30s"]);
                compared.with_context(|| {
                    format!("a full look finds route {route} equal, and `compare` does not")
                })?;
            }
        }
        Ok(rows)
    }

    fn copies(&self, engine: &Engine) -> [Copy; 2] {
        let other = self.engines.iter().find(|other| other.dialect() != engine.dialect());
        let other = other.expect("there are two servers");
        [Copy::Server(other.address("copy")), Copy::File(self.file(engine))]
    }

    fn report(&self, seed: u64, rounds: u64, kills: u64, compared: u64, took: Duration) {
        let mut table = towpath_tests::table::Table::new([
            "sim",
            "seed",
            "rounds",
            "kills",
            "transactions",
            "reshaped",
            "unknown",
            "rows equal",
            "differences",
            "seconds",
        ]);
        let sum = |of: fn(&Tally) -> u64| {
            self.writers.iter().map(|writer| of(&writer.tally)).sum::<u64>().to_string()
        };
        table.row([
            "db".to_owned(),
            seed.to_string(),
            rounds.to_string(),
            kills.to_string(),
            sum(|tally| tally.transactions),
            sum(|tally| tally.reshaped),
            sum(|tally| tally.unknown),
            compared.to_string(),
            "0".to_owned(),
            took.as_secs().to_string(),
        ]);
        println!("\n{table}");
    }
}

impl std::fmt::Display for Copy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(address) => write!(f, "the copy in {:?}", address.dialect()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The table in a copy, once it is equal to the source's or nothing has moved for long.
async fn wait_for_copy(copy: &Copy, table: &str, shape: &Shape, source: &Table) -> Result<Table> {
    let look = async || {
        tokio::time::sleep(LOOK_EVERY).await;
        // A sink that is being created or evolved cannot be read yet.
        Ok(match copy {
            Copy::File(path) => sqlite_rows(path, table, shape).unwrap_or_default(),
            Copy::Server(address) => {
                let mut connection = address.connect().await?;
                shape.read(&mut connection, table).await.unwrap_or_default()
            }
        })
    };
    wait_while_moving(STILL, look, |found| found == source).await
}

async fn kill_one(fleet: &mut Fleet, engines: &mut [Engine], rng: &mut fastrand::Rng) -> Result<()> {
    match rng.u8(0..5) {
        0 => {
            fleet.control.kill()?;
            pause(rng, 300).await;
            fleet.control.restart()
        }
        victim @ 1..=2 => {
            let agent = fleet.agent(if victim == 1 { PLANT } else { CLOUD });
            agent.kill()?;
            pause(rng, 300).await;
            agent.start()
        }
        victim => {
            let engine = &mut engines[usize::from(victim - 3)];
            engine.kill()?;
            pause(rng, 300).await;
            engine.restart()
        }
    }
}

async fn pause(rng: &mut fastrand::Rng, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.u64(0..most_ms))).await;
}
