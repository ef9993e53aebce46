//! Compares what a source has with what a sink keeps, while changes flow, and sends again what differs.
//!
//! ```text
//!   digest both ─ buckets that differ ─▶ list their rows ─ rows that differ ─▶ look again until they settle
//!                                                                                   │ still differ
//!                                                     report ◀─ look again ◀─ send again from the source
//! ```
//!
//! Both ends work in their agents; keys and digests are all that comes here, and only of rows that may differ.
//! Memory is bounded by [`LISTED_ROWS`] and by the limit of the order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use towpath_proto::ids;
use towpath_proto::link::{
    Buckets, DigestTable, Keys, ListRows, ResendRows, Table, TableDigest, answer, list_rows, question, table,
};
use towpath_record::{AgentId, ResourceName, SinkId, SourceId, StreamName, StreamSchema};
use towpath_resource::api::{
    CompareLine, CompareOrder, DifferenceKind, RowDifference, StreamSums, StreamVerdict,
};

use super::questions::{AskError, ask};
use super::sessions::Sessions;

/// Rows of differing buckets that are listed at a time, at each end.
const LISTED_ROWS: u64 = 100_000;
/// Rows that are looked up or sent again by one question.
const ROWS_IN_QUESTION: usize = 256;
/// How long to wait before differing rows are looked at again: first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// A stream to compare, and where.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub stream: StreamName,
    pub schema: StreamSchema,
    pub source: SourceId,
    pub source_name: ResourceName,
    pub source_agent: AgentId,
    pub sink: SinkId,
    pub sink_agent: AgentId,
}

/// Why a comparison ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// The source's agent gave no answer.
    #[error("source {source_name}: {error}")]
    Source {
        /// The source.
        source_name: ResourceName,
        /// Why.
        error: AskError,
    },
    /// The sink's agent gave no answer.
    #[error("the sink: {0}")]
    Sink(AskError),
    /// Nobody reads the answer any more.
    #[error("nobody waits for the comparison any more")]
    Abandoned,
}

/// Where lines of the answer go, as soon as they are known.
pub(crate) type Lines = mpsc::Sender<CompareLine>;

/// Compares streams one after the other.
pub(crate) async fn run(sessions: Sessions, flows: Vec<Flow>, order: CompareOrder, lines: Lines) {
    for flow in flows {
        let comparison = Comparison { sessions: &sessions, flow: &flow, order: &order, lines: &lines };
        if let Err(error) = comparison.run().await {
            // Who no longer listens needs no error.
            drop(lines.send(CompareLine::Error(format!("stream {}: {error}", flow.stream))).await);
            return;
        }
    }
}

struct Comparison<'a> {
    sessions: &'a Sessions,
    flow: &'a Flow,
    order: &'a CompareOrder,
    lines: &'a Lines,
}

/// The digests of some rows at one end, by their keys.
type Rows = BTreeMap<String, u64>;

/// Rows that differ, and how.
type Differences = BTreeMap<String, DifferenceKind>;

#[derive(Clone, Copy)]
enum End {
    Source,
    Sink,
}

impl Comparison<'_> {
    async fn run(&self) -> Result<(), CompareError> {
        let (sums, differing) = self.sum_up().await?;
        self.tell(CompareLine::Summed(sums)).await?;
        let verdict = if self.flow.schema.key().is_empty() {
            self.verdict_without_key(differing).await?
        } else {
            self.verdict(differing).await?
        };
        self.tell(CompareLine::Compared(verdict)).await
    }

    /// Both ends in sum, and the buckets that differ, each with how many rows it has at the end that has more.
    async fn sum_up(&self) -> Result<(StreamSums, Vec<(u32, u64)>), CompareError> {
        let (source, sink) = tokio::try_join!(self.digest(End::Source), self.digest(End::Sink))?;
        let sums = |digest: &TableDigest| -> Vec<_> {
            digest.rows.iter().copied().zip(digest.sums.iter().copied()).collect()
        };
        let (at_source, at_sink) = (sums(&source), sums(&sink));
        if at_source.len() != at_sink.len() {
            return Err(CompareError::Sink(AskError::OtherAnswer));
        }
        let pairs = (0_u32..).zip(at_source.iter().zip(&at_sink));
        let differing: Vec<_> =
            pairs.filter(|(_, (a, b))| a != b).map(|(bucket, (a, b))| (bucket, a.0.max(b.0))).collect();
        let sums = StreamSums {
            stream: self.flow.stream.clone(),
            source: self.flow.source_name.clone(),
            rows_at_source: source.rows.iter().sum(),
            rows_at_sink: sink.rows.iter().sum(),
            parts: at_source.len() as u64,
            parts_that_differ: differing.len() as u64,
        };
        Ok((sums, differing))
    }

    /// Rows without a key cannot be told apart: all that can be said is how many do not match.
    async fn verdict_without_key(
        &self,
        mut differing: Vec<(u32, u64)>,
    ) -> Result<StreamVerdict, CompareError> {
        let deadline = Instant::now() + self.order.settle.0;
        let first = differing.len() as u64;
        while !differing.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(PAUSES.1).await;
            differing = self.sum_up().await?.1;
        }
        let left = differing.len() as u64;
        Ok(StreamVerdict {
            stream: self.flow.stream.clone(),
            settled: first.saturating_sub(left),
            differing: left,
            repaired: 0,
            truncated: left > 0,
        })
    }

    async fn verdict(&self, differing: Vec<(u32, u64)>) -> Result<StreamVerdict, CompareError> {
        let limit = self.order.limit as usize;
        let (mut suspects, mut truncated) = (BTreeSet::new(), false);
        for group in groups(&differing) {
            if suspects.len() >= limit {
                truncated = true;
                break;
            }
            let (source, sink) =
                tokio::try_join!(self.list(End::Source, &group), self.list(End::Sink, &group))?;
            suspects.extend(difference(&source, &sink).into_keys());
        }
        truncated |= suspects.len() > limit;
        let suspects: Vec<_> = suspects.into_iter().take(limit).collect();
        let found = self.settle(&suspects).await?;
        for (key, kind) in &found {
            let row = RowDifference { stream: self.flow.stream.clone(), key: key.clone(), kind: *kind };
            self.tell(CompareLine::Differs(row)).await?;
        }
        let left = if self.order.repair && !found.is_empty() {
            self.repair(found.keys().cloned().collect()).await?
        } else {
            found.clone()
        };
        Ok(StreamVerdict {
            stream: self.flow.stream.clone(),
            settled: (suspects.len() - found.len()) as u64,
            differing: found.len() as u64,
            repaired: (found.len() - left.len()) as u64,
            truncated,
        })
    }

    /// Looks at rows again until none differs any more or the time is up; those that still differ.
    async fn settle(&self, suspects: &[String]) -> Result<Differences, CompareError> {
        let deadline = Instant::now() + self.order.settle.0;
        let (mut pause, mut keys, mut before) = (PAUSES.0, suspects.to_vec(), Rows::new());
        loop {
            let (source, sink) =
                tokio::try_join!(self.look_up(End::Source, &keys), self.look_up(End::Sink, &keys))?;
            let mut found = difference(&source, &sink);
            let at_rest = |key: &String| before.get(key) == source.get(key);
            if found.is_empty() || Instant::now() >= deadline {
                for (key, kind) in &mut found {
                    if !before.is_empty() && !at_rest(key) {
                        *kind = DifferenceKind::Changing;
                    }
                }
                return Ok(found);
            }
            (keys, before) = (found.into_keys().collect(), source);
            tokio::time::sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Sends rows again from the source; those that differ even then.
    async fn repair(&self, keys: Vec<String>) -> Result<Differences, CompareError> {
        for keys in keys.chunks(ROWS_IN_QUESTION) {
            let resend = ResendRows {
                source: ids::to_bytes(self.flow.source.as_bytes()),
                stream: self.flow.stream.to_string(),
                schema: self.flow.schema.canonical().clone(),
                keys: Some(Keys { key: keys.to_vec() }),
            };
            let kind = question::Kind::ResendRows(resend);
            match self.ask(End::Source, kind).await?.pop() {
                Some(answer::Kind::Resent(resent)) => tracing::info!(
                    stream = %self.flow.stream,
                    source = %self.flow.source_name,
                    resent.present,
                    resent.deleted,
                    resent.overtaken,
                    "rows that differed were sent again"
                ),
                _ => return Err(self.failed(End::Source, AskError::OtherAnswer)),
            }
        }
        self.settle(&keys).await
    }

    async fn digest(&self, end: End) -> Result<TableDigest, CompareError> {
        let rows_per_second = self.order.rows_per_second;
        let asked = DigestTable { table: Some(self.table(end)), rows_per_second };
        match self.ask(end, question::Kind::DigestTable(asked)).await?.pop() {
            Some(answer::Kind::TableDigest(digest)) if digest.rows.len() == digest.sums.len() => Ok(digest),
            _ => Err(self.failed(end, AskError::OtherAnswer)),
        }
    }

    async fn list(&self, end: End, buckets: &[u32]) -> Result<Rows, CompareError> {
        let buckets = Buckets { bucket: buckets.to_vec() };
        self.rows(end, self.order.rows_per_second, list_rows::Which::Buckets(buckets)).await
    }

    async fn look_up(&self, end: End, keys: &[String]) -> Result<Rows, CompareError> {
        let mut found = Rows::new();
        for keys in keys.chunks(ROWS_IN_QUESTION) {
            let keys = list_rows::Which::Keys(Keys { key: keys.to_vec() });
            found.append(&mut self.rows(end, 0, keys).await?);
        }
        Ok(found)
    }

    async fn rows(
        &self,
        end: End,
        rows_per_second: u32,
        which: list_rows::Which,
    ) -> Result<Rows, CompareError> {
        let asked = ListRows { table: Some(self.table(end)), rows_per_second, which: Some(which) };
        let mut rows = Rows::new();
        for part in self.ask(end, question::Kind::ListRows(asked)).await? {
            let answer::Kind::RowDigests(part) = part else {
                return Err(self.failed(end, AskError::OtherAnswer));
            };
            rows.extend(part.row.into_iter().map(|row| (row.key, row.digest)));
        }
        Ok(rows)
    }

    fn table(&self, end: End) -> Table {
        let system = match end {
            End::Source => table::System::Source(ids::to_bytes(self.flow.source.as_bytes())),
            End::Sink => table::System::Sink(ids::to_bytes(self.flow.sink.as_bytes())),
        };
        Table {
            system: Some(system),
            stream: self.flow.stream.to_string(),
            schema: self.flow.schema.canonical().clone(),
        }
    }

    async fn ask(&self, end: End, kind: question::Kind) -> Result<Vec<answer::Kind>, CompareError> {
        let agent = match end {
            End::Source => self.flow.source_agent,
            End::Sink => self.flow.sink_agent,
        };
        tokio::select! {
            answer = ask(self.sessions, agent, kind) => answer.map_err(|error| self.failed(end, error)),
            () = self.lines.closed() => Err(CompareError::Abandoned),
        }
    }

    fn failed(&self, end: End, error: AskError) -> CompareError {
        match end {
            End::Source => CompareError::Source { source_name: self.flow.source_name.clone(), error },
            End::Sink => CompareError::Sink(error),
        }
    }

    async fn tell(&self, line: CompareLine) -> Result<(), CompareError> {
        self.lines.send(line).await.map_err(|_| CompareError::Abandoned)
    }
}

/// Buckets in groups that can be listed at a time.
fn groups(differing: &[(u32, u64)]) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut rows = u64::MAX;
    for (bucket, in_bucket) in differing {
        rows = rows.saturating_add(*in_bucket);
        if rows > LISTED_ROWS {
            groups.push(Vec::new());
            rows = *in_bucket;
        }
        groups.last_mut().expect("the first bucket begins a group").push(*bucket);
    }
    groups
}

/// The rows that are not the same at both ends.
fn difference(source: &Rows, sink: &Rows) -> Differences {
    let at_source = source.iter().filter_map(|(key, digest)| match sink.get(key) {
        None => Some((key.clone(), DifferenceKind::MissingAtSink)),
        Some(other) => (other != digest).then(|| (key.clone(), DifferenceKind::Different)),
    });
    let at_sink = sink.keys().filter(|key| !source.contains_key(*key));
    at_source.chain(at_sink.map(|key| (key.clone(), DifferenceKind::MissingAtSource))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, u64)]) -> Rows {
        rows.iter().map(|(key, digest)| ((*key).to_owned(), *digest)).collect()
    }

    #[test]
    fn rows_differ_by_what_is_missing_and_by_their_values() {
        let found =
            difference(&rows(&[("a", 1), ("b", 2), ("c", 3)]), &rows(&[("b", 2), ("c", 4), ("d", 5)]));
        let expected = [
            ("a".to_owned(), DifferenceKind::MissingAtSink),
            ("c".to_owned(), DifferenceKind::Different),
            ("d".to_owned(), DifferenceKind::MissingAtSource),
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn buckets_are_listed_in_groups_that_fit_and_one_that_is_too_large_alone() {
        let differing = [(1, LISTED_ROWS - 1), (4, 1), (5, 1), (9, LISTED_ROWS * 2), (10, 7)];
        assert_eq!(groups(&differing), [vec![1, 4], vec![5], vec![9], vec![10]]);
        assert!(groups(&[]).is_empty());
    }
}
