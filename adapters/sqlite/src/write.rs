//! Writing a frame's rows into their table, one after another.
//!
//! SQLite undoes a statement that a row's constraint stops, and only that statement, so a refused row costs
//! its neighbours nothing. A version is written by two statements, which a savepoint makes one.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_schema::ArrowError;
use rusqlite::{CachedStatement, Connection};
use towpath_adapter_api::{Mode, mode};
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::{Link, Op};

use crate::encode::{Values, formattable};
use crate::error::{RowRefusal, refusal};
use crate::target::{Keyed, Sql, Target};

/// The reserved column with the time of a change.
const TS: usize = 1;

/// The columns of a frame's rows as a table takes them, with what its mode notes of a change.
///
/// # Errors
/// A column's type is unknown.
pub(crate) fn noted(batch: &RecordBatch, mode: Mode, link: Link) -> Result<RecordBatch, ArrowError> {
    let stream = RESERVED_COLUMNS..batch.num_columns();
    let noted = match mode {
        Mode::Append | Mode::Upsert => batch.project(&stream.collect::<Vec<_>>())?,
        Mode::SoftDelete => batch.project(&stream.chain([TS]).collect::<Vec<_>>())?,
        Mode::History => {
            let batch = mode::with_version(batch, link)?;
            batch.project(&(RESERVED_COLUMNS..batch.num_columns()).collect::<Vec<_>>())?
        }
    };
    formattable(&noted)
}

/// The columns of a noted batch, ready to be bound.
///
/// # Errors
/// A column's type is unknown.
pub(crate) fn values(noted: &RecordBatch) -> Result<Vec<Values<'_>>, ArrowError> {
    let named = noted.schema_ref().fields().iter().zip(noted.columns());
    named.map(|(field, array)| Values::new(field, array)).collect()
}

/// The operations of a batch; none where this version does not know it.
pub(crate) fn ops(batch: &RecordBatch) -> impl Iterator<Item = Option<Op>> {
    batch.column(0).as_primitive::<UInt8Type>().values().iter().map(|code| Op::from_code(*code))
}

/// Why a row was not written.
pub(crate) enum RowError {
    /// The row is refused.
    Refused(RowRefusal),
    /// SQLite failed.
    Failed(rusqlite::Error),
}

impl RowError {
    fn value(reason: &str) -> Self {
        Self::Refused(RowRefusal::Value(reason.to_owned()))
    }
}

/// A table with its statements prepared, and the rows of a frame.
pub(crate) struct Writer<'a> {
    database: &'a Connection,
    target: &'a Target,
    columns: Vec<Values<'a>>,
    write: Prepared<'a>,
    keyed: Option<PreparedKeyed<'a>>,
}

struct PreparedKeyed<'a> {
    keyed: &'a Keyed,
    end: Prepared<'a>,
    end_all: Prepared<'a>,
    is_repeat: Option<Prepared<'a>>,
}

struct Prepared<'a> {
    statement: CachedStatement<'a>,
    parameters: &'a [usize],
}

impl<'a> Writer<'a> {
    /// Prepares the statements of a target for rows of these columns.
    pub(crate) fn new(
        database: &'a Connection,
        target: &'a Target,
        columns: Vec<Values<'a>>,
    ) -> rusqlite::Result<Self> {
        let keyed = target.keyed.as_ref().map(|keyed| {
            Ok::<_, rusqlite::Error>(PreparedKeyed {
                keyed,
                end: Prepared::new(database, &keyed.end)?,
                end_all: Prepared::new(database, &keyed.end_all)?,
                is_repeat: keyed.is_repeat.as_ref().map(|sql| Prepared::new(database, sql)).transpose()?,
            })
        });
        let write = Prepared::new(database, &target.write)?;
        Ok(Self { database, target, columns, write, keyed: keyed.transpose()? })
    }

    /// Applies a row that leaves the columns `kept` as they are.
    ///
    /// # Errors
    /// The row is refused, or SQLite fails.
    pub(crate) fn apply(&mut self, op: Option<Op>, row: usize, kept: &[usize]) -> Result<(), RowError> {
        let applied = self.apply_unjudged(op, row, kept);
        applied.map_err(|error| match error {
            // A trigger may have rolled the whole transaction back; then the batch has failed.
            RowError::Failed(error) if !self.database.is_autocommit() => {
                refusal(&error).map_or(RowError::Failed(error), RowError::Refused)
            }
            error => error,
        })
    }

    fn apply_unjudged(&mut self, op: Option<Op>, row: usize, kept: &[usize]) -> Result<(), RowError> {
        let Some(op) = op else {
            return Err(RowError::value("the row's operation is not known here; upgrade the agent"));
        };
        let Some(keyed) = &mut self.keyed else {
            return match op {
                Op::Create | Op::Update | Op::Read => self.write.run(&mut self.columns, row),
                Op::Delete | Op::Truncate => Err(RowError::value(
                    "mode `append` takes no deletes and no truncates; use mode `upsert` on a stream with a key",
                )),
            };
        };
        if op == Op::Truncate {
            return keyed.end_all.run(&mut self.columns, row);
        }
        check_key(&keyed.keyed.key, &self.columns, row)?;
        if let Some(is_repeat) = &mut keyed.is_repeat
            && is_repeat.finds(&mut self.columns, row)?
        {
            return Ok(());
        }
        match op {
            Op::Delete | Op::Truncate => keyed.end.run(&mut self.columns, row),
            // What is new keeps nothing.
            Op::Create | Op::Read => self.write(row, &[]),
            Op::Update => self.write(row, kept),
        }
    }

    fn write(&mut self, row: usize, kept: &[usize]) -> Result<(), RowError> {
        match self.target.mode {
            Mode::History => self.add_version(row, kept),
            Mode::Append | Mode::Upsert | Mode::SoftDelete if kept.is_empty() => {
                self.write.run(&mut self.columns, row)
            }
            Mode::Append | Mode::Upsert | Mode::SoftDelete => self.write_but_for(row, kept),
        }
    }

    /// Ends the current version and adds the next, or does neither.
    fn add_version(&mut self, row: usize, kept: &[usize]) -> Result<(), RowError> {
        let run = |sql: &str| self.database.prepare_cached(sql)?.raw_execute().map(drop);
        run("SAVEPOINT version").map_err(RowError::Failed)?;
        let added = self.end_and_add(row, kept);
        let run = |sql: &str| self.database.prepare_cached(sql)?.raw_execute().map(drop);
        // A trigger may have ended the transaction, and the savepoint with it.
        if added.is_err() && !self.database.is_autocommit() {
            run("ROLLBACK TO version").map_err(RowError::Failed)?;
        }
        if !self.database.is_autocommit() {
            run("RELEASE version").map_err(RowError::Failed)?;
        }
        added
    }

    fn end_and_add(&mut self, row: usize, kept: &[usize]) -> Result<(), RowError> {
        if let Some(keyed) = &mut self.keyed {
            keyed.end.run(&mut self.columns, row)?;
        }
        match kept {
            [] => self.write.run(&mut self.columns, row),
            _ if self.database.changes() == 0 => Err(nothing_to_keep()),
            _ => self.write_but_for(row, kept),
        }
    }

    /// Writes a row but for the columns that keep their values.
    fn write_but_for(&mut self, row: usize, kept: &[usize]) -> Result<(), RowError> {
        let Some(sql) = self.target.write_but_for(kept) else { return Ok(()) };
        let mut prepared = Prepared::new(self.database, &sql).map_err(RowError::Failed)?;
        prepared.run(&mut self.columns, row)?;
        match self.database.changes() {
            0 => Err(nothing_to_keep()),
            _ => Ok(()),
        }
    }
}

fn nothing_to_keep() -> RowError {
    RowError::value(
        "the row leaves values as they are, and the table has no row with its key; copy the source again",
    )
}

fn check_key(key: &[usize], columns: &[Values<'_>], row: usize) -> Result<(), RowError> {
    match key.iter().any(|&column| columns[column].is_null(row)) {
        true => Err(RowError::value("a key column is null, so the row cannot be told from others")),
        false => Ok(()),
    }
}

impl<'a> Prepared<'a> {
    fn new(database: &'a Connection, sql: &'a Sql) -> rusqlite::Result<Self> {
        Ok(Self { statement: database.prepare_cached(&sql.text)?, parameters: &sql.parameters })
    }

    fn run(&mut self, columns: &mut [Values<'_>], row: usize) -> Result<(), RowError> {
        self.bind(columns, row)?;
        self.statement.raw_execute().map(drop).map_err(RowError::Failed)
    }

    fn finds(&mut self, columns: &mut [Values<'_>], row: usize) -> Result<bool, RowError> {
        self.bind(columns, row)?;
        let found = self.statement.raw_query().next().map(|row| row.is_some());
        found.map_err(RowError::Failed)
    }

    fn bind(&mut self, columns: &mut [Values<'_>], row: usize) -> Result<(), RowError> {
        for (place, column) in self.parameters.iter().enumerate() {
            let value = columns[*column].bind(row).map_err(|error| {
                RowError::value(&format!("a value has no text form that SQLite could hold: {error}"))
            })?;
            self.statement.raw_bind_parameter(place + 1, value).map_err(RowError::Failed)?;
        }
        Ok(())
    }
}
