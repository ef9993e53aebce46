//! The sink: one transaction from the first row after a commit to the next commit.
//!
//! SQLite undoes a statement that a row's constraint stops, and only that statement, so a refused row costs
//! its neighbours nothing. Any other failure ends the instance, and the open transaction with it.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_schema::ArrowError;
use async_trait::async_trait;
use rusqlite::{CachedStatement, Connection};
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Rejection, RouteKey, Sink,
};
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::unchanged::{self, Settled};
use towpath_record::{Op, SchemaHash, StreamName};

use crate::config::Config;
use crate::encode::{Values, formattable};
use crate::error::{SqliteError, refusal};
use crate::table::{Delete, Target, Update, is_keyed};
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
        // Only a sink that replaces rows can leave a value as it is; one that adds rows keeps what the source told.
        let settled = match is_keyed(&self.config, &delivery.schema) {
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
        let target = &self.targets[&id];
        self.write(target, delivery, unchanged)
            .map_err(|e| self.fault(&format!("write rows to table {:?}", target.table), e))
    }

    fn write(
        &self,
        target: &Target,
        delivery: &Delivery,
        unchanged: &[Vec<usize>],
    ) -> rusqlite::Result<Vec<Rejection>> {
        let unformattable = |error: ArrowError| rusqlite::Error::ToSqlConversionFailure(error.into());
        let batch = formattable(&delivery.batch).map_err(unformattable)?;
        let named = batch.schema_ref().fields().iter().zip(batch.columns());
        let columns = named.skip(RESERVED_COLUMNS).map(|(field, array)| Values::new(field, array));
        let mut columns = columns.collect::<Result<Vec<_>, _>>().map_err(unformattable)?;
        let mut writer = Writer {
            write: self.database.prepare_cached(&target.write)?,
            delete: match &target.delete {
                Some(delete) => Some(Deleter {
                    by_key: self.database.prepare_cached(&delete.by_key)?,
                    all: self.database.prepare_cached(&delete.all)?,
                    delete,
                }),
                None => None,
            },
        };
        let mut rejections = Vec::new();
        for (row, &code) in (0u32..).zip(batch.column(0).as_primitive::<UInt8Type>().values()) {
            let kept = unchanged.get(row as usize).filter(|kept| !kept.is_empty());
            let applied = match (kept, Op::from_code(code)) {
                (Some(kept), Some(Op::Update)) => {
                    self.update(target, delivery, kept, row as usize, &mut columns)
                }
                _ => writer.apply(code, row as usize, &mut columns),
            };
            match applied {
                Ok(()) => {}
                Err(RowError::Refused(reason)) => rejections.push(Rejection { row, reason }),
                Err(RowError::Failed(error)) => match refusal(&error) {
                    // A trigger may have rolled the whole transaction back; then the batch has failed.
                    Some(reason) if !self.database.is_autocommit() => {
                        rejections.push(Rejection { row, reason });
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(rejections)
    }

    /// Writes a row but for the columns that keep their values.
    fn update(
        &self,
        target: &Target,
        delivery: &Delivery,
        kept: &[usize],
        row: usize,
        columns: &mut [Values<'_>],
    ) -> Result<(), RowError> {
        let Some(update) = Update::of(&target.table, &delivery.schema, kept) else { return Ok(()) };
        check_key(&update.key, columns, row)?;
        let mut statement = self.database.prepare_cached(&update.sql).map_err(RowError::Failed)?;
        execute(&mut statement, columns, update.parameters, row)?;
        match self.database.changes() {
            0 => Err(RowError::Refused(
                "the row leaves values as they are, and the table has no row with its key; copy the source again"
                    .to_owned(),
            )),
            _ => Ok(()),
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

/// The prepared statements of a target.
struct Writer<'c, 't> {
    write: CachedStatement<'c>,
    delete: Option<Deleter<'c, 't>>,
}

struct Deleter<'c, 't> {
    by_key: CachedStatement<'c>,
    all: CachedStatement<'c>,
    delete: &'t Delete,
}

/// Why a row was not written.
enum RowError {
    /// This adapter refuses the row.
    Refused(String),
    /// SQLite failed.
    Failed(rusqlite::Error),
}

impl Writer<'_, '_> {
    fn apply(&mut self, code: u8, row: usize, columns: &mut [Values<'_>]) -> Result<(), RowError> {
        let refused = |reason: &str| Err(RowError::Refused(reason.to_owned()));
        match (Op::from_code(code), &mut self.delete) {
            (Some(Op::Create | Op::Update | Op::Read), None) => execute(&mut self.write, columns, 0.., row),
            (Some(Op::Create | Op::Update | Op::Read), Some(deleter)) => {
                check_key(&deleter.delete.key, columns, row)?;
                execute(&mut self.write, columns, 0.., row)
            }
            (Some(Op::Delete), Some(deleter)) => {
                check_key(&deleter.delete.key, columns, row)?;
                execute(&mut deleter.by_key, columns, deleter.delete.key.iter().copied(), row)
            }
            (Some(Op::Truncate), Some(deleter)) => {
                deleter.all.raw_execute().map(drop).map_err(RowError::Failed)
            }
            (Some(Op::Delete | Op::Truncate), None) => refused(
                "mode `append` takes no deletes and no truncates; use mode `upsert` on a stream with a key",
            ),
            (None, _) => {
                Err(RowError::Refused(format!("operation code {code} is not known here; upgrade the agent")))
            }
        }
    }
}

fn check_key(key: &[usize], columns: &[Values<'_>], row: usize) -> Result<(), RowError> {
    match key.iter().any(|&column| columns[column].is_null(row)) {
        true => {
            Err(RowError::Refused("a key column is null, so the row cannot be told from others".to_owned()))
        }
        false => Ok(()),
    }
}

/// Runs a statement whose parameters are `chosen` columns of a row.
fn execute(
    statement: &mut CachedStatement<'_>,
    columns: &mut [Values<'_>],
    chosen: impl IntoIterator<Item = usize>,
    row: usize,
) -> Result<(), RowError> {
    let count = columns.len();
    for (parameter, column) in chosen.into_iter().take(count).enumerate() {
        let value = columns[column].bind(row).map_err(|e| {
            RowError::Refused(format!("a value has no text form that SQLite could hold: {e}"))
        })?;
        statement.raw_bind_parameter(parameter + 1, value).map_err(RowError::Failed)?;
    }
    statement.raw_execute().map(drop).map_err(RowError::Failed)
}
