//! Which changes the copy has already.
//!
//! Each row of the copy was seen under the snapshot of its run. A change is in the copy if the snapshot under which
//! its row's key was copied shows its transaction. Where runs disagree, because a transaction was committed between
//! them, the server compares the key with the one where the earlier run ended; it knows the order of its keys.

use bytes::Bytes;

use super::catalog::{Catalog, KeyOrder};
use super::message::{Commit, Value};
use super::position::{Part, Run};
use super::table::Table;
use crate::error::PostgresError;

/// The runs of the copy, while a change that they have may still come.
pub(crate) struct CopiedAlready {
    runs: Vec<Run>,
    /// The tables that they are of; all of them if empty.
    only: Vec<String>,
}

/// A run that may have copied a row.
struct Candidate<'a> {
    shows: bool,
    /// The key up to which it copied the table; everything if none.
    up_to: Option<&'a Part>,
}

impl CopiedAlready {
    pub(crate) fn new(runs: &[Run], only: &[String]) -> Self {
        Self { runs: runs.to_vec(), only: only.to_vec() }
    }

    /// Forgets the runs once no change that they have can come.
    pub(crate) fn forget(&mut self, lsn: u64) {
        if self.runs.iter().all(|run| run.until <= lsn) {
            self.runs.clear();
        }
    }

    /// Whether the copy has a transaction's change of a whole table. A table that was truncated between two runs was
    /// copied again, so its runs agree.
    pub(crate) fn has_table(&self, table: &Table, commit: &Commit) -> bool {
        self.candidates(&table.name, commit).first().is_some_and(|candidate| candidate.shows)
    }

    /// Whether the copy has a transaction's change of a row.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn has(
        &self,
        catalog: &Catalog,
        table: &Table,
        commit: &Commit,
        row: &[Value],
    ) -> Result<bool, PostgresError> {
        let candidates = self.candidates(&table.name, commit);
        let Some(first) = candidates.first() else { return Ok(false) };
        if candidates.iter().all(|candidate| candidate.shows == first.shows) {
            return Ok(first.shows);
        }
        let order = catalog.key_order(table.oid).await?;
        let key = table.texts(&order.names, row).filter(|key| !key.is_empty());
        let key =
            key.ok_or(PostgresError::Damaged("a change lacks the key by which its table was copied"))?;
        for candidate in candidates {
            match candidate.up_to {
                Some(part) if !is_at_most(catalog, &order, &key, &part.key).await? => {}
                _ => return Ok(candidate.shows),
            }
        }
        Ok(false)
    }

    /// The runs that may have copied a row of a table, in their order. The last run copied what none before it did.
    fn candidates(&self, table: &str, commit: &Commit) -> Vec<Candidate<'_>> {
        let mut candidates = Vec::new();
        if !self.only.is_empty() && !self.only.iter().any(|name| name == table) {
            return candidates;
        }
        for (index, run) in self.runs.iter().enumerate() {
            let is_last = index + 1 == self.runs.len();
            let shows = commit.lsn < run.until && run.snapshot.shows(commit.xid);
            if is_last || run.done.as_deref().is_some_and(|done| table <= done) {
                candidates.push(Candidate { shows, up_to: None });
                break;
            }
            if let Some(part) = run.part.as_ref().filter(|part| part.table == table) {
                candidates.push(Candidate { shows, up_to: Some(part) });
            }
        }
        candidates
    }
}

async fn is_at_most(
    catalog: &Catalog,
    order: &KeyOrder,
    key: &[Bytes],
    end: &[String],
) -> Result<bool, PostgresError> {
    let key: Vec<_> = key.iter().map(|text| String::from_utf8_lossy(text)).collect();
    let sql = format!("SELECT {} <= {}", order.row(&key), order.row(end));
    let row = catalog.client.query_one(&sql, &[]).await;
    Ok(row.map_err(PostgresError::server("compare keys"))?.get(0))
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Snapshot;
    use super::super::table::tests::table;
    use super::*;

    fn run(xmax: u64, done: Option<&str>, part: Option<&str>) -> Run {
        let part = part.map(|table| Part { table: table.to_owned(), file: 1, key: vec!["5".to_owned()] });
        Run {
            snapshot: Snapshot { xmin: xmax, xmax, running: vec![] },
            until: 100,
            done: done.map(str::to_owned),
            part,
        }
    }

    #[test]
    fn each_table_counts_by_the_run_that_copied_it() {
        let runs = [run(10, Some("public.a"), None), run(20, Some("public.t"), None)];
        let commit = |xid, lsn| Commit { xid, lsn, at_us: 0 };
        let mut copied = CopiedAlready::new(&runs, &[]);
        assert!(copied.has_table(&table(b'd'), &commit(15, 50)));
        assert!(!copied.has_table(&table(b'd'), &commit(25, 50)));
        assert!(!copied.has_table(&table(b'd'), &commit(15, 100)));
        let shows = |name: &str| copied.candidates(name, &commit(15, 50))[0].shows;
        assert!(!shows("public.a") && shows("public.z"));
        copied.forget(100);
        assert!(!copied.has_table(&table(b'd'), &commit(15, 50)));
    }

    #[test]
    fn a_table_that_two_runs_copied_has_two_candidates() {
        let copied =
            CopiedAlready::new(&[run(10, None, Some("public.t")), run(20, Some("public.t"), None)], &[]);
        let commit = Commit { xid: 15, lsn: 50, at_us: 0 };
        let shows: Vec<_> = copied.candidates("public.t", &commit).iter().map(|c| c.shows).collect();
        assert_eq!(shows, [false, true]);
    }
    #[test]
    fn a_copy_of_some_tables_has_no_change_of_another() {
        let copied = CopiedAlready::new(&[run(10, Some("public.t"), None)], &["public.a".to_owned()]);
        let commit = Commit { xid: 5, lsn: 50, at_us: 0 };
        assert!(!copied.has_table(&table(b'd'), &commit));
        let copied = CopiedAlready::new(&[run(10, Some("public.t"), None)], &["public.t".to_owned()]);
        assert!(copied.has_table(&table(b'd'), &commit));
    }
}
