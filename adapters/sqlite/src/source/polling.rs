//! Capture by polling, for a database that may not be written: rows whose watermark has grown are read again.
//!
//! A table is read in the order of watermark and row id (or primary key). Rows that share the highest watermark may
//! still be joined by others, on either side of those that were read. So a look begins at that watermark and not
//! behind it, and passes over the rows that the position remembers by a hash of their content. Once they are too
//! many to remember, the order of the rows decides: a later one counts as new if its key is greater.

use std::sync::Arc;

use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};
use towpath_adapter_api::{AdapterError, Rows};
use towpath_record::dead_letter::DeadLetter;
use towpath_record::limits::MAX_ROW_BYTES;
use towpath_record::{Op, ResourceName, StreamName};

use crate::error::SqliteError;
use crate::source::changes::{bytes_of, parameters_from};
use crate::source::config::{Choice, OnReplaced, SourceConfig};
use crate::source::database::{Access, Database, data_version};
use crate::source::emit::{Emitter, Setback, Step, now_us};
use crate::source::position::{PolledPosition, PolledTable, SourcePosition, Value};
use crate::source::records::{Found, Records};
use crate::source::streams::Streams;
use crate::source::table::{self, TableDef, UnfitTable, Walk};
use crate::source::value::literal;
use crate::table::quoted;

/// Bytes of a position that remember rows, shared by all tables.
const TIE_BUDGET_BYTES: usize = 8 << 10;
/// Bytes of a row's hash.
const TIE_BYTES: usize = 8;
/// Bytes of the hashes of one table.
const MOST_TIE_BYTES: usize = 512 * TIE_BYTES;

/// A source that looks for rows whose watermark has grown.
pub(super) struct Polling {
    config: Arc<SourceConfig>,
    choice: Choice,
    streams: Streams,
    watermark: String,
    emitter: Emitter,
    position: PolledPosition,
    database: Option<Database>,
    idle_at: Option<i64>,
}

/// What a look at one table found: records or dead letters, never both, so that one position speaks for all of it.
struct Seen {
    records: Records,
    letters: Vec<DeadLetter>,
    place: PolledTable,
    /// Whether the table has no rows beyond them.
    is_last: bool,
}

impl Polling {
    pub(super) fn new(
        config: Arc<SourceConfig>,
        source: &ResourceName,
        emitter: Emitter,
        position: SourcePosition,
    ) -> Result<Self, AdapterError> {
        // Whoever changed over from triggers has rows at the sinks that may have gone unseen.
        let again = position.changes.is_some() || position.removed;
        Ok(Self {
            choice: config.choice()?,
            streams: Streams::new(config.clone(), source.as_str()),
            watermark: config.watermark.clone().unwrap_or_default(),
            emitter,
            position: position.polled.unwrap_or(PolledPosition { again, ..PolledPosition::default() }),
            database: None,
            idle_at: None,
            config,
        })
    }

    /// Reads until stopped.
    pub(super) fn run(mut self) -> Result<(), AdapterError> {
        let (emitter, poll) = (self.emitter.clone(), self.config.poll.0);
        emitter.keep_stepping(poll, || self.step())
    }

    fn step(&mut self) -> Result<Step, Setback> {
        let database = match self.database.take() {
            Some(database) if database.is_in_place()? => database,
            _ => self.open()?,
        };
        let step = self.step_in(&database);
        self.database = Some(database);
        step
    }

    fn step_in(&mut self, database: &Database) -> Result<Step, Setback> {
        let data_version = data_version(&database.connection);
        let data_version = data_version.map_err(|e| database.fault("look for changes", e))?;
        if self.idle_at == Some(data_version) {
            return Ok(Step::Idle);
        }
        let tables = database.read(|connection| self.tables(database, connection))?;
        let mut all_read = true;
        for table in &tables {
            all_read &= self.read_table(database, table, tables.len())?;
        }
        self.idle_at = all_read.then_some(data_version);
        Ok(if all_read { Step::Idle } else { Step::Worked })
    }

    fn open(&mut self) -> Result<Database, Setback> {
        let database = Database::open(&self.config.path, Access::Read)?;
        self.idle_at = None;
        let known = !self.position.file.is_empty();
        if known && self.position.file != database.file() {
            if self.config.on_replaced == OnReplaced::Stop {
                let how = "another file stands in its place".to_owned();
                return Err(SqliteError::Replaced { path: self.config.path.clone(), how }.into());
            }
            self.position = PolledPosition { again: true, ..PolledPosition::default() };
        }
        self.position.file = database.file().to_vec();
        Ok(database)
    }

    fn tables(
        &self,
        database: &Database,
        connection: &Connection,
    ) -> Result<Vec<Arc<TableDef>>, SqliteError> {
        let tables = table::chosen(connection, &self.choice, false).map_err(|fault| fault.at(database))?;
        self.streams.check_tables(tables.iter())?;
        for table in &tables {
            if !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&self.watermark)) {
                let reason = format!("it has no column `{}`, the watermark; exclude it", self.watermark);
                return Err(SqliteError::unfit(
                    database.path(),
                    UnfitTable { table: table.name.clone(), reason },
                ));
            }
        }
        Ok(tables.into_iter().map(Arc::new).collect())
    }

    /// Reads on in a table. Returns whether it was read to its end.
    fn read_table(
        &mut self,
        database: &Database,
        table: &Arc<TableDef>,
        tables: usize,
    ) -> Result<bool, Setback> {
        let stream = self.streams.of(&table.name)?;
        let known = self.position.tables.iter().position(|it| it.name == table.name);
        let index = match known {
            Some(index) => index,
            None => {
                self.position.tables.push(PolledTable { name: table.name.clone(), ..PolledTable::default() });
                if self.position.again {
                    let mut records = self.records(table)?;
                    records.push_truncate(now_us());
                    self.emit(&stream, records.finish())?;
                }
                self.position.tables.len() - 1
            }
        };
        let place = self.position.tables[index].clone();
        let most_ties = (TIE_BUDGET_BYTES / tables.max(1)).min(MOST_TIE_BYTES);
        let seen = database.read(|connection| self.look(database, connection, table, place, most_ties))?;
        let Seen { records, letters, place, is_last } = seen;
        let rows = match (letters.is_empty(), records.is_empty()) {
            (true, true) => return Ok(is_last),
            (true, false) => records.finish(),
            (false, _) => Rows::DeadLetters(letters),
        };
        self.position.tables[index] = place;
        self.emit(&stream, rows)?;
        Ok(is_last)
    }

    fn records(&self, table: &Arc<TableDef>) -> Result<Records, SqliteError> {
        Records::new(table.clone()).map_err(|unfit| SqliteError::unfit(&self.config.path, unfit))
    }

    fn emit(&self, stream: &StreamName, rows: Rows) -> Result<(), Setback> {
        let position = SourcePosition { polled: Some(self.position.clone()), ..SourcePosition::default() };
        self.emitter.emit(stream, rows, &position)
    }

    /// Reads the rows that follow a place, up to where records and dead letters meet.
    fn look(
        &self,
        database: &Database,
        connection: &Connection,
        table: &Arc<TableDef>,
        mut place: PolledTable,
        most_ties: usize,
    ) -> Result<Seen, SqliteError> {
        let failed = |e| database.fault(&format!("read table {:?}", table.name), e);
        let ties = place.ties.len() / TIE_BYTES;
        let limit = i64::try_from(self.config.batch.rows.saturating_add(ties)).unwrap_or(i64::MAX);
        let watermark = place.watermark.clone();
        let after = place.after.clone();
        let mut parameters: Vec<&dyn ToSql> = vec![&limit];
        parameters.extend(watermark.iter().map(|it| it as &dyn ToSql));
        parameters.extend(after.iter().map(|it| it as &dyn ToSql));
        let sql = self.statement(table, watermark.is_some(), after.len());
        let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query(&*parameters).map_err(failed)?;
        let (mut records, mut letters) = (self.records(table)?, Vec::new());
        let (mut looked, mut bytes) = (0, 0);
        let is_last = loop {
            if bytes >= self.config.batch.bytes.0 {
                break false;
            }
            let Some(row) = rows.next().map_err(failed)? else { break looked < limit };
            looked += 1;
            let found = self.found(table, row).map_err(failed)?;
            let mut next = place.clone();
            if !next.pass(row, table, most_ties).map_err(failed)? {
                continue;
            }
            match records.push(&found) {
                Ok(()) if letters.is_empty() => {}
                Ok(()) => {
                    records = self.records(table)?;
                    break false;
                }
                Err(_) if !records.is_empty() => break false,
                Err(misfit) => {
                    let resource = format!("table {:?} of {}", table.name, database.path().display());
                    letters.push(found.letter(resource, table, misfit));
                }
            }
            bytes += found.weight();
            place = next;
        };
        Ok(Seen { records, letters, place, is_last })
    }

    fn found<'r, 's>(&self, table: &TableDef, row: &'r Row<'s>) -> rusqlite::Result<Found<'r, 's>> {
        let rowid = match &table.walk {
            Walk::Rowid { .. } => row.get(1)?,
            Walk::Key(_) => 0,
        };
        let width = table.walk.width();
        let bytes = u64::try_from(row.get::<_, i64>(1 + width)?).unwrap_or_default();
        Ok(Found { op: Op::Read, at_us: now_us(), rowid, bytes, row, values: 2 + width, before: None })
    }

    /// The statement whose rows have the watermark, the key of the walk, their size and the values.
    fn statement(&self, table: &TableDef, has_watermark: bool, after: usize) -> String {
        let watermark = quoted(&self.watermark);
        let terms = table.walk.terms(table).join(", ");
        let columns = table.columns.iter().map(|column| quoted(&column.name));
        let values: String = columns.clone().map(|name| format!(", {name}")).collect();
        let condition = match (has_watermark, after) {
            (false, _) => format!("{watermark} IS NOT NULL"),
            (true, 0) => format!("{watermark} >= ?2"),
            (true, width) => format!(
                "{watermark} >= ?2 AND ({watermark} > ?2 OR ({terms}) > ({}))",
                parameters_from(3, width)
            ),
        };
        format!(
            "SELECT {watermark}, {terms}, {}{values} FROM {} WHERE {condition} \
             ORDER BY {watermark}, {terms} LIMIT ?1",
            bytes_of(columns),
            quoted(&table.name),
        )
    }
}

impl PolledTable {
    /// Moves on to a row. Returns whether it is one that was not read before.
    fn pass(&mut self, row: &Row<'_>, table: &TableDef, most_ties: usize) -> rusqlite::Result<bool> {
        let watermark = Value::of(row.get_ref(0)?);
        let width = table.walk.width();
        let same = self.watermark.as_ref() == Some(&watermark);
        let hash = hash_of(row, 2 + width, table.columns.len())?;
        if same && self.ties.chunks_exact(TIE_BYTES).any(|tie| tie == hash) {
            return Ok(false);
        }
        if !same {
            *self =
                Self { watermark: Some(watermark), name: std::mem::take(&mut self.name), ..Self::default() };
        }
        let is_crowded = !self.after.is_empty() || self.ties.len() + TIE_BYTES > most_ties;
        if is_crowded {
            self.ties.clear();
            self.after = (1..=width).map(|i| row.get_ref(i).map(Value::of)).collect::<Result<_, _>>()?;
        } else {
            self.ties.extend_from_slice(&hash);
        }
        Ok(true)
    }
}

/// A hash of a row's values, exactly as they are stored.
fn hash_of(row: &Row<'_>, first: usize, count: usize) -> rusqlite::Result<[u8; TIE_BYTES]> {
    let mut hasher = blake3::Hasher::new();
    // A row that is too large to be read is known by its key and size.
    let is_too_large =
        u64::try_from(row.get::<_, i64>(first - 1)?).unwrap_or_default() > MAX_ROW_BYTES as u64;
    let columns = if is_too_large { 0..first } else { first..first + count };
    for column in columns {
        let text = literal(row.get_ref(column)?);
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let mut hash = [0; TIE_BYTES];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..TIE_BYTES]);
    Ok(hash)
}
