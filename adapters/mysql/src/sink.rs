//! The sink: one transaction from the first row after a commit to the next commit.
//!
//! MySQL commits what was written before a table is created or extended. So that happens on a connection of its
//! own; and where rows were already written, one of whose tables the extension might wait for, they are rolled back
//! first and delivered again.

use std::collections::HashMap;

use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Mode, Rejection, RouteKey, Sink,
};
use towpath_record::unchanged::{self, Settled};
use towpath_record::{SchemaHash, StreamName};

use crate::client::{self, Flavor};
use crate::config::Config;
use crate::error::MysqlError;
use crate::frame::Frame;
use crate::load::Limits;
use crate::position;
use crate::table::{Need, Shape};
use crate::target::Target;
use crate::write::Writer;

/// Settings of a session that writes:
/// * A value that does not fit is an error, and a table has the engine that was asked for.
/// * A wait for a lock ends, so that the agent can say what it waits for.
/// * Notes, such as one of a digit that was rounded away, are no warnings; a statement without a condition is meant.
/// * Rows that others write are seen as soon as they are committed, and gaps between rows are not locked.
const SETTINGS: &str = "\
    SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
    innodb_lock_wait_timeout = 30, lock_wait_timeout = 30, sql_notes = 0, sql_safe_updates = 0; \
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The transaction of an agent that vanished without a word ends, and with it its locks. MySQL has no such setting.
const MARIADB_SETTINGS: &str = "SET idle_transaction_timeout = 600";

/// Writes a route's rows into tables of one database.
pub struct MysqlSink {
    config: Config,
    /// Absent before `open`, after an error or a cut call, and during a call.
    session: Option<Session>,
}

/// An open connection and what is known of its database. Dropping it rolls back.
struct Session {
    config: Config,
    connection: Conn,
    flavor: Flavor,
    limits: Limits,
    route: RouteKey,
    /// The checkpoint as this instance last read or wrote it.
    committed: Option<Checkpoint>,
    in_transaction: bool,
    /// Whether rows were written in the open transaction.
    has_written: bool,
    /// Tables made ready by this instance.
    targets: HashMap<(StreamName, SchemaHash), Target>,
}

impl MysqlSink {
    /// A sink that connects to nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config, session: None }
    }

    fn take(&mut self) -> Result<Session, AdapterError> {
        self.session.take().ok_or_else(|| MysqlError::NotOpen.at(&self.config.address()))
    }
}

#[async_trait]
impl Sink for MysqlSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn open(&mut self, route: &RouteKey) -> Result<Option<Checkpoint>, AdapterError> {
        let opened = Session::open(self.config.clone(), *route).await;
        let session = opened.map_err(|error| error.at(&self.config.address()))?;
        let checkpoint = session.committed.clone();
        self.session = Some(session);
        Ok(checkpoint)
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, AdapterError> {
        let mut session = self.take()?;
        let applied = session.apply(delivery).await;
        let rejections = applied.map_err(|error| error.at(&self.config.address()))?;
        self.session = Some(session);
        Ok(rejections)
    }

    async fn commit(&mut self, checkpoint: &Checkpoint, _: CommitReason) -> Result<Durability, AdapterError> {
        let mut session = self.take()?;
        session.commit(checkpoint).await.map_err(|error| error.at(&self.config.address()))?;
        self.session = Some(session);
        Ok(Durability::Durable)
    }
}

impl Session {
    async fn open(config: Config, route: RouteKey) -> Result<Self, MysqlError> {
        let server = config.server();
        // An update counts the rows that it finds, also those that it leaves as they were.
        let options = server.options()?.client_found_rows(true);
        let mut connection = client::connect_with(&server, options).await?;
        let flavor = set_up(&mut connection).await?;
        let limits = limits(&mut connection, &config).await?;
        position::create(&mut connection).await?;
        let committed = position::open(&mut connection, &route).await?;
        Ok(Self {
            config,
            connection,
            flavor,
            limits,
            route,
            committed,
            in_transaction: false,
            has_written: false,
            targets: HashMap::new(),
        })
    }

    /// Begins a transaction unless one is open. An earlier instance of this route may have been cut off in
    /// the middle of its commit, and the server may finish it after this one was opened; waiting for its lock
    /// and comparing the checkpoint shows it.
    async fn begin(&mut self) -> Result<(), MysqlError> {
        if self.in_transaction {
            return Ok(());
        }
        self.run("START TRANSACTION", "begin a transaction").await?;
        if position::lock(&mut self.connection, &self.route).await? != self.committed {
            return Err(MysqlError::Fenced { route: self.route });
        }
        self.in_transaction = true;
        Ok(())
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), MysqlError> {
        self.begin().await?;
        position::write(&mut self.connection, &self.route, checkpoint).await?;
        self.run("COMMIT", "commit").await?;
        (self.in_transaction, self.has_written) = (false, false);
        self.committed = Some(checkpoint.clone());
        Ok(())
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, MysqlError> {
        // Only a sink that tells rows apart can leave a value as it is; one that adds rows keeps what the source
        // told.
        let mode = Mode::of(self.config.mode, &delivery.schema, self.config.deleted_at());
        let settled = match mode.is_ok_and(Mode::is_keyed) {
            true => unchanged::settle(&delivery.schema, &delivery.batch),
            false => None,
        };
        match settled {
            Some(Settled { schema, batch, unchanged }) => {
                self.apply_settled(&Delivery { schema, batch, ..delivery.clone() }, unchanged).await
            }
            None => self.apply_settled(delivery, Vec::new()).await,
        }
    }

    async fn apply_settled(
        &mut self,
        delivery: &Delivery,
        unchanged: Vec<Vec<usize>>,
    ) -> Result<Vec<Rejection>, MysqlError> {
        self.begin().await?;
        let id = (delivery.stream.clone(), delivery.schema.hash());
        if !self.targets.contains_key(&id) {
            let target = self.prepare(delivery).await?;
            self.targets.insert(id.clone(), target);
        }
        let target = &self.targets[&id];
        let key = target.keyed.as_ref().map_or(&[][..], |keyed| &keyed.key);
        let frame = Frame::encode(&delivery.batch, target.mode, key, delivery.link, unchanged);
        let frame = frame.map_err(|source| MysqlError::Arrow { doing: "encoded", source })?;
        let (accepted, mut rejections) = frame.sort_out();
        self.has_written |= !accepted.is_empty();
        let mut writer = Writer {
            connection: &mut self.connection,
            limits: &mut self.limits,
            target,
            frame: &frame,
            on_conflict: self.config.on_conflict,
        };
        rejections.extend(writer.write(&accepted).await?);
        rejections.sort_by_key(|rejection| rejection.row);
        Ok(rejections)
    }

    /// Makes the table of a stream ready.
    async fn prepare(&mut self, delivery: &Delivery) -> Result<Target, MysqlError> {
        let (config, schema) = (self.config.clone(), &delivery.schema);
        let table = config.table_of(&delivery.stream);
        let mode = Mode::of(config.mode, schema, config.deleted_at());
        let mode = mode.map_err(|reason| MysqlError::Unfit { table: table.clone(), reason })?;
        let shape = Shape { table: &table, mode, schema, config: &config, flavor: self.flavor };
        let (found, need) = shape.needs(&mut self.connection).await?;
        let found = match need {
            None => found,
            Some(need) => {
                self.alter(&table, &need).await?;
                let (found, still) = shape.needs(&mut self.connection).await?;
                match still {
                    None => found,
                    Some(_) => return Err(shape.unfit("it lost what it was just given; try again")),
                }
            }
        };
        Target::new(&shape, &found, self.targets.len())
    }

    async fn alter(&mut self, table: &str, need: &Need) -> Result<(), MysqlError> {
        let rolls_back = matches!(need, Need::Extend(_)) && self.has_written;
        if rolls_back {
            self.run("ROLLBACK", "roll back").await?;
        }
        let (Need::Create(sql) | Need::Extend(sql)) = need;
        let mut side = client::connect(&self.config.server()).await?;
        set_up(&mut side).await?;
        let altered = side.query_drop(sql).await;
        altered.map_err(MysqlError::server(format!("create or extend table {table}")))?;
        // What it was for is done; whether its end is heard does not matter.
        let _ = side.disconnect().await;
        match rolls_back {
            true => Err(MysqlError::Extended { table: table.to_owned() }),
            false => Ok(()),
        }
    }

    async fn run(&mut self, sql: &str, doing: &str) -> Result<(), MysqlError> {
        self.connection.query_drop(sql).await.map_err(MysqlError::server(doing))
    }
}

/// Gives a connection the settings of a session that writes, and says of which family its server is.
///
/// # Errors
/// The server fails, or refuses a setting.
pub(crate) async fn set_up(connection: &mut Conn) -> Result<Flavor, MysqlError> {
    let flavor = client::flavor(connection).await?;
    let set_up = || MysqlError::server("set up the session");
    connection.query_drop(SETTINGS).await.map_err(set_up())?;
    if flavor == Flavor::MariaDb {
        connection.query_drop(MARIADB_SETTINGS).await.map_err(set_up())?;
    }
    Ok(flavor)
}

/// What the server allows, if it keeps what it commits.
async fn limits(connection: &mut Conn, config: &Config) -> Result<Limits, MysqlError> {
    const SQL: &str = "SELECT @@innodb_flush_log_at_trx_commit, @@GLOBAL.local_infile, @@max_allowed_packet";
    let found: Option<(u8, bool, usize)> =
        connection.query_first(SQL).await.map_err(MysqlError::server("read the server's settings"))?;
    let (setting, local_infile, max_packet) = found.unwrap_or((1, false, 1 << 20));
    if setting != 1 && !config.accept_lossy_commits {
        return Err(MysqlError::Lossy { setting });
    }
    Ok(Limits { local_infile, max_packet })
}
