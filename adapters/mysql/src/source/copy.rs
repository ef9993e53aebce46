//! The copy of what is there, woven into the changes.
//!
//! Tables with a key are copied in ranges of it. A range is read in a snapshot of the server whose place in the
//! binlog is known, or with its rows locked for as long as reading them takes. Then the binlog is followed up to
//! that place, as watermarks do it in DBLog (arXiv 2010.12597), but nothing is written at the server:
//!
//! * a change of a key that was copied before is passed on;
//! * a change of a key in the range is folded into the range's rows, which so become what they are at that place,
//!   also where the reading saw less or more than the binlog tells by then;
//! * a change of a key that is still to be copied is dropped, for the copy will show it.
//!
//! Then the range is emitted. Everything copied is thereby as it is at the place in the binlog that the position
//! names, and a copy that was cut off goes on behind its last key.
//!
//! A table without such a key is copied as a whole in one snapshot, and again from its beginning if it is cut off.

use std::cmp::Ordering;
use std::sync::Arc;

use mysql_async::Conn;
use towpath_adapter_api::ErrorKind;
use towpath_record::Op;

use super::cell::Cell;
use super::follow::{Follower, stopped};
use super::position::{Copying, Part, Place};
use super::range::{self, Reading};
use super::table::{Misfit, Table};
use crate::error::MysqlError;

/// What the copy has in hand.
#[derive(Default)]
pub(crate) struct Copier {
    range: Option<Range>,
    /// The session that ranges are read in.
    pub(crate) reader: Option<Conn>,
    /// How many rows the next range may have.
    pub(crate) limit: Option<usize>,
}

/// Rows that are emitted when the binlog was followed up to a place.
pub(crate) struct Range {
    pub(crate) table: Arc<Table>,
    /// Whether what the stream had before is taken back.
    pub(crate) anew: bool,
    /// In the order of their keys, which those keep that were deleted since.
    pub(crate) rows: Vec<Ranged>,
    /// The last key; none if the range has no end.
    pub(crate) end: Option<Vec<Cell>>,
    /// The binlog's place at which the rows are what they are.
    pub(crate) place: Place,
    /// Whether it is the whole table, whose rows are read only then.
    pub(crate) whole: bool,
}

/// A row of a range, with its key.
pub(crate) struct Ranged {
    pub(crate) key: Vec<Cell>,
    /// None if it was deleted since.
    pub(crate) row: Option<Result<Vec<Cell>, Misfit>>,
}

/// How the copy stands to a table or a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Its changes are passed on.
    Settled,
    /// Its table is being copied; of a row, it is of the range in hand.
    InRange,
    /// It is still to be copied.
    Later,
}

impl Copier {
    /// Lets a table's range be read again, because the table is not what it was.
    pub(crate) fn drop_range_of(&mut self, table: &str) {
        if self.range.as_ref().is_some_and(|range| range.table.name == table) {
            self.range = None;
        }
    }
}

impl Follower<'_> {
    /// How the copy stands to a table.
    pub(crate) fn standing_of(&self, name: &str) -> Standing {
        let Some(copy) = &self.outbox.position.copy else { return Standing::Settled };
        let is_part = copy.part.as_ref().is_some_and(|part| part.table == name);
        if is_part || self.copier.range.as_ref().is_some_and(|range| range.table.name == name) {
            return Standing::InRange;
        }
        let is_done = copy.done.as_deref().is_some_and(|done| name <= done);
        match copy.again.iter().any(|table| table == name) || (copy.every && !is_done) {
            true => Standing::Later,
            false => Standing::Settled,
        }
    }

    /// How the copy stands to a row.
    pub(crate) async fn standing(&mut self, table: &Table, row: &[Cell]) -> Result<Standing, MysqlError> {
        let of_table = self.standing_of(&table.name);
        if of_table != Standing::InRange {
            return Ok(of_table);
        }
        let key = table.key_of(row);
        if let Some(copied) = self.copied_key() {
            let order = self.catalog.order(table, &key, &copied).await?;
            if order != Ordering::Greater {
                return Ok(Standing::Settled);
            }
        }
        match &self.copier.range {
            Some(range) if range.table.name == table.name && !range.whole => match &range.end {
                None => Ok(Standing::InRange),
                Some(end) => match self.catalog.order(table, &key, end).await? {
                    Ordering::Greater => Ok(Standing::Later),
                    _ => Ok(Standing::InRange),
                },
            },
            // What is read next shows it.
            _ => Ok(Standing::Later),
        }
    }

    /// The last key of the current table that was copied.
    fn copied_key(&self) -> Option<Vec<Cell>> {
        let part = self.outbox.position.copy.as_ref()?.part.as_ref()?;
        let key: Option<Vec<_>> = part.key.iter().map(|bytes| Cell::from_bytes(bytes)).collect();
        key.filter(|key| !key.is_empty())
    }

    /// Folds a change into the range in hand.
    pub(crate) async fn fold(
        &mut self,
        table: &Arc<Table>,
        op: Op,
        row: Vec<Cell>,
    ) -> Result<(), MysqlError> {
        let key = table.key_of(&row);
        let Some(range) = &mut self.copier.range else { return Ok(()) };
        let (mut low, mut high) = (0, range.rows.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.catalog.order(table, &range.rows[middle].key, &key).await? {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        let is_there = match range.rows.get(low) {
            Some(there) => self.catalog.order(table, &there.key, &key).await? == Ordering::Equal,
            None => false,
        };
        let row = (op != Op::Delete).then_some(Ok(row));
        match is_there {
            true => range.rows[low] = Ranged { key, row },
            false => range.rows.insert(low, Ranged { key, row }),
        }
        Ok(())
    }

    /// Copies as much as the place in the binlog allows: emits the range in hand if it is as of there, and reads the
    /// next one.
    ///
    /// # Errors
    /// The server fails, a table cannot be copied, or the source is to stop.
    pub(crate) async fn copy_on(&mut self) -> Result<(), MysqlError> {
        while self.outbox.position.copy.is_some() {
            if self.copier.range.is_none() && !self.read_next().await? {
                self.outbox.flush().await.map_err(stopped)?;
                self.outbox.position.copy = None;
                self.copier.reader = None;
                return self.outbox.progress().await.map_err(stopped);
            }
            let here = &self.outbox.position.place;
            match self.copier.range.take() {
                Some(range) if range.place <= *here => self.emit_range(range).await?,
                range => {
                    self.copier.range = range;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads the next range; false if there is nothing left to copy.
    async fn read_next(&mut self) -> Result<bool, MysqlError> {
        loop {
            let Some(copy) = self.outbox.position.copy.clone() else { return Ok(false) };
            let Some((schema, name)) = self.next_table(&copy).await? else { return Ok(false) };
            let full_name = format!("{schema}.{name}");
            let part = copy.part.filter(|part| part.table == full_name);
            let mut anew = copy.anew || copy.again.contains(&full_name);
            let Reading { table, place } = match range::begin(self, &schema, &name).await? {
                Some(reading) => reading,
                None => {
                    self.outbox.flush().await.map_err(stopped)?;
                    self.done(&full_name);
                    continue;
                }
            };
            let columns: Vec<_> = table.key.iter().map(|index| table.columns[*index].name.clone()).collect();
            let goes_on = part.as_ref().is_some_and(|part| table.ordered && part.columns == columns);
            if part.is_some() {
                anew = !goes_on;
            }
            let after = if goes_on { self.copied_key() } else { None };
            if !goes_on {
                // Its changes wait for the copy again.
                if let Some(copy) = &mut self.outbox.position.copy {
                    copy.part = None;
                }
            }
            self.copier.range = match table.ordered {
                true => range::read(self, table, place, after.as_deref())
                    .await?
                    .map(|range| Range { anew, ..range }),
                false => Some(range::whole(self.config, table, place, anew)?),
            };
            if self.copier.range.is_some() {
                return Ok(true);
            }
        }
    }

    /// The table whose turn it is: one that was begun, one that is copied again, or the next by name.
    async fn next_table(&mut self, copy: &Copying) -> Result<Option<(String, String)>, MysqlError> {
        let begun = copy.part.as_ref().map(|part| part.table.clone());
        if let Some(name) = begun.or_else(|| copy.again.first().cloned()) {
            return Ok(Some(apart(&name)));
        }
        if !copy.every {
            return Ok(None);
        }
        let tables = self.catalog.tables(self.wanted).await?;
        let is_left = |(schema, table): &(String, String)| {
            copy.done.as_ref().is_none_or(|done| format!("{schema}.{table}") > *done)
        };
        Ok(tables.into_iter().find(is_left))
    }

    fn done(&mut self, name: &str) {
        self.copier.limit = None;
        if let Some(copy) = &mut self.outbox.position.copy {
            copy.part = None;
            match copy.again.iter().position(|table| table == name) {
                Some(at) => drop(copy.again.remove(at)),
                None => copy.done = Some(name.to_owned()),
            }
        }
    }

    async fn emit_range(&mut self, range: Range) -> Result<(), MysqlError> {
        let table = range.table;
        if range.anew {
            tracing::info!(table = table.name, "the table is copied anew");
            self.emit(&table, vec![(Op::Truncate, Ok(Vec::new()))]).await?;
        }
        if range.whole {
            range::emit_whole(self, &table).await?;
            self.outbox.flush().await.map_err(stopped)?;
            self.done(&table.name);
            return Ok(());
        }
        self.begun(&table, &[]);
        for Ranged { key, row } in range.rows {
            if let Some(row) = row {
                self.emit(&table, vec![(Op::Read, row)]).await?;
                self.begun(&table, &key);
            }
        }
        self.outbox.flush().await.map_err(stopped)?;
        match range.end {
            Some(end) => self.begun(&table, &end),
            None => self.done(&table.name),
        }
        Ok(())
    }

    /// Notes that a table is copied up to a key; without one, that nothing of it needs to be taken back.
    pub(crate) fn begun(&mut self, table: &Table, key: &[Cell]) {
        let Some(copy) = &mut self.outbox.position.copy else { return };
        let columns = || table.key.iter().map(|index| table.columns[*index].name.clone()).collect();
        let part = match &mut copy.part {
            Some(part) if part.table == table.name => part,
            part => part.insert(Part { table: table.name.clone(), key: Vec::new(), columns: columns() }),
        };
        let key: Option<Vec<_>> = key.iter().map(Cell::to_bytes).collect();
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            part.key = key;
        }
    }

    /// Notes that rows of a table were copied in no order, so that it begins again if it is cut off.
    pub(crate) fn begun_whole(&mut self, table: &Table) {
        if let Some(copy) = &mut self.outbox.position.copy {
            copy.part = Some(Part { table: table.name.clone(), ..Part::default() });
        }
    }
}

/// The names of database and table, of which the first has no dot that anybody would give it.
fn apart(name: &str) -> (String, String) {
    let (schema, table) = name.split_once('.').unwrap_or(("", name));
    (schema.to_owned(), table.to_owned())
}

/// Why a table cannot be copied, and what helps.
pub(crate) fn without_order(table: &Table) -> MysqlError {
    let message = format!(
        "table {} has no primary key by which it could be copied range by range, and the server has no snapshot \
         whose place in the binlog is known for it; run ALTER TABLE {} ADD PRIMARY KEY (…); or exclude the table",
        table.name, table.place
    );
    MysqlError::unready(ErrorKind::Config, message)
}
