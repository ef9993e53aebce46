//! Follows the changes: each transaction in the order of commits, from the place where the source resumes.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use towpath_record::Op;

use super::catalog::Catalog;
use super::config::{SourceConfig, Wanted};
use super::copied::CopiedAlready;
use super::copy::{self, stopped};
use super::known::{Known, Late};
use super::message::{self, Commit, Message, Old, Relation, Tuple, Value};
use super::outbox::{Outbox, Row};
use super::spill::Spill;
use super::table::{Table, filled};
use super::wire::{Changes, Event, Feedback};
use crate::error::PostgresError;

/// What the changes of a connection are followed by.
pub(crate) struct Guide<'a> {
    pub(crate) config: &'a SourceConfig,
    pub(crate) wanted: &'a Wanted,
    pub(crate) feedback: &'a Feedback,
    /// The tables that were copied.
    pub(crate) known: &'a Known,
    /// Set when there are tables to be copied first.
    pub(crate) late: &'a OnceLock<Late>,
}

/// Follows the changes of one connection.
pub(crate) struct Follower<'a> {
    catalog: Catalog,
    guide: Guide<'a>,
    outbox: Outbox,
    copied: CopiedAlready,
    tables: HashMap<u32, Option<Arc<Table>>>,
    /// Transactions that are not committed yet.
    spills: HashMap<u32, Spill>,
    /// Of which of them a block is coming.
    streaming: Option<u32>,
    transaction: Option<Transaction>,
}

/// What happened to a row, the row, and the row before, where it is known and told.
type Change = (Op, Tuple, Option<Tuple>);

/// The committed transaction whose changes are coming.
struct Transaction {
    commit: Commit,
    /// How many of its changes came.
    changes: u64,
    /// How many of them were emitted before the source resumed.
    skip: u64,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(catalog: Catalog, guide: Guide<'a>, outbox: Outbox) -> Self {
        let copied = CopiedAlready::new(&outbox.position.runs, &outbox.position.only);
        Self {
            catalog,
            guide,
            outbox,
            copied,
            tables: HashMap::new(),
            spills: HashMap::new(),
            streaming: None,
            transaction: None,
        }
    }

    /// Reads until there are tables to be copied first, and comes back between two transactions. What an earlier copy has
    /// must be behind it by then, since a position tells of one copy.
    ///
    /// # Errors
    /// The connection broke, the stream is damaged, or the source is to stop.
    pub(crate) async fn run(mut self, mut changes: Changes) -> Result<Outbox, PostgresError> {
        loop {
            match changes.next().await? {
                Event::Message { body, whole } => self.take(body, whole).await?,
                Event::Alive { lsn, wants_answer } => {
                    self.guide.feedback.has_read(lsn);
                    if wants_answer {
                        self.guide.feedback.send(false).await?;
                    }
                    self.rest(lsn).await?;
                }
            }
            if self.transaction.is_none() && !changes.has_next() {
                self.outbox.flush().await.map_err(stopped)?;
            }
            if self.transaction.is_none()
                && self.outbox.position.runs.is_empty()
                && self.guide.late.get().is_some()
            {
                return Ok(self.outbox);
            }
        }
    }

    /// Notes at each heartbeat how far the server has come while nothing was committed for us.
    async fn rest(&mut self, lsn: u64) -> Result<(), PostgresError> {
        if self.transaction.is_some() {
            return Ok(());
        }
        if lsn > self.outbox.position.lsn {
            self.outbox.position.move_to(lsn, 0);
            self.copied.forget(lsn);
        }
        match self.outbox.is_silent_for(self.guide.config.heartbeat.0) {
            true => self.outbox.progress().await.map_err(stopped),
            false => Ok(()),
        }
    }

    async fn take(&mut self, body: Bytes, whole: bool) -> Result<(), PostgresError> {
        let ends_block = body.first() == Some(&b'E');
        match self.streaming {
            Some(xid) if !ends_block => {
                let part =
                    body.get(1..5).map(|part| u32::from_be_bytes([part[0], part[1], part[2], part[3]]));
                let part = part.ok_or(PostgresError::Damaged("a message ends too early"))?;
                let folder = self.guide.config.spill_folder.as_deref();
                let spill = match self.spills.entry(xid) {
                    std::collections::hash_map::Entry::Occupied(spill) => spill.into_mut(),
                    std::collections::hash_map::Entry::Vacant(none) => none.insert(Spill::new(folder)?),
                };
                spill.push(part, whole, &body)
            }
            _ => self.handle(body, whole).await,
        }
    }

    async fn handle(&mut self, body: Bytes, whole: bool) -> Result<(), PostgresError> {
        if !whole {
            return self.refuse(&body, false).await;
        }
        match message::read(body, false)?.1 {
            Message::Begin(commit) => self.begin(commit),
            Message::Commit { end } => self.commit(end),
            Message::StreamStart { xid } => self.streaming = Some(xid),
            Message::StreamStop => self.streaming = None,
            Message::StreamCommit { commit, end } => self.replay(commit, end).await?,
            Message::StreamAbort { xid, part } if xid == part => drop(self.spills.remove(&xid)),
            Message::StreamAbort { xid, part } => {
                if let Some(spill) = self.spills.get_mut(&xid) {
                    spill.roll_back(part);
                }
            }
            data => self.data(data).await?,
        }
        Ok(())
    }

    /// A message that may stand inside a transaction.
    async fn data(&mut self, message: Message) -> Result<(), PostgresError> {
        match message {
            Message::Relation(relation) => self.learn(&relation).await,
            Message::Other => Ok(()),
            change => self.change(change).await,
        }
    }

    fn begin(&mut self, commit: Commit) {
        let position = &self.outbox.position;
        let skip = if commit.lsn == position.lsn { position.changes } else { 0 };
        self.transaction = Some(Transaction { commit, changes: 0, skip });
    }

    fn commit(&mut self, end: u64) {
        self.transaction = None;
        self.outbox.position.move_to(end, 0);
        self.outbox.continues = false;
        self.copied.forget(end);
        self.guide.feedback.has_read(end);
    }

    /// Reads a transaction again that came before its commit.
    async fn replay(&mut self, commit: Commit, end: u64) -> Result<(), PostgresError> {
        self.begin(commit);
        if let Some(spill) = self.spills.remove(&commit.xid) {
            let mut replay = spill.replay()?;
            while let Some(kept) = replay.next()? {
                match kept.whole {
                    true => self.data(message::read(kept.body, true)?.1).await?,
                    false => self.refuse(&kept.body, true).await?,
                }
            }
        }
        self.commit(end);
        Ok(())
    }

    /// Takes a table's description for the changes that follow.
    async fn learn(&mut self, relation: &Relation) -> Result<(), PostgresError> {
        let name = format!("{}.{}", relation.schema, relation.name);
        // A table that is to be copied first shows all this in its copy, which is made after it.
        let Guide { config, known, wanted, .. } = self.guide;
        let table = match wanted.has(&name) && !known.awaits(&name, config) {
            true => Some(Arc::new(self.catalog.table(relation, self.guide.config).await?)),
            false => None,
        };
        self.tables.insert(relation.oid, table);
        Ok(())
    }

    /// Counts a change; `None` if it was emitted before.
    fn count(&mut self) -> Result<Option<Commit>, PostgresError> {
        let transaction = self.transaction.as_mut();
        let transaction = transaction.ok_or(PostgresError::Damaged("a change belongs to no transaction"))?;
        transaction.changes += 1;
        Ok((transaction.changes > transaction.skip).then_some(transaction.commit))
    }

    /// Notes that everything up to the last change is in hand.
    fn counted(&mut self) {
        if let Some(transaction) = &self.transaction {
            self.outbox.position.move_to(transaction.commit.lsn, transaction.changes);
            self.outbox.continues = true;
        }
    }

    fn table(&self, oid: u32) -> Result<Option<Arc<Table>>, PostgresError> {
        self.tables
            .get(&oid)
            .cloned()
            .ok_or(PostgresError::Damaged("a change is of a table that was not described"))
    }

    async fn change(&mut self, change: Message) -> Result<(), PostgresError> {
        let Some(commit) = self.count()? else { return Ok(()) };
        match change {
            Message::Insert { table, new } => {
                if let Some(table) = self.table(table)? {
                    self.write(&table, commit, (Op::Create, new, None)).await?;
                }
            }
            Message::Update { table, old, new } => {
                if let Some(table) = self.table(table)? {
                    self.update(&table, commit, old, new).await?;
                }
            }
            Message::Delete { table, old } => {
                if let Some(table) = self.table(table)? {
                    let before = old.before(&table);
                    self.write(&table, commit, (Op::Delete, old.values, before)).await?;
                }
            }
            Message::Truncate { tables } => {
                for table in tables {
                    if let Some(table) = self.table(table)?
                        && !self.copied.has_table(&table, &commit)
                    {
                        self.emit(&table, commit, [(Op::Truncate, Vec::new(), None)]).await?;
                    }
                }
            }
            _ => {}
        }
        self.counted();
        Ok(())
    }

    async fn write(
        &mut self,
        table: &Arc<Table>,
        commit: Commit,
        change: Change,
    ) -> Result<(), PostgresError> {
        if self.copied.has(&self.catalog, table, &commit, &change.1).await? {
            return Ok(());
        }
        self.emit(table, commit, [change]).await
    }

    /// An update that changes the key is a delete and a create to everyone who knows rows by their key.
    async fn update(
        &mut self,
        table: &Arc<Table>,
        commit: Commit,
        old: Option<Old>,
        new: Tuple,
    ) -> Result<(), PostgresError> {
        let new = match &old {
            Some(old) if old.whole => filled(new, &old.values),
            _ => new,
        };
        let before = old.as_ref().and_then(|old| old.before(table));
        let Some(old) = old.filter(|old| table.keys_differ(&old.values, &new)) else {
            return self.write(table, commit, (Op::Update, new, before)).await;
        };
        let mut rows = Vec::with_capacity(2);
        // The key that was not sent again is the one that the row had.
        let new = new.into_iter().enumerate().map(|(index, value)| match value {
            Value::Unchanged if table.key.contains(&index) => {
                old.values.get(index).cloned().unwrap_or(Value::Null)
            }
            value => value,
        });
        let new: Tuple = new.collect();
        if !self.copied.has(&self.catalog, table, &commit, &old.values).await? {
            rows.push((Op::Delete, old.values, before));
        }
        if !self.copied.has(&self.catalog, table, &commit, &new).await? {
            let new = self.completed(table, new).await?;
            rows.push((Op::Create, new, None));
        }
        match rows.is_empty() {
            true => Ok(()),
            false => self.emit(table, commit, rows).await,
        }
    }

    /// A row under a new key with the values that were not sent, which the row under the old key takes with it. They
    /// are looked up in the table. If they changed since, the change follows; if the row is gone, so will it be.
    async fn completed(&self, table: &Table, new: Tuple) -> Result<Tuple, PostgresError> {
        if !new.contains(&Value::Unchanged) {
            return Ok(new);
        }
        let order = self.catalog.key_order(table.oid).await?;
        let key = table.texts(&order.names, &new).and_then(|key| {
            key.into_iter().map(|text| String::from_utf8(text.into()).ok()).collect::<Option<Vec<_>>>()
        });
        let found = match key {
            Some(key) if !key.is_empty() => copy::look_up(&self.catalog, table, &order, &key).await?,
            _ => None,
        };
        Ok(match found {
            Some(now) => filled(new, &now),
            None => new,
        })
    }

    async fn emit(
        &mut self,
        table: &Arc<Table>,
        commit: Commit,
        changes: impl IntoIterator<Item = Change, IntoIter: ExactSizeIterator + Send>,
    ) -> Result<(), PostgresError> {
        let row =
            |(op, values, before)| Row { op, at_us: commit.at_us, xid: Some(commit.xid), values, before };
        self.outbox.add(table, changes.into_iter().map(row)).await.map_err(stopped)
    }

    /// Makes a dead letter of a change that was too long to be kept whole.
    async fn refuse(&mut self, body: &Bytes, in_stream: bool) -> Result<(), PostgresError> {
        let (_, table) = message::head(body, in_stream)?;
        if self.count()?.is_none() {
            return Ok(());
        }
        if let Some(table) = self.table(table)? {
            self.outbox.add_too_long(&table, body).await.map_err(stopped)?;
        }
        self.counted();
        Ok(())
    }
}

impl Old {
    /// The row before the change, if it is known and its stream tells it.
    fn before(&self, table: &Table) -> Option<Tuple> {
        (self.whole && table.tells_before).then(|| self.values.clone())
    }
}
