//! Writing a frame's rows into their table.
//!
//! Rows go in ranges, each behind a savepoint. A range that MySQL refuses is rolled back and halved until the rows
//! that it refuses stand alone.

use std::collections::HashSet;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use towpath_adapter_api::merge::{Plan, between_truncates, grouped};
use towpath_adapter_api::{Mode, OnConflict, Rejection};
use towpath_record::Op;

use crate::encode::EncodedRows;
use crate::error::{MysqlError, RowRefusal};
use crate::frame::{Frame, rejection};
use crate::load::{Limits, Loader};
use crate::target::{Keyed, Target};

/// How many sequences one statement names.
const SEQUENCES: usize = 1000;

/// A frame on its way into a table.
pub(crate) struct Writer<'a> {
    pub(crate) connection: &'a mut Conn,
    pub(crate) limits: &'a mut Limits,
    pub(crate) target: &'a Target,
    pub(crate) frame: &'a Frame,
    pub(crate) on_conflict: OnConflict,
}

impl Writer<'_> {
    /// Writes rows and returns those that MySQL refuses.
    ///
    /// # Errors
    /// The server fails, or a row is refused that is to stop the route.
    pub(crate) async fn write(&mut self, accepted: &[usize]) -> Result<Vec<Rejection>, MysqlError> {
        let mut rejections = Vec::new();
        // The last is the next: rows are written in order.
        let mut ranges = vec![accepted];
        while let Some(rows) = ranges.pop() {
            if rows.is_empty() {
                continue;
            }
            self.run("SAVEPOINT towpath").await?;
            let Err(error) = self.write_range(rows).await else {
                self.run("RELEASE SAVEPOINT towpath").await?;
                continue;
            };
            let Some(refusal) = error.refusal() else { return Err(error) };
            self.run("ROLLBACK TO SAVEPOINT towpath; RELEASE SAVEPOINT towpath").await?;
            match rows {
                // Only a row that stands alone is surely refused: in a range, the row that another waits for
                // may come later.
                [row] => rejections.push(self.refused(*row, refusal)?),
                _ => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    ranges.extend([second, first]);
                }
            }
        }
        Ok(rejections)
    }

    fn refused(&self, row: usize, refusal: RowRefusal) -> Result<Rejection, MysqlError> {
        match (refusal, self.on_conflict) {
            (RowRefusal::Constraint(reason), OnConflict::Stop) => {
                Err(MysqlError::Conflict { table: self.target.table.clone(), reason })
            }
            (RowRefusal::Constraint(reason) | RowRefusal::Value(reason), _) => Ok(rejection(row, reason)),
        }
    }

    async fn write_range(&mut self, rows: &[usize]) -> Result<(), MysqlError> {
        let (target, frame) = (self.target, self.frame);
        let Some(keyed) = &target.keyed else { return self.load(&target.rows, &frame.rows, rows).await };
        let is_truncate = |row: usize| frame.ops[row] == Some(Op::Truncate);
        for (truncate, rows) in between_truncates(rows, is_truncate) {
            if let Some(truncate) = truncate {
                let time = frame.time(truncate).unwrap_or_default();
                self.run(&keyed.end_all(time, frame.sequence(truncate))).await?;
            }
            match target.mode {
                _ if rows.is_empty() => {}
                Mode::History => self.add_versions(keyed, rows).await?,
                Mode::Append | Mode::Upsert | Mode::SoftDelete => self.replace(keyed, rows).await?,
            }
        }
        Ok(())
    }

    /// Writes rows where each replaces the one with its key.
    async fn replace(&mut self, keyed: &Keyed, rows: &[usize]) -> Result<(), MysqlError> {
        let (target, frame) = (self.target, self.frame);
        let Some(keys) = &frame.keys else { return Ok(()) };
        // The rows that lack a key they need were sorted out.
        let with_key = |&row: &usize| Some((row, frame.ops[row]?, keys.row(row).ok()?));
        let plan = Plan::of(target.mode, rows.iter().filter_map(with_key));
        self.end(keyed, &plan.deletes).await?;
        for (kept, rows) in grouped(&plan.writes, &frame.unchanged) {
            let statements = match keyed.update_but_for(kept) {
                _ if kept.is_empty() => keyed.write(),
                Some(update) => vec![update],
                None => continue,
            };
            self.run(&keyed.create_stage).await?;
            self.load(&target.rows, &frame.rows, &rows).await?;
            for statement in statements {
                self.run(&statement).await?;
            }
            if !kept.is_empty() {
                self.all_found(rows.len())?;
            }
        }
        self.end(keyed, &plan.ends).await
    }

    /// Ends the rows with the keys of these.
    async fn end(&mut self, keyed: &Keyed, rows: &[usize]) -> Result<(), MysqlError> {
        let Some(ends) = self.frame.ends().filter(|_| !rows.is_empty()) else { return Ok(()) };
        self.run(&keyed.create_stage).await?;
        self.load(&keyed.ends, ends, rows).await?;
        self.run(&keyed.end()).await
    }

    /// Writes rows where each is a version of the row with its key.
    async fn add_versions(&mut self, keyed: &Keyed, rows: &[usize]) -> Result<(), MysqlError> {
        let (target, frame) = (self.target, self.frame);
        self.check_kept(rows)?;
        let is_end = |row: &usize| frame.ops[*row] == Some(Op::Delete);
        let (ends, writes): (Vec<_>, Vec<_>) = rows.iter().copied().partition(is_end);
        self.run(&keyed.create_stage).await?;
        if let Some(encoded) = frame.ends() {
            self.load(&keyed.ends, encoded, &ends).await?;
        }
        self.load(&target.rows, &frame.rows, &writes).await?;
        self.run(&keyed.drop_repeats()).await?;
        for (kept, rows) in grouped(&writes, &frame.unchanged) {
            if kept.is_empty() {
                continue;
            }
            for rows in rows.chunks(SEQUENCES) {
                self.fill(keyed, kept, rows).await?;
            }
        }
        self.run(&keyed.end()).await?;
        for statement in keyed.write() {
            self.run(&statement).await?;
        }
        Ok(())
    }

    /// A row that follows a delete of its key in the same range has no version to keep values of, though the table
    /// still has one.
    fn check_kept(&self, rows: &[usize]) -> Result<(), MysqlError> {
        let Some(keys) = &self.frame.keys else { return Ok(()) };
        let mut ended = HashSet::new();
        for &row in rows {
            let Ok(key) = keys.row(row) else { continue };
            let keeps = self.frame.unchanged.get(row).is_some_and(|kept| !kept.is_empty());
            match self.frame.ops[row] {
                Some(Op::Delete) => drop(ended.insert(key)),
                _ if keeps && ended.contains(key) => return Err(self.nothing_to_keep()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives staged rows the values of the current versions that they leave as they are.
    async fn fill(&mut self, keyed: &Keyed, kept: &[usize], rows: &[usize]) -> Result<(), MysqlError> {
        let sequences: Vec<_> = rows.iter().map(|row| self.frame.sequence(*row).to_string()).collect();
        let sequences = sequences.join(", ");
        // Repeats are no longer in the stage.
        let staged: Option<usize> = self
            .connection
            .query_first(keyed.count_staged(&sequences))
            .await
            .map_err(MysqlError::server(self.doing()))?;
        self.run(&keyed.fill(kept, &sequences)).await?;
        self.all_found(staged.unwrap_or_default())
    }

    /// Whether the last statement found as many rows as it should have; the session counts those that it leaves as
    /// they were.
    fn all_found(&self, wanted: usize) -> Result<(), MysqlError> {
        match usize::try_from(self.connection.affected_rows()) == Ok(wanted) {
            true => Ok(()),
            false => Err(self.nothing_to_keep()),
        }
    }

    fn nothing_to_keep(&self) -> MysqlError {
        MysqlError::NothingToKeep { table: self.target.table.clone() }
    }

    async fn load(
        &mut self,
        loader: &Loader,
        encoded: &EncodedRows,
        rows: &[usize],
    ) -> Result<(), MysqlError> {
        loader.load(self.connection, self.limits, encoded, rows).await
    }

    async fn run(&mut self, sql: &str) -> Result<(), MysqlError> {
        self.connection.query_drop(sql).await.map_err(MysqlError::server(self.doing()))
    }

    fn doing(&self) -> String {
        format!("write rows to table {}", self.target.table)
    }
}
