//! The scene that most tests play in: a plant that reads an ERP's drop folders, a cloud that writes a database and
//! an outbox of files, and an account of every row for each of the two.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::account::{Account, Faults};
use crate::data::{DropFile, Feed, Generator, Mix};
use crate::fleet::{Fleet, PATIENCE, Plan};
use crate::proxy::Proxy;
use crate::resources::Documents;
use crate::sinks::{FileReader, SqliteReader};
use crate::wait::{wait_until, wait_while_moving};

/// The agent that reads.
pub const PLANT: &str = "plant";
/// The agent that writes.
pub const CLOUD: &str = "cloud";

/// A row that has not moved for so long is taken for lost. Longer than every pause of a retry and of a reconnect.
const STILL: Duration = Duration::from_secs(75);

/// How the scene is set up.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The seed of the files and of the network's weather.
    pub seed: u64,
    /// What the files are like.
    pub mix: Mix,
    /// The processes.
    pub plan: Plan,
    /// Whether the agents reach the control plane through a proxy.
    pub through_proxy: bool,
    /// The format of the outbox.
    pub outbox_format: &'static str,
}

impl Setting {
    /// The usual scene.
    pub fn new(seed: u64) -> Self {
        let plan = Plan::default();
        Self { seed, mix: Mix::default(), plan, through_proxy: false, outbox_format: "json_lines" }
    }
}

/// The running scene.
pub struct Scene {
    /// The processes.
    pub fleet: Fleet,
    /// The network between agents and control plane, if it is to misbehave.
    pub proxy: Option<Proxy>,
    /// Makes the files.
    pub generator: Generator,
    database: Ledger<SqliteReader>,
    outbox: Ledger<FileReader>,
    dropped_files: usize,
}

struct Ledger<R> {
    account: Account,
    reader: R,
}

impl Scene {
    /// Starts processes and applies resources.
    ///
    /// # Errors
    /// Something did not come up.
    pub async fn start(setting: Setting) -> Result<Self> {
        let Setting { seed, mix, plan, through_proxy, outbox_format } = setting;
        let mut fleet = Fleet::start_control(plan).await?;
        let proxy = match through_proxy {
            true => Some(Proxy::start(fleet.control.port(), seed).await?),
            false => None,
        };
        let port = proxy.as_ref().map_or(fleet.control.port(), Proxy::port);
        for name in [PLANT, CLOUD] {
            let added = fleet.add_agent(name, port).await;
            added.with_context(|| fleet.post_mortem())?;
        }
        let mut scene = Self::of_fleet(fleet, seed, mix)?;
        scene.proxy = proxy;
        scene.apply(outbox_format).await?;
        Ok(scene)
    }

    /// A scene of a fleet that runs already and has agents of both names; resources are not applied yet.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn of_fleet(fleet: Fleet, seed: u64, mix: Mix) -> Result<Self> {
        for folder in ["drop/erp", "drop/wms", "out/files"] {
            std::fs::create_dir_all(fleet.join(folder))?;
        }
        let (database, outbox) = (fleet.join("out/erp.db"), fleet.join("out/files"));
        Ok(Self {
            fleet,
            proxy: None,
            generator: Generator::new(seed, mix),
            database: Ledger { account: Account::default(), reader: SqliteReader::new(&database) },
            outbox: Ledger { account: Account::default(), reader: FileReader::new(&outbox) },
            dropped_files: 0,
        })
    }

    /// Applies the scene's resources.
    ///
    /// # Errors
    /// One of them was refused.
    pub async fn apply(&self, outbox_format: &str) -> Result<()> {
        let fleet = &self.fleet;
        let documents = Documents::new()
            .with_file_source("erp", PLANT, &fleet.join("drop/erp"), &[Feed::Customers, Feed::Orders])
            .with_file_source("wms", PLANT, &fleet.join("drop/wms"), &[Feed::Movements, Feed::Journal])
            .with_sqlite_sink("database", CLOUD, &fleet.join("out/erp.db"))
            .with_file_sink("outbox", CLOUD, &fleet.join("out/files"), outbox_format)
            .with_route("to-database", "database")
            .with_route("to-outbox", "outbox");
        fleet.apply(&documents).await
    }

    /// The folder into which a feed's files are dropped.
    pub fn folder(&self, feed: Feed) -> PathBuf {
        match feed {
            Feed::Customers | Feed::Orders => self.fleet.join("drop/erp"),
            Feed::Movements | Feed::Journal => self.fleet.join("drop/wms"),
        }
    }

    /// Drops the next file of any feed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn drop_any(&mut self) -> Result<DropFile> {
        let file = self.generator.any()?;
        self.drop_file(file)
    }

    /// Drops the next file of a feed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn drop_of(&mut self, feed: Feed) -> Result<DropFile> {
        let file = self.generator.file(feed)?;
        self.drop_file(file)
    }

    fn drop_file(&mut self, file: DropFile) -> Result<DropFile> {
        self.database.account.expect(&file);
        self.outbox.account.expect(&file);
        file.drop_into(&self.folder(file.feed))?;
        self.dropped_files += 1;
        Ok(file)
    }

    /// How many rows each sink must hold.
    pub fn expected_rows(&self) -> usize {
        self.database.account.expected_rows()
    }

    /// How many files were dropped.
    pub fn dropped_files(&self) -> usize {
        self.dropped_files
    }

    /// Waits until both sinks hold every row, or nothing moves any more, and says what is wrong.
    ///
    /// # Errors
    /// A sink cannot be read.
    pub async fn settle(&mut self) -> Result<Faults> {
        let expected = self.expected_rows();
        let measure = async || {
            self.look()?;
            Ok((self.database.account.found_rows(), self.outbox.account.found_rows()))
        };
        wait_while_moving(STILL, measure, |found| *found == (expected, expected)).await?;
        Ok(self.faults())
    }

    /// Reads what is new in the sinks.
    ///
    /// # Errors
    /// A sink cannot be read.
    pub fn look(&mut self) -> Result<()> {
        self.database.reader.read_into(&mut self.database.account).context("the database")?;
        self.outbox.reader.read_into(&mut self.outbox.account).context("the outbox")
    }

    /// What is wrong in either sink so far.
    pub fn faults(&self) -> Faults {
        let (database, outbox) = (self.database.account.faults(), self.outbox.account.faults());
        database.named("database").and(outbox.named("outbox"))
    }

    /// How many rows have arrived in the database.
    pub fn rows_in_database(&self) -> usize {
        self.database.account.found_rows()
    }

    /// Reads both sinks anew from the beginning, after time for late repeats, and says what is wrong.
    ///
    /// # Errors
    /// A sink cannot be read.
    pub async fn read_again(&self) -> Result<Faults> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (mut database, mut outbox) = (self.database.account.afresh(), self.outbox.account.afresh());
        SqliteReader::new(&self.fleet.join("out/erp.db")).read_into(&mut database)?;
        FileReader::new(&self.fleet.join("out/files")).read_into(&mut outbox)?;
        Ok(database.faults().named("database").and(outbox.faults().named("outbox")))
    }

    /// Checks that each bad line became one dead letter, for streams with no more than can be listed at once.
    ///
    /// # Errors
    /// One is missing or there twice.
    pub async fn check_dead_letters(&self) -> Result<usize> {
        let mut all = 0;
        for feed in Feed::ALL {
            let expected = self.database.account.expected_dead_letters(feed);
            let listed = self.fleet.api().dead_letters(&feed.stream()).await?;
            ensure!(
                listed.len() == expected,
                "{}: {} dead letters are listed for {expected} bad lines",
                feed.stream(),
                listed.len()
            );
            all += expected;
        }
        Ok(all)
    }

    /// Waits until every dropped file was put away, which is done when its rows are durable in the region log.
    ///
    /// # Errors
    /// A file still lies in its drop folder after a long time, or the archive has fewer than were dropped.
    pub async fn wait_archived(&self) -> Result<()> {
        let put_away = async || Ok(self.check_archived().ok());
        match wait_until("every file is put away", PATIENCE, put_away).await {
            Ok(()) => Ok(()),
            Err(_) => self.check_archived().with_context(|| self.fleet.post_mortem()),
        }
    }

    fn check_archived(&self) -> Result<()> {
        let mut archived = 0;
        for folder in ["drop/erp", "drop/wms"] {
            let folder = self.fleet.join(folder);
            let left: Vec<_> = files_in(&folder)?;
            ensure!(left.is_empty(), "{} still holds {left:?}", folder.display());
            archived += files_in(&folder.join("archive"))?.len();
        }
        ensure!(archived == self.dropped_files, "{archived} of {} files are archived", self.dropped_files);
        Ok(())
    }

    /// One line of status, for a failed run.
    pub async fn status(&self) -> String {
        match self.fleet.api().get("/v1/status").await {
            Ok(status) => serde_json::to_string_pretty(&status).unwrap_or_else(|_| json!(null).to_string()),
            Err(error) => format!("{error:#}"),
        }
    }
}

fn files_in(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}
