//! The sink: one transaction from the first row after a commit to the next commit.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::future::{try_join, try_join3};
use tokio_postgres::Client;
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Mode, Rejection, RouteKey, Sink,
};
use towpath_record::unchanged::{self, Settled};
use towpath_record::{SchemaHash, StreamName};

use crate::config::Config;
use crate::error::PostgresError;
use crate::frame::Frame;
use crate::position::Position;
use crate::target::Target;
use crate::write::Writer;
use crate::{client, position};

/// Writes a route's rows into tables of one PostgreSQL schema.
pub struct PostgresSink {
    config: Config,
    /// Absent before `open`, after an error or a cut call, and during a call.
    session: Option<Session>,
}

/// An open connection and what is known of its database. Dropping it rolls back.
struct Session {
    config: Config,
    client: Client,
    route: RouteKey,
    position: Position,
    /// The checkpoint as this instance last read or wrote it.
    committed: Option<Checkpoint>,
    in_transaction: bool,
    /// Tables made ready by this instance, whose transaction or an earlier one holds them.
    targets: HashMap<(StreamName, SchemaHash), Target>,
}

impl PostgresSink {
    /// A sink that connects to nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config, session: None }
    }

    fn take(&mut self) -> Result<Session, AdapterError> {
        self.session.take().ok_or_else(|| PostgresError::NotOpen.at(&self.config.address()))
    }
}

#[async_trait]
impl Sink for PostgresSink {
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
    async fn open(config: Config, route: RouteKey) -> Result<Self, PostgresError> {
        let client = client::connect(&config.server()).await?;
        position::create(&client, &config).await?;
        let position = Position::prepare(&client, &config, &route).await?;
        let committed = position.read(&client).await?;
        let (in_transaction, targets) = (false, HashMap::new());
        Ok(Self { config, client, route, position, committed, in_transaction, targets })
    }

    /// Begins a transaction unless one is open. An earlier instance of this route may have been cut off in
    /// the middle of its commit, and the server may finish it after this one was opened; waiting for its lock
    /// and comparing the checkpoint shows it. The statements are sent one after another without waiting for answers;
    /// the server runs them in that order.
    async fn begin(&mut self) -> Result<(), PostgresError> {
        if self.in_transaction {
            return Ok(());
        }
        let begun = self.run("BEGIN", "begin a transaction");
        let (locked, stored) = (self.position.lock(&self.client), self.position.read(&self.client));
        let ((), (), stored) = try_join3(begun, locked, stored).await?;
        if stored != self.committed {
            return Err(PostgresError::Fenced { route: self.route });
        }
        self.in_transaction = true;
        Ok(())
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), PostgresError> {
        self.begin().await?;
        // Where the checkpoint is not stored, `COMMIT` rolls back.
        try_join(self.position.write(&self.client, checkpoint), self.run("COMMIT", "commit")).await?;
        self.in_transaction = false;
        self.targets.values().for_each(Target::ended);
        self.committed = Some(checkpoint.clone());
        Ok(())
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, PostgresError> {
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
    ) -> Result<Vec<Rejection>, PostgresError> {
        self.begin().await?;
        let id = (delivery.stream.clone(), delivery.schema.hash());
        if !self.targets.contains_key(&id) {
            let (table, number) = (self.config.table_of(&delivery.stream), self.targets.len());
            let target = Target::prepare(&self.client, &self.config, table, &delivery.schema, number).await?;
            self.targets.insert(id.clone(), target);
        }
        let target = &self.targets[&id];
        let key = target.keyed.as_ref().map_or(&[][..], |keyed| &keyed.key);
        let frame = Frame::encode(&delivery.batch, target.mode, key, delivery.link, unchanged);
        let frame = frame.map_err(PostgresError::Encode)?;
        let (accepted, mut rejections) = frame.sort_out();
        let writer =
            Writer { client: &self.client, target, frame: &frame, on_conflict: self.config.on_conflict };
        rejections.extend(writer.write(&accepted).await?);
        rejections.sort_by_key(|rejection| rejection.row);
        Ok(rejections)
    }

    async fn run(&self, sql: &str, doing: &str) -> Result<(), PostgresError> {
        self.client.batch_execute(sql).await.map_err(PostgresError::server(doing))
    }
}
