//! Follows the changes: each transaction in the order of the binlog, from the place where the source resumes.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_adapter_api::{ErrorKind, Stopped};
use towpath_record::Op;

use super::bytes::Reader;
use super::catalog::Catalog;
use super::cell::Cell;
use super::config::{SourceConfig, Wanted};
use super::copy::{Copier, Standing};
use super::ddl::{self, Statement};
use super::event::{Change, Happened, RowsEvent};
use super::gtid::{Gtid, Gtids};
use super::large;
use super::map::{Field, TableMap};
use super::outbox::{Outbox, Row};
use super::position::Place;
use super::raw;
use super::stream::{Logged, Stream};
use super::table::{Misfit, Table};
use crate::error::MysqlError;

/// Follows the changes of one connection.
pub(crate) struct Follower<'a> {
    pub(crate) catalog: Catalog,
    pub(crate) config: &'a SourceConfig,
    pub(crate) wanted: &'a Wanted,
    pub(crate) outbox: Outbox,
    pub(crate) stream: Stream,
    pub(crate) copier: Copier,
    /// The tables of the rows that come, by the number that the server gave them.
    maps: HashMap<u64, Mapped>,
    group: Option<Group>,
    /// What was executed before the place; none where the server does not say.
    gtids: Option<Gtids>,
    /// Set until the first transaction of another server than the position's begins.
    moved: bool,
}

/// A table whose rows come.
struct Mapped {
    map: TableMap,
    /// None if it is not wanted.
    table: Option<Arc<Table>>,
}

/// The transaction whose changes are coming.
pub(crate) struct Group {
    gtid: Option<Gtid>,
    name: Arc<str>,
    pub(crate) at_us: i64,
    /// Whether it ends with a commit, and not with its only statement.
    goes_on: bool,
    /// Whether it is only prepared.
    prepared: bool,
    /// Whether a table that is followed has changed in it.
    followed: bool,
    /// How many of its changes came.
    changes: u64,
    /// How many of them were emitted before the source resumed.
    skip: u64,
}

/// What a change of one row does, one after another.
type Changed = Vec<(Op, Decoded)>;
type Decoded = Result<Vec<Cell>, Misfit>;

impl<'a> Follower<'a> {
    pub(crate) fn new(
        catalog: Catalog,
        config: &'a SourceConfig,
        wanted: &'a Wanted,
        outbox: Outbox,
        stream: Stream,
    ) -> Self {
        let moved = outbox.position.server != catalog.server;
        let gtids = catalog.read_gtids(&outbox.position.gtids).filter(|_| !outbox.position.gtids.is_empty());
        let (copier, maps) = (Copier::default(), HashMap::new());
        Self { catalog, config, wanted, outbox, stream, copier, maps, group: None, gtids, moved }
    }

    /// Reads until the connection ends.
    ///
    /// # Errors
    /// The connection broke, the binlog is damaged, or the source is to stop.
    pub(crate) async fn run(mut self) -> Result<(), MysqlError> {
        loop {
            if self.group.is_none() && !self.moved {
                self.copy_on().await?;
            }
            let logged = match self.stream.try_next()? {
                Some(logged) => logged,
                None => {
                    if self.group.is_none() {
                        self.outbox.flush().await.map_err(stopped)?;
                    }
                    self.stream.next().await?
                }
            };
            self.take(logged).await?;
            if self.group.is_none() && !self.moved {
                self.rest().await?;
            }
        }
    }

    /// Notes how far the binlog is between two transactions, and says so at each heartbeat.
    async fn rest(&mut self) -> Result<(), MysqlError> {
        if self.stream.place > self.outbox.position.place {
            let gtids = self.gtids.as_ref().map(Gtids::to_string).unwrap_or_default();
            self.outbox.position.move_to(self.stream.place.clone(), gtids);
        }
        match self.outbox.is_silent_for(self.config.heartbeat.0) {
            true => self.outbox.progress().await.map_err(stopped),
            false => Ok(()),
        }
    }

    async fn take(&mut self, logged: Logged) -> Result<(), MysqlError> {
        match logged.happened {
            Happened::File { born } => self.begin_file(born)?,
            Happened::Group { gtid, at_us, alone, prepared } => {
                self.begin(gtid, at_us.unwrap_or(logged.at_us), logged.start)?;
                if let Some(group) = &mut self.group {
                    (group.goes_on, group.prepared) = (alone == Some(false), prepared);
                }
            }
            Happened::Query { schema, sql } => {
                self.statement(&schema, &sql, logged.at_us, logged.start).await?;
            }
            Happened::Map(map) => self.learn(map).await?,
            Happened::Rows(rows) => self.rows(rows).await?,
            Happened::LongRow { table, bytes } => self.refuse(table, bytes).await?,
            Happened::Cut => large::pass(self).await?,
            Happened::Commit => self.end()?,
            Happened::Partial => {
                return Err(lost(
                    "the binlog has JSON documents in parts; run SET GLOBAL binlog_row_value_options = ''; and let the \
                     writers connect again",
                ));
            }
            Happened::Incident => {
                return Err(lost("the server says that its binlog has a gap, as after a full disk"));
            }
            // The next file's beginning is yet to be told.
            Happened::Rotate { .. }
                if !self.moved && self.stream.place.file != self.outbox.position.place.file =>
            {
                self.outbox.position.file_born = 0;
            }
            Happened::Rotate { .. } | Happened::Payload | Happened::Alive { .. } | Happened::Other => {}
        }
        Ok(())
    }

    /// Files of one name are told apart by when they were begun.
    fn begin_file(&mut self, born: u32) -> Result<(), MysqlError> {
        // In the middle of a transaction the connection is another, and the tables are those of the one before.
        if self.group.is_none() {
            self.maps.clear();
        }
        let position = &mut self.outbox.position;
        let same = position.place.file == self.stream.place.file && !self.moved;
        if same && position.file_born != 0 && position.file_born != born {
            return Err(lost(&format!(
                "the server began its binlog anew; its file {} is not the one that was read",
                position.place.file
            )));
        }
        if !self.moved {
            position.file_born = born;
        }
        Ok(())
    }

    fn begin(&mut self, gtid: Option<Gtid>, at_us: i64, start: u64) -> Result<(), MysqlError> {
        if self.group.is_some() {
            return Err(MysqlError::Damaged("a transaction has no end"));
        }
        let position = &mut self.outbox.position;
        if self.moved {
            // From here on the position is of this server. What it has of a transaction goes on being so.
            position.place = Place::new(&self.stream.place.file, start);
            position.server.clone_from(&self.catalog.server);
            (position.file_born, self.moved) = (0, false);
        }
        let name = match &gtid {
            Some(gtid) => gtid.to_string(),
            None => format!("{}:{}", position.place.file, position.place.offset),
        };
        let skip = position.changes;
        let name = name.into();
        self.group = Some(Group {
            gtid,
            name,
            at_us,
            goes_on: false,
            prepared: false,
            followed: false,
            changes: 0,
            skip,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), MysqlError> {
        let group = self.group.take().ok_or(MysqlError::Damaged("a transaction ends that did not begin"))?;
        if let (Some(gtids), Some(gtid)) = (&mut self.gtids, &group.gtid) {
            gtids.add(gtid);
        }
        self.outbox.continues = false;
        let gtids = self.gtids.as_ref().map(Gtids::to_string).unwrap_or_default();
        self.outbox.position.move_to(self.stream.place.clone(), gtids);
        Ok(())
    }

    async fn statement(&mut self, schema: &str, sql: &str, at_us: i64, start: u64) -> Result<(), MysqlError> {
        let statement = ddl::read(sql);
        if self.group.is_none() {
            self.begin(None, at_us, start)?;
        }
        let Some(group) = &mut self.group else { return Ok(()) };
        match statement {
            Statement::Begin => group.goes_on = true,
            Statement::BeginXa => (group.goes_on, group.prepared) = (true, true),
            Statement::Commit => return self.end(),
            Statement::RollBack if group.followed => {
                return Err(lost(
                    "the binlog has a transaction that wrote to a followed table and was rolled back, as the server logs one \
                     that also wrote to a table without transactions or made a temporary table; let such tables be \
                     converted to InnoDB, and temporary tables be made outside of transactions",
                ));
            }
            Statement::RollBack => return self.end(),
            statement => {
                self.define(schema, statement).await?;
                if self.group.as_ref().is_some_and(|group| !group.goes_on) {
                    return self.end();
                }
            }
        }
        Ok(())
    }

    /// Takes a table's description for the rows that follow.
    async fn learn(&mut self, map: TableMap) -> Result<(), MysqlError> {
        if self.maps.get(&map.id).is_some_and(|known| known.map == map) {
            return Ok(());
        }
        // With names in it, a description tells all there is; another number is of no interest.
        let known = self.maps.values().find(|known| {
            map.full.is_some() && known.map.id < map.id && TableMap { id: map.id, ..known.map.clone() } == map
        });
        let table = match known {
            Some(known) => known.table.clone(),
            None if self.wanted.has(&map.schema, &map.table) => {
                Some(Arc::new(self.catalog.table_of(&map, self.config).await?))
            }
            None => None,
        };
        self.maps.insert(map.id, Mapped { map, table });
        Ok(())
    }

    /// Forgets what is known of a table, so that its next rows are described by the server as it is then.
    pub(crate) fn forget(&mut self, schema: &str, table: &str) {
        self.maps.retain(|_, known| known.map.schema != schema || known.map.table != table);
    }

    /// A table of this name, as rows had it last.
    pub(crate) fn known(&self, schema: &str, table: &str) -> Option<Arc<Table>> {
        let of_name =
            self.maps.values().filter(|known| known.map.schema == schema && known.map.table == table);
        of_name.max_by_key(|known| known.map.id).and_then(|known| known.table.clone())
    }

    /// Counts changes; how many of them were emitted before.
    pub(crate) fn count(&mut self) -> Result<bool, MysqlError> {
        let group = self.group.as_mut().ok_or(MysqlError::Damaged("a change belongs to no transaction"))?;
        group.changes += 1;
        Ok(group.changes > group.skip)
    }

    /// Notes that everything up to the last change is in hand.
    pub(crate) fn counted(&mut self) {
        if let Some(group) = &self.group {
            self.outbox.position.changes = group.changes.max(group.skip);
            self.outbox.continues = true;
        }
    }

    async fn rows(&mut self, event: RowsEvent) -> Result<(), MysqlError> {
        let Some(mapped) = self.maps.get(&event.table) else {
            // An event without rows only ends a statement.
            return match event.rows.is_empty() {
                true => Ok(()),
                false => Err(MysqlError::Damaged("rows are of a table that was not described")),
            };
        };
        let Some(table) = mapped.table.clone() else {
            let rows = passed_over(&mapped.map.fields, &event);
            for _ in 0..rows {
                self.count()?;
            }
            self.counted();
            return Ok(());
        };
        let mut changes = decoded(&table, &mapped.map.fields, &event)?;
        // Its rows may be long, and are here twice.
        drop(event);
        self.allow_rows(&table)?;
        for row in changes.iter_mut().flatten().filter_map(|(_, row)| row.as_mut().ok()) {
            self.catalog.translate(row).await?;
        }
        for change in changes {
            if self.count()? {
                self.change(&table, change).await?;
            }
            self.counted();
        }
        Ok(())
    }

    /// Makes a dead letter of a row that was not taken.
    pub(crate) async fn refuse(&mut self, table: u64, bytes: u64) -> Result<(), MysqlError> {
        let mapped =
            self.maps.get(&table).ok_or(MysqlError::Damaged("a row is of a table that was not described"))?;
        let table = mapped.table.clone();
        if let Some(table) = &table {
            self.allow_rows(table)?;
        }
        if let (true, Some(table)) = (self.count()?, table) {
            // What was done to it is in the event alone, and of no row that is refused anybody learns it.
            self.emit(&table, vec![(Op::Update, Err(Misfit::too_large(bytes)))]).await?;
        }
        self.counted();
        Ok(())
    }

    /// Notes that a followed table changes in the transaction under way.
    fn allow_rows(&mut self, table: &Table) -> Result<(), MysqlError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        if group.prepared {
            return Err(lost(&format!(
                "table {} is written to by an XA transaction, which cannot be followed; exclude it",
                table.name
            )));
        }
        group.followed = true;
        Ok(())
    }

    async fn change(&mut self, table: &Arc<Table>, change: Changed) -> Result<(), MysqlError> {
        let mut emitted = Vec::with_capacity(change.len());
        for (op, row) in change {
            let standing = match &row {
                Ok(row) => self.standing(table, row).await?,
                Err(_) => Standing::Settled,
            };
            match (standing, row) {
                (Standing::Settled, row) => emitted.push((op, row)),
                (Standing::InRange, Ok(row)) => self.fold(table, op, row).await?,
                (Standing::InRange | Standing::Later, _) => {}
            }
        }
        self.emit(table, emitted).await
    }

    pub(crate) async fn emit(
        &mut self,
        table: &Arc<Table>,
        rows: Vec<(Op, Decoded)>,
    ) -> Result<(), MysqlError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (at_us, name) = match &self.group {
            Some(group) => (group.at_us, Some(group.name.clone())),
            None => (super::now_us(), None),
        };
        let row = |(op, cells)| Row { op, at_us, transaction: name.clone(), cells };
        self.outbox.add(table, rows.into_iter().map(row).collect()).await.map_err(stopped)
    }
}

/// The rows of an event, decoded.
fn decoded(table: &Table, fields: &[Field], event: &RowsEvent) -> Result<Vec<Changed>, MysqlError> {
    if fields.len() != table.columns.len() {
        return Err(MysqlError::Damaged("rows have another number of columns than their table"));
    }
    let mut rows = Reader(&event.rows);
    let mut changes = Vec::new();
    while !rows.0.is_empty() {
        let first = table.row(fields, &event.present, &mut rows, None)?;
        changes.push(match event.change {
            Change::Insert => vec![(Op::Create, first)],
            Change::Delete => vec![(Op::Delete, first)],
            Change::Update => {
                let before = first.as_deref().ok();
                let after = table.row(fields, &event.present_after, &mut rows, before)?;
                updated(table, first, after)
            }
        });
    }
    Ok(changes)
}

/// An update that changes the key is a delete and a create to everyone who knows rows by their key.
fn updated(table: &Table, before: Decoded, after: Decoded) -> Changed {
    match (&before, &after) {
        (Ok(was), Ok(is)) if table.key_of(was) != table.key_of(is) => {
            vec![(Op::Delete, before), (Op::Create, after)]
        }
        _ => vec![(Op::Update, after)],
    }
}

/// How many rows an event has of a table that is not wanted. Of types that are unknown the event counts as one.
fn passed_over(fields: &[Field], event: &RowsEvent) -> u64 {
    let mut rows = Reader(&event.rows);
    let mut count = 0;
    while !rows.0.is_empty() {
        let passed = raw::pass(fields, &event.present, &mut rows).and_then(|()| match event.change {
            Change::Update => raw::pass(fields, &event.present_after, &mut rows),
            Change::Insert | Change::Delete => Some(()),
        });
        if passed.is_none() {
            return 1;
        }
        count += 1;
    }
    count
}

pub(crate) fn lost(message: &str) -> MysqlError {
    let message = format!("{message}; set `on_lost: resync` to copy the tables again");
    MysqlError::unready(ErrorKind::PositionLost, message)
}

pub(crate) fn stopped(stopped: Stopped) -> MysqlError {
    MysqlError::Config(stopped.into())
}
