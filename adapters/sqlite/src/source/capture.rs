//! Capture by triggers: first what changed, then a piece of what is not copied yet, then again.
//!
//! Both stand in the same file, so one short read transaction sees a state of the tables together with exactly the
//! changes that made it. A piece is read only in a transaction that has read every change there is; it is emitted
//! behind them, as of that state. Later changes of rows within what is copied are emitted, those beyond it come with
//! their copy. So nothing is lost or doubled while the application keeps writing, and no lock is held.
//!
//! Nothing is emitted while a transaction is open: a full spool must not keep the write-ahead log from being
//! checkpointed.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use towpath_adapter_api::{AdapterError, Rows};
use towpath_record::{ResourceName, StreamName};

use crate::error::SqliteError;
use crate::source::changes::{Batch, ChangeReader};
use crate::source::config::{Choice, OnReplaced, SourceConfig};
use crate::source::copy::{Copier, Piece};
use crate::source::database::{Access, Database, data_version, schema_version};
use crate::source::emit::{Emitter, Setback, Step, now_us};
use crate::source::install::{Begin, Installed, Installer, Names, Version};
use crate::source::position::{ChangePosition, Copying, SourcePosition};
use crate::source::records::Records;
use crate::source::streams::Streams;
use crate::source::table::TableDef;

/// A source that reads what triggers write down.
pub(super) struct TriggerCapture {
    config: Arc<SourceConfig>,
    choice: Choice,
    names: Names,
    streams: Streams,
    /// The stream of what belongs to no table.
    own_stream: StreamName,
    emitter: Emitter,
    position: SourcePosition,
    session: Option<Session>,
}

/// An open database and what is installed in it.
struct Session {
    database: Database,
    installed: Installed,
    position: ChangePosition,
    /// The state of the database in which there was nothing left to do.
    idle_at: Option<i64>,
}

/// What a look at the database found.
enum Look {
    /// Its tables may have another shape, or it may be another database.
    Altered,
    /// It does not have the past that the position speaks of.
    Replaced,
    Read {
        batch: Batch,
        piece: Option<(Version, Piece)>,
    },
}

impl TriggerCapture {
    pub(super) fn new(
        config: Arc<SourceConfig>,
        source: &ResourceName,
        emitter: Emitter,
        position: SourcePosition,
    ) -> Result<Self, AdapterError> {
        Ok(Self {
            choice: config.choice()?,
            names: Names::of(source.as_str()),
            streams: Streams::new(config.clone(), source.as_str()),
            own_stream: config.stream_of_source(source)?,
            config,
            emitter,
            position,
            session: None,
        })
    }

    /// Reads until stopped.
    pub(super) fn run(mut self) -> Result<(), AdapterError> {
        let (emitter, poll) = (self.emitter.clone(), self.config.poll.0);
        emitter.keep_stepping(poll, || self.step())
    }

    fn step(&mut self) -> Result<Step, Setback> {
        if self.config.uninstall {
            return self.uninstall();
        }
        let mut session = match self.session.take() {
            Some(session) if session.database.is_in_place()? => session,
            _ => self.attach()?,
        };
        match self.step_in(&mut session) {
            // The next step attaches again, and brings the triggers up to date.
            Ok(None) => Ok(Step::Worked),
            Ok(Some(step)) => {
                self.position.changes = Some(session.position.clone());
                self.session = Some(session);
                Ok(step)
            }
            Err(setback) => {
                self.session = Some(session);
                Err(setback)
            }
        }
    }

    /// A step in an open database; `None` if it must be opened anew.
    fn step_in(&mut self, session: &mut Session) -> Result<Option<Step>, Setback> {
        let data_version = data_version(&session.database.connection);
        let data_version = data_version.map_err(|e| session.database.fault("look for changes", e))?;
        if session.idle_at == Some(data_version) {
            return Ok(Some(Step::Idle));
        }
        let (batch, piece) = match self.look(session)? {
            Look::Altered => return Ok(None),
            Look::Replaced => {
                self.replaced(&session.database, "its changes are not those that were read")?;
                return Ok(None);
            }
            Look::Read { batch, piece } => (batch, piece),
        };
        let nothing_left = batch.end.is_none() && batch.drained && piece.is_none();
        session.idle_at = nothing_left.then_some(data_version);
        let before = session.position.clone();
        let mut emitted = self.emit_changes(session, batch)?;
        if let Some((version, piece)) = piece {
            emitted |= self.emit_piece(session, &version, piece)?;
        }
        if !emitted && session.position != before {
            self.emit(&session.position, &self.own_stream, Rows::Progress)?;
        }
        Ok(Some(if nothing_left { Step::Idle } else { Step::Worked }))
    }

    /// Opens the database and makes sure that its changes are written down from here on.
    fn attach(&mut self) -> Result<Session, Setback> {
        let database = Database::open(&self.config.path, Access::Install)?;
        let installer = Installer { names: &self.names, config: &self.config, choice: &self.choice };
        let found = installer.find(&database)?;
        let Some(position) = self.position.changes.clone() else {
            // Whoever polled before, or had removed the triggers, has not seen every delete.
            let begin = match self.position.removed || self.position.polled.is_some() {
                true => Begin::Empty,
                false => Begin::First,
            };
            let installed = installer.install(&database, begin)?;
            return self.begin(database, installed);
        };
        match found {
            Some(found) if found.installation == position.installation => {
                let installed = installer.keep_up(&database, position.copied_through)?;
                self.streams.check(&installed)?;
                Ok(Session { database, installed, position, idle_at: None })
            }
            Some(_) => self.replaced(&database, "it belongs to another run of a source of this name"),
            None => self.replaced(&database, "what the source had installed is not there"),
        }
    }

    /// Another database has taken the place of the one that was read.
    fn replaced(&mut self, database: &Database, how: &str) -> Result<Session, Setback> {
        if self.config.on_replaced == OnReplaced::Stop {
            let path = self.config.path.clone();
            return Err(SqliteError::Replaced { path, how: how.to_owned() }.into());
        }
        tracing::warn!(path = %database.path().display(), how, "another database is there; it is copied anew");
        let database = Database::open(&self.config.path, Access::Install)?;
        let installer = Installer { names: &self.names, config: &self.config, choice: &self.choice };
        let installed = installer.install(&database, Begin::Empty)?;
        self.begin(database, installed)
    }

    /// A new installation. Its position is made known at once, so that the next run finds it.
    fn begin(&mut self, database: Database, installed: Installed) -> Result<Session, Setback> {
        self.streams.check(&installed)?;
        let position = ChangePosition::new(installed.installation.clone());
        self.emit(&position, &self.own_stream, Rows::Progress)?;
        self.position = SourcePosition { changes: Some(position.clone()), ..SourcePosition::default() };
        Ok(Session { database, installed, position, idle_at: None })
    }

    fn uninstall(&mut self) -> Result<Step, Setback> {
        if self.position.removed {
            return Ok(Step::Idle);
        }
        let database = Database::open(&self.config.path, Access::Install)?;
        let installer = Installer { names: &self.names, config: &self.config, choice: &self.choice };
        let removed = installer.remove(&database)?;
        tracing::info!(path = %database.path().display(), removed, "the source has removed what it had installed");
        self.position = SourcePosition { removed: true, ..SourcePosition::default() };
        self.emitter.emit(&self.own_stream, Rows::Progress, &self.position)?;
        Ok(Step::Idle)
    }

    /// Reads changes, and a piece of a table behind the last of them, in one state of the database.
    fn look(&self, session: &Session) -> Result<Look, SqliteError> {
        let Session { database, installed, position, .. } = session;
        let fault = |doing: &str, error| database.fault(doing, error);
        let resource = |table: &TableDef| self.resource(table);
        let stream = |table: &TableDef| self.streams.of(&table.name);
        database.read(|connection| {
            let version = schema_version(connection).map_err(|e| fault("read the schema version", e))?;
            if version != installed.schema_version {
                return Ok(Look::Altered);
            }
            if !self.is_anchored(connection, position).map_err(|e| fault("look for the last change", e))? {
                return Ok(Look::Replaced);
            }
            let reader = ChangeReader {
                names: &self.names,
                config: &self.config,
                installed,
                position,
                resource: &resource,
                stream: &stream,
                fault: &fault,
            };
            let batch = reader.read(connection)?;
            let next = next_to_copy(installed, position).filter(|_| batch.drained);
            let piece = next.map(|version| self.read_piece(connection, session, version)).transpose()?;
            Ok(Look::Read { batch, piece })
        })
    }

    fn read_piece(
        &self,
        connection: &Connection,
        session: &Session,
        version: &Version,
    ) -> Result<(Version, Piece), SqliteError> {
        let copying = session.position.copying.as_ref().filter(|copying| copying.table == version.id);
        if copying.is_none() && version.begin == Begin::Empty {
            let mut records = Records::new(version.table.clone())
                .map_err(|unfit| SqliteError::unfit(&self.config.path, unfit))?;
            records.push_truncate(now_us());
            let parts = vec![(records.finish(), Vec::new())];
            return Ok((version.clone(), Piece { parts, is_last: false }));
        }
        let copier = Copier {
            config: &self.config,
            table: &version.table,
            resource: self.resource(&version.table),
            now_us: now_us(),
            fault: &|doing, error| session.database.fault(doing, error),
        };
        let piece = copier.read(connection, copying.map_or(&[], |copying| &copying.key))?;
        Ok((version.clone(), piece))
    }

    /// Whether the database still has the last change that was read, or had it released.
    fn is_anchored(&self, connection: &Connection, position: &ChangePosition) -> rusqlite::Result<bool> {
        let sql = format!("SELECT installation, released FROM {} WHERE id = 1", self.names.state);
        let state = connection.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((installation, released)): Option<(Vec<u8>, i64)> = state.optional()? else {
            return Ok(false);
        };
        let sql = format!("SELECT mark FROM {} WHERE id = ?1", self.names.changes);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut is_there = |id: i64, mark: i64| -> rusqlite::Result<bool> {
            let found: Option<i64> = statement.query_row([id], |row| row.get(0)).optional()?;
            Ok(found.map_or(released >= id, |found| found == mark))
        };
        Ok(installation == position.installation
            && is_there(position.last_id, position.last_mark)?
            && is_there(position.batch_end, position.batch_mark)?)
    }

    fn emit_changes(&self, session: &mut Session, batch: Batch) -> Result<bool, Setback> {
        let Some((end, mark)) = batch.end else { return Ok(false) };
        let position = &mut session.position;
        (position.batch_end, position.batch_mark) = (end, mark);
        let emitted = !batch.groups.is_empty();
        let mut groups = batch.groups.into_iter().peekable();
        while let Some(group) = groups.next() {
            position.done.push(group.id);
            if groups.peek().is_none() {
                position.finish_batch();
            }
            self.emit(position, &group.stream, group.rows)?;
        }
        if !emitted {
            position.finish_batch();
        }
        Ok(emitted)
    }

    fn emit_piece(&self, session: &mut Session, version: &Version, piece: Piece) -> Result<bool, Setback> {
        let position = &mut session.position;
        let stream = self.streams.of(&version.table.name)?;
        let emitted = !piece.parts.is_empty();
        let mut parts = piece.parts.into_iter().peekable();
        while let Some((rows, key)) = parts.next() {
            position.copying = Some(Copying { table: version.id, key });
            if piece.is_last && parts.peek().is_none() {
                position.copying = None;
                position.copied_through = version.id;
            }
            self.emit(position, &stream, rows)?;
        }
        if piece.is_last && !emitted {
            position.copying = None;
            position.copied_through = version.id;
        }
        Ok(emitted)
    }

    fn emit(&self, position: &ChangePosition, stream: &StreamName, rows: Rows) -> Result<(), Setback> {
        let position = SourcePosition { changes: Some(position.clone()), ..SourcePosition::default() };
        self.emitter.emit(stream, rows, &position)
    }

    fn resource(&self, table: &TableDef) -> String {
        format!("table {:?} of {}", table.name, self.config.path.display())
    }
}

/// The first version that is not copied yet.
fn next_to_copy<'i>(installed: &'i Installed, position: &ChangePosition) -> Option<&'i Version> {
    let later = installed.versions.range(position.copied_through + 1..);
    later.map(|(_, version)| version).find(|version| version.current)
}
