//! The sink: one transaction from the first row after a commit to the next commit.
//!
//! A failure that is not a row's ends the instance, and the open transaction with it.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::Connection;
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Mode, OnConflict, Rejection,
    RouteKey, Sink,
};
use towpath_record::unchanged::{self, Settled};
use towpath_record::{SchemaHash, StreamName};

use crate::config::Config;
use crate::error::{RowRefusal, SqliteError};
use crate::target::Target;
use crate::write::{RowError, Writer, noted, ops, values};
use crate::{client, position};

/// Writes a route's rows into tables of one SQLite database.
pub struct SqliteSink {
    config: Config,
    /// Absent before `open`, after an error, and while a worker thread has it.
    session: Option<Session>,
}

/// An open database and what is known of it.
struct Session {
    config: Config,
    database: Connection,
    route: RouteKey,
    /// The checkpoint as this instance last read or wrote it.
    committed: Option<Checkpoint>,
    /// Tables made ready by this instance, whose transaction or an earlier one holds them.
    targets: HashMap<(StreamName, SchemaHash), Target>,
}

impl SqliteSink {
    /// A sink that opens nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config, session: None }
    }

    /// Works on the session in a thread that may block. The session is lost, and its transaction rolled back,
    /// when the work fails.
    async fn with_session<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Session) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, AdapterError> {
        let path = self.config.path.clone();
        let mut session = self.session.take().ok_or(SqliteError::NotOpen { path: path.clone() })?;
        let worked =
            tokio::task::spawn_blocking(move || work(&mut session).map(|value| (value, session))).await;
        let (value, session) = worked.map_err(|source| SqliteError::Worker { path, source })??;
        self.session = Some(session);
        Ok(value)
    }
}

#[async_trait]
impl Sink for SqliteSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn open(&mut self, route: &RouteKey) -> Result<Option<Checkpoint>, AdapterError> {
        let (config, route) = (self.config.clone(), *route);
        let opened = tokio::task::spawn_blocking(move || Session::open(config, route)).await;
        let path = self.config.path.clone();
        let session = opened.map_err(|source| SqliteError::Worker { path, source })??;
        let checkpoint = session.committed.clone();
        self.session = Some(session);
        Ok(checkpoint)
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, AdapterError> {
        let delivery = delivery.clone();
        self.with_session(move |session| session.apply(&delivery)).await
    }

    async fn commit(&mut self, checkpoint: &Checkpoint, _: CommitReason) -> Result<Durability, AdapterError> {
        let checkpoint = checkpoint.clone();
        self.with_session(move |session| session.commit(checkpoint)).await?;
        Ok(Durability::Durable)
    }
}

impl Session {
    fn open(config: Config, route: RouteKey) -> Result<Self, SqliteError> {
        let database = client::open(&config.path, config.busy_timeout.0)?;
        let mut session = Self { config, database, route, committed: None, targets: HashMap::new() };
        let created = position::create(&session.database);
        created.map_err(|e| session.fault("create the table of checkpoints", e))?;
        session.committed = session.stored_checkpoint()?;
        Ok(session)
    }

    /// Begins a transaction unless one is open. An earlier instance of this route may have been cut off in
    /// the middle of its commit and may finish it after this one was opened; taking the write lock and
    /// comparing the checkpoint shows it.
    fn begin(&self) -> Result<(), SqliteError> {
        if !self.database.is_autocommit() {
            return Ok(());
        }
        self.database.execute_batch("BEGIN IMMEDIATE").map_err(|e| self.fault("begin a transaction", e))?;
        if self.stored_checkpoint()? != self.committed {
            return Err(SqliteError::Fenced { path: self.config.path.clone(), route: self.route });
        }
        Ok(())
    }

    fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, SqliteError> {
        self.begin()?;
        // Only a sink that tells rows apart can leave a value as it is; one that adds rows keeps what the source
        // told.
        let mode = Mode::of(self.config.mode, &delivery.schema, self.config.deleted_at());
        let settled = match mode.is_ok_and(Mode::is_keyed) {
            true => unchanged::settle(&delivery.schema, &delivery.batch),
            false => None,
        };
        match settled {
            Some(Settled { schema, batch, unchanged }) => {
                self.apply_settled(&Delivery { schema, batch, ..delivery.clone() }, &unchanged)
            }
            None => self.apply_settled(delivery, &[]),
        }
    }

    fn apply_settled(
        &mut self,
        delivery: &Delivery,
        unchanged: &[Vec<usize>],
    ) -> Result<Vec<Rejection>, SqliteError> {
        let id = (delivery.stream.clone(), delivery.schema.hash());
        if !self.targets.contains_key(&id) {
            let table = self.config.table_of(&delivery.stream);
            let target = Target::prepare(&self.database, &self.config, table, &delivery.schema)?;
            self.targets.insert(id.clone(), target);
        }
        self.write(&self.targets[&id], delivery, unchanged)
    }

    fn write(
        &self,
        target: &Target,
        delivery: &Delivery,
        unchanged: &[Vec<usize>],
    ) -> Result<Vec<Rejection>, SqliteError> {
        let unencodable = |source| SqliteError::Encode { path: self.config.path.clone(), source };
        let failed = |e| self.fault(&format!("write rows to table {:?}", target.table), e);
        let batch = noted(&delivery.batch, target.mode, delivery.link).map_err(unencodable)?;
        let columns = values(&batch).map_err(unencodable)?;
        let mut writer = Writer::new(&self.database, target, columns).map_err(failed)?;
        let mut rejections = Vec::new();
        for (row, op) in (0u32..).zip(ops(&delivery.batch)) {
            let kept = unchanged.get(row as usize).map_or(&[][..], Vec::as_slice);
            match writer.apply(op, row as usize, kept) {
                Ok(()) => {}
                Err(RowError::Failed(error)) => return Err(failed(error)),
                Err(RowError::Refused(refusal)) => {
                    let reason = self.refused(target, refusal)?;
                    rejections.push(Rejection { row, reason });
                }
            }
        }
        Ok(rejections)
    }

    /// The reason of a row that becomes a dead letter.
    fn refused(&self, target: &Target, refusal: RowRefusal) -> Result<String, SqliteError> {
        match (refusal, self.config.on_conflict) {
            (RowRefusal::Constraint(reason), OnConflict::Stop) => Err(SqliteError::Conflict {
                path: self.config.path.clone(),
                table: target.table.clone(),
                reason,
            }),
            (RowRefusal::Constraint(reason) | RowRefusal::Value(reason), _) => Ok(reason),
        }
    }

    fn commit(&mut self, checkpoint: Checkpoint) -> Result<(), SqliteError> {
        self.begin()?;
        position::write(&self.database, &self.route, &checkpoint)
            .map_err(|e| self.fault("store the checkpoint", e))?;
        self.database.execute_batch("COMMIT").map_err(|e| self.fault("commit", e))?;
        self.committed = Some(checkpoint);
        Ok(())
    }

    fn stored_checkpoint(&self) -> Result<Option<Checkpoint>, SqliteError> {
        position::read(&self.database, &self.route).map_err(|e| self.fault("read the checkpoint", e))
    }

    fn fault(&self, doing: &str, source: rusqlite::Error) -> SqliteError {
        SqliteError::Database { path: self.config.path.clone(), doing: doing.to_owned(), source }
    }
}
