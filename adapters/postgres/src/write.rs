//! Writing a frame's rows into their table.
//!
//! Rows go in ranges, each behind a savepoint. A range that PostgreSQL refuses is rolled back and halved
//! until the rows that it refuses stand alone.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::{join, try_join};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use towpath_adapter_api::merge::{Plan, between_truncates, grouped};
use towpath_adapter_api::{Mode, OnConflict, Rejection};
use towpath_record::Op;

use crate::encode::EncodedRows;
use crate::error::{PostgresError, RowRefusal};
use crate::frame::{Frame, rejection};
use crate::single::Single;
use crate::target::{Keyed, Stage, Target};
use crate::{copy, single};

/// A frame on its way into a table.
pub(crate) struct Writer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) target: &'a Target,
    pub(crate) frame: &'a Frame,
    pub(crate) on_conflict: OnConflict,
}

impl Writer<'_> {
    /// Writes rows and returns those that PostgreSQL refuses.
    ///
    /// # Errors
    /// The server fails, or a row is refused that is to stop the route.
    pub(crate) async fn write(&self, accepted: &[usize]) -> Result<Vec<Rejection>, PostgresError> {
        let mut rejections = Vec::new();
        // The last is the next: rows are written in order.
        let mut ranges = vec![accepted];
        while let Some(rows) = ranges.pop() {
            if rows.is_empty() {
                continue;
            }
            // What follows is sent without waiting for the answer.
            let (set, written) =
                join(self.run("SAVEPOINT towpath", "set a savepoint"), self.write_range(rows)).await;
            set?;
            let Err(error) = written else {
                self.run("RELEASE SAVEPOINT towpath", "release a savepoint").await?;
                continue;
            };
            let Some(refusal) = error.refusal() else { return Err(error) };
            self.run("ROLLBACK TO SAVEPOINT towpath; RELEASE SAVEPOINT towpath", "roll back to a savepoint")
                .await?;
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

    fn refused(&self, row: usize, refusal: RowRefusal) -> Result<Rejection, PostgresError> {
        match (refusal, self.on_conflict) {
            (RowRefusal::Constraint(reason), OnConflict::Stop) => {
                Err(PostgresError::Conflict { table: self.target.table.clone(), reason })
            }
            (RowRefusal::Constraint(reason) | RowRefusal::Value(reason), _) => Ok(rejection(row, reason)),
        }
    }

    async fn write_range(&self, rows: &[usize]) -> Result<(), PostgresError> {
        let Some(keyed) = &self.target.keyed else { return self.insert(rows).await };
        let is_truncate = |row: usize| self.frame.ops[row] == Some(Op::Truncate);
        for (truncate, rows) in between_truncates(rows, is_truncate) {
            if let Some(truncate) = truncate {
                self.end_all(keyed, truncate).await?;
            }
            match self.target.mode {
                _ if rows.is_empty() => {}
                Mode::History => self.add_versions(keyed, rows).await?,
                Mode::Append | Mode::Upsert | Mode::SoftDelete => self.replace(keyed, rows).await?,
            }
        }
        Ok(())
    }

    async fn end_all(&self, keyed: &Keyed, truncate: usize) -> Result<(), PostgresError> {
        let (time, sequence) = (self.frame.time(truncate), self.frame.sequence(truncate));
        let parameters: &[&(dyn ToSql + Sync)] = match self.target.mode {
            Mode::Append | Mode::Upsert => &[],
            Mode::SoftDelete => &[&time],
            Mode::History => &[&time, &sequence],
        };
        self.execute(&keyed.end_all, parameters).await.map(drop)
    }

    /// Writes rows where each replaces the one with its key.
    async fn replace(&self, keyed: &Keyed, rows: &[usize]) -> Result<(), PostgresError> {
        let Some(keys) = &self.frame.keys else { return Ok(()) };
        // The rows that lack a key they need were sorted out.
        let with_key = |&row: &usize| Some((row, self.frame.ops[row]?, keys.row(row).ok()?));
        let plan = Plan::of(self.target.mode, rows.iter().filter_map(with_key));
        self.end(keyed, &plan.deletes).await?;
        for (kept, rows) in grouped(&plan.writes, &self.frame.unchanged) {
            match keyed.update_but_for(kept) {
                _ if kept.is_empty() => self.insert(&rows).await?,
                Some(update) => self.update(&rows, &update).await?,
                None => {}
            }
        }
        self.end(keyed, &plan.ends).await
    }

    async fn end(&self, keyed: &Keyed, rows: &[usize]) -> Result<(), PostgresError> {
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(end) = self.singly(rows).and_then(|single| single.end.as_ref()) {
            let Some(ends) = self.frame.ends() else { return Ok(()) };
            return single::execute(self.client, end, ends, rows).await.map_err(self.failing());
        }
        try_join(self.clear(), self.copy_ends(keyed, rows)).await?;
        self.execute(&keyed.end, &[]).await.map(drop)
    }

    /// Writes rows that leave some values as they are.
    async fn update(&self, rows: &[usize], update: &str) -> Result<(), PostgresError> {
        try_join(self.clear(), self.copy(&self.target.copy, &self.frame.rows, rows)).await?;
        let found = self.client.execute(update, &[]).await.map_err(self.failing())?;
        self.all_found(found, rows.len())
    }

    /// Writes rows where each is a version of the row with its key.
    async fn add_versions(&self, keyed: &Keyed, rows: &[usize]) -> Result<(), PostgresError> {
        let is_end = |row: &usize| self.frame.ops[*row] == Some(Op::Delete);
        let (ends, writes): (Vec<_>, Vec<_>) = rows.iter().copied().partition(is_end);
        self.clear().await?;
        if !ends.is_empty() {
            self.copy_ends(keyed, &ends).await?;
        }
        if !writes.is_empty() {
            self.copy(&self.target.copy, &self.frame.rows, &writes).await?;
        }
        if let Some(drop_repeats) = &keyed.drop_repeats {
            self.execute(drop_repeats, &[]).await?;
        }
        for (kept, rows) in grouped(&writes, &self.frame.unchanged) {
            if !kept.is_empty() {
                self.fill(keyed, kept, &rows).await?;
            }
        }
        self.execute(&keyed.end, &[]).await?;
        if let Some(Stage { insert, .. }) = &self.target.stage {
            self.execute(insert, &[]).await?;
        }
        Ok(())
    }

    /// Gives staged rows the values of the current versions that they leave as they are.
    async fn fill(&self, keyed: &Keyed, kept: &[usize], rows: &[usize]) -> Result<(), PostgresError> {
        let sequences: Vec<_> = rows.iter().map(|row| self.frame.sequence(*row)).collect();
        let staged = self.client.query_one(&keyed.count_staged(), &[&sequences]).await;
        let staged: i64 = staged.map_err(self.failing())?.get(0);
        let found = self.client.execute(&keyed.fill(kept), &[&sequences]).await;
        self.all_found(found.map_err(self.failing())?, usize::try_from(staged).unwrap_or_default())
    }

    fn all_found(&self, found: u64, wanted: usize) -> Result<(), PostgresError> {
        match usize::try_from(found) == Ok(wanted) {
            true => Ok(()),
            false => Err(PostgresError::NothingToKeep { table: self.target.table.clone() }),
        }
    }

    async fn insert(&self, rows: &[usize]) -> Result<(), PostgresError> {
        if let Some(Single { insert, .. }) = self.singly(rows) {
            let inserted = single::execute(self.client, insert, &self.frame.rows, rows).await;
            return inserted.map_err(self.failing());
        }
        try_join(self.clear(), self.copy(&self.target.copy, &self.frame.rows, rows)).await?;
        if let Some(Stage { insert, .. }) = &self.target.stage {
            self.execute(insert, &[]).await?;
        }
        Ok(())
    }

    /// The statements to write rows one by one, if they are so few.
    fn singly(&self, rows: &[usize]) -> Option<&Single> {
        self.target.single.as_ref().filter(|_| rows.len() <= single::MOST_ROWS)
    }

    /// Empties the stage for what is copied next, if there may be rows in it.
    async fn clear(&self) -> Result<(), PostgresError> {
        match &self.target.stage {
            Some(stage) if stage.used.swap(true, Relaxed) => self.execute(&stage.clear, &[]).await.map(drop),
            _ => Ok(()),
        }
    }

    async fn copy_ends(&self, keyed: &Keyed, rows: &[usize]) -> Result<(), PostgresError> {
        match self.frame.ends() {
            Some(ends) => self.copy(&keyed.copy_ends, ends, rows).await,
            None => Ok(()),
        }
    }

    async fn copy(
        &self,
        statement: &Statement,
        encoded: &EncodedRows,
        rows: &[usize],
    ) -> Result<(), PostgresError> {
        let copied = copy::send(self.client, statement, encoded, rows).await;
        copied.map_err(PostgresError::server(format!("copy rows for table {}", self.target.table)))
    }

    async fn execute(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PostgresError> {
        self.client.execute(statement, parameters).await.map_err(self.failing())
    }

    async fn run(&self, sql: &str, doing: &str) -> Result<(), PostgresError> {
        self.client.batch_execute(sql).await.map_err(PostgresError::server(doing))
    }

    fn failing(&self) -> impl FnOnce(tokio_postgres::Error) -> PostgresError + use<> {
        PostgresError::server(format!("write rows to table {}", self.target.table))
    }
}
