//! One route's worker: takes frames in, applies them, commits in groups, reports what is durable.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use towpath_adapter_api::{AdapterError, CommitReason, Delivery, Durability, Rejection, RouteKey, Sink};
use towpath_record::{DecodeError, FrameKind, LogId, LogOffset};

use super::casts::{CastFailure, Casts};
use super::progress::{Progress, UnreadableCheckpoint};
use crate::link::{Disconnected, RouteFrame, RouteHandle, RouteReporter};

/// A group commit is asked for after this many bytes of frames.
const COMMIT_BYTES: usize = 8 << 20;
/// A group commit is asked for when nothing has come for as long as the last one took, and at the latest after this: a
/// commit that costs little need not be saved.
const LONGEST_IDLE: Duration = Duration::from_millis(10);
/// A sink that has accepted but not stored is asked again this often.
const RECOMMIT: Duration = Duration::from_millis(500);

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] AdapterError),
    /// The sink's checkpoint is not ours.
    #[error(transparent)]
    Checkpoint(#[from] UnreadableCheckpoint),
    /// A frame's rows cannot be read.
    #[error("frame {offset} of the region log cannot be read")]
    Frame {
        /// Its place in the region's log.
        offset: LogOffset,
        #[source]
        source: DecodeError,
    },
    /// A frame's rows cannot be cast as the control plane wants.
    #[error("the rows of frame {offset} of the region log cannot be cast")]
    Cast {
        /// Its place in the region's log.
        offset: LogOffset,
        #[source]
        source: CastFailure,
    },
    /// The link is gone.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
}

/// What a worker has done since it was asked last.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Rows that became durable.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Rows that the sink refused.
    pub rejected: u64,
}

/// Applies one route's frames to one sink.
pub(crate) struct Worker<F> {
    sink: Box<dyn Sink>,
    reporter: RouteReporter,
    /// The log that the frames come from.
    log: LogId,
    progress: Progress,
    casts: Casts,
    pending: Applied,
    /// Bytes of frames that came after the last commit, whether they held rows for the sink or not.
    uncommitted_bytes: usize,
    transaction_open: bool,
    accepted: bool,
    quiet_since: Instant,
    /// How long a group commit waits for more.
    idle: Duration,
    on_durable: F,
}

impl<F: FnMut(Applied)> Worker<F> {
    /// Opens the sink and reports where it stands. `on_durable` is told what became durable.
    pub(crate) async fn open(
        mut sink: Box<dyn Sink>,
        route: &RouteHandle,
        on_durable: F,
    ) -> Result<Self, ApplyError> {
        let binding = route.binding();
        let checkpoint = sink.open(&RouteKey { route: binding.route, replay: binding.replay }).await?;
        let stored = checkpoint.as_ref().map(Progress::from_checkpoint).transpose()?;
        let reporter = route.reporter();
        reporter.ready(stored.as_ref().map(|progress| (progress.log, progress.offset)));
        let progress = stored.unwrap_or_else(|| Progress::none_of(binding.log));
        Ok(Self {
            sink,
            reporter,
            log: binding.log,
            progress,
            casts: Casts::new(route.casts()),
            pending: Applied::default(),
            uncommitted_bytes: 0,
            transaction_open: false,
            accepted: false,
            quiet_since: Instant::now(),
            idle: Duration::ZERO,
            on_durable,
        })
    }

    /// Works until the route is unbound or the link is lost.
    pub(crate) async fn run(mut self, route: &mut RouteHandle) -> Result<(), ApplyError> {
        loop {
            let due = self.commit_due();
            tokio::select! {
                biased;
                next = route.next() => match next {
                    Some(frame) => self.take(&frame).await?,
                    None => return self.commit(CommitReason::Closing).await,
                },
                () = sleep_until(due.unwrap_or(self.quiet_since)), if due.is_some() => {
                    self.commit(CommitReason::Idle).await?;
                }
            }
            if self.uncommitted_bytes >= COMMIT_BYTES {
                self.commit(CommitReason::Batch).await?;
            }
        }
    }

    fn commit_due(&self) -> Option<Instant> {
        if self.transaction_open {
            return None;
        }
        let grouped = (self.uncommitted_bytes > 0).then(|| self.quiet_since + self.idle);
        let accepted = self.accepted.then(|| self.quiet_since + RECOMMIT);
        let wanted = self.sink.commit_wanted_by().map(Instant::from_std);
        [grouped, accepted, wanted].into_iter().flatten().min()
    }

    async fn take(&mut self, RouteFrame { offset, frame, schema }: &RouteFrame) -> Result<(), ApplyError> {
        let (header, link, bytes) = (frame.header(), frame.link(), frame.bytes().len());
        let has_rows = matches!(header.kind, FrameKind::Records | FrameKind::Replay);
        if has_rows && !self.progress.covers(&header.lane, link) {
            let batch =
                frame.decode(schema).map_err(|source| ApplyError::Frame { offset: *offset, source })?;
            let delivery = Delivery {
                offset: *offset,
                lane: header.lane.clone(),
                link,
                stream: header.stream.clone(),
                schema: schema.clone(),
                batch,
                captured_at_us: header.captured_at_us,
            };
            let rejected = self.apply(&delivery).await?;
            self.reject(&delivery, &rejected).await?;
            self.pending.records += u64::from(header.rows) - rejected.len() as u64;
            self.pending.rejected += rejected.len() as u64;
            self.pending.bytes += bytes as u64;
        }
        self.progress.advance(self.log, *offset, &header.lane, link);
        self.transaction_open = header.transaction_continues;
        self.uncommitted_bytes += bytes;
        self.quiet_since = Instant::now();
        self.reporter.taken(bytes);
        Ok(())
    }

    /// Applies rows, cast before if that is wanted. What does not fit is refused like what the sink refuses.
    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, ApplyError> {
        let cast = self.casts.cast(delivery);
        let cast = cast.map_err(|source| ApplyError::Cast { offset: delivery.offset, source })?;
        let Some((schema, cast)) = cast else { return Ok(self.sink.apply(delivery).await?) };
        let misfits = cast.misfits.into_iter().map(|(row, reason)| Rejection { row, reason });
        let mut rejected: Vec<_> = misfits.collect();
        metrics::counter!("towpath_agent_cast_rows_total").increment(cast.rows.len() as u64);
        metrics::counter!("towpath_agent_misfit_rows_total").increment(rejected.len() as u64);
        if !cast.rows.is_empty() {
            let fitting = Delivery { schema, batch: cast.batch, ..delivery.clone() };
            let refused = self.sink.apply(&fitting).await?;
            // The sink counts the rows that it was given; a dead letter counts those of the frame.
            let in_frame = refused.into_iter().filter_map(|Rejection { row, reason }| {
                cast.rows.get(row as usize).map(|row| Rejection { row: *row, reason })
            });
            rejected.extend(in_frame);
            rejected.sort_by_key(|rejection| rejection.row);
        }
        Ok(rejected)
    }

    /// Dead letters are durable before the commit that passes their rows over.
    async fn reject(&mut self, delivery: &Delivery, rejected: &[Rejection]) -> Result<(), Disconnected> {
        if rejected.is_empty() {
            return Ok(());
        }
        let rows = rejected.iter().map(|rejection| (rejection.row, rejection.reason.clone())).collect();
        self.reporter.reject(delivery.offset, delivery.lane.clone(), delivery.link, rows).await
    }

    async fn commit(&mut self, reason: CommitReason) -> Result<(), ApplyError> {
        let wanted = self.sink.commit_wanted_by().is_some_and(|at| at <= Instant::now().into_std());
        let something = self.uncommitted_bytes > 0 || self.accepted || wanted;
        if !something || self.transaction_open {
            return Ok(());
        }
        let began = Instant::now();
        let durability = self.sink.commit(&self.progress.to_checkpoint(), reason).await?;
        self.uncommitted_bytes = 0;
        self.quiet_since = Instant::now();
        self.idle = (self.quiet_since - began).min(LONGEST_IDLE);
        self.accepted = durability == Durability::Accepted;
        if durability == Durability::Durable {
            self.reporter.durable(self.progress.offset);
            (self.on_durable)(std::mem::take(&mut self.pending));
        }
        Ok(())
    }
}
