//! A route's view of the log: which frames are its business, where it stands, how far behind it is.

use std::collections::{BTreeSet, VecDeque};

use towpath_catalog::AcceptedSchema;
use towpath_log::deliveries::Cursor;
use towpath_log::{Entry, LogReader, ReadError, RegionLog, Totals};
use towpath_record::{FrameHeader, FrameKind, LogOffset, RegionName, ResourceName, RouteId, SinkId};
use towpath_resource::route::{RouteSpec, StartFrom};

/// Frames that are passed over in one go before others get their turn.
const MOST_PASSED: usize = 256;

/// A route, as the catalog wants it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RoutePlan {
    pub id: RouteId,
    pub name: ResourceName,
    pub spec: RouteSpec,
    pub sink: SinkId,
    pub sink_agent: towpath_record::AgentId,
    /// The region where the sink's agent stands.
    pub region: RegionName,
    /// How often an admin has replayed it.
    pub replay: u64,
    /// Where this replay of it begins.
    pub start: StartFrom,
    /// Versions of schemas that an admin accepted for it.
    pub accepted: BTreeSet<AcceptedSchema>,
}

impl RoutePlan {
    /// Whether a frame goes to this route's sink.
    pub(crate) fn takes(&self, header: &FrameHeader) -> bool {
        match header.kind {
            FrameKind::Records => self.spec.takes(&header.stream),
            FrameKind::Replay => header.lane.source.as_bytes() == self.id.as_bytes(),
            FrameKind::DeadLetters | FrameKind::Progress => false,
        }
    }

    fn counts(&self, header: &FrameHeader) -> bool {
        header.kind == FrameKind::Records && self.takes(header)
    }

    /// Records and bytes of the route's streams.
    pub(crate) fn sum(&self, totals: &Totals) -> (u64, u64) {
        let mine = totals.0.iter().filter(|(stream, _)| self.spec.takes(stream));
        mine.fold((0, 0), |(records, bytes), (_, t)| (records + t.records, bytes + t.bytes))
    }
}

/// Why a route cannot go on reading.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The reading task was cancelled.
    #[error("the control plane is stopping")]
    Stopping,
}

/// Reads the route's frames and counts them.
pub(crate) struct RouteReader {
    plan: RoutePlan,
    reader: LogReader,
    /// Where the route durably stands.
    cursor: Cursor,
    /// Records and bytes of its streams before what is read next.
    read: (u64, u64),
    /// What was handed out and is not durable in the sink: offset, records and bytes up to there, capture time.
    in_flight: VecDeque<(LogOffset, (u64, u64), i64)>,
    /// Where the transaction begins that the last frame handed out leaves open. A sink commits nothing behind it.
    open_from: Option<LogOffset>,
    /// What could not be read, for the admin.
    pub lost: Option<String>,
}

impl RouteReader {
    /// A reader that goes on where the route stands. Blocks on the disk.
    pub(crate) fn open(log: &RegionLog, plan: RoutePlan, cursor: Option<Cursor>) -> Result<Self, RouteError> {
        let cursor = match cursor.filter(|cursor| cursor.replay == plan.replay) {
            Some(cursor) => cursor,
            None => begin(log, &plan)?,
        };
        let reader = log.reader(cursor.offset.next());
        let read = (cursor.records, cursor.bytes);
        Ok(Self { plan, reader, cursor, read, in_flight: VecDeque::new(), open_from: None, lost: None })
    }

    /// Where the route durably stands.
    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Goes to where the sink says it stands; what is handed out counts as not delivered. Blocks on the disk.
    pub(crate) fn resume(&mut self, log: &RegionLog, sink: Option<LogOffset>) -> Result<(), RouteError> {
        self.in_flight.clear();
        self.open_from = None;
        let (from, to) = (self.cursor.offset, sink.unwrap_or(LogOffset(0)));
        if sink.is_none() {
            self.cursor = begin(log, &self.plan)?;
        } else if to > from {
            let (records, bytes) = count(log, &self.plan, from.next(), to.next())?;
            self.cursor.records += records;
            self.cursor.bytes += bytes;
            self.cursor.offset = to;
        } else {
            let (records, bytes) = count(log, &self.plan, to.next(), from.next())?;
            self.cursor.records = self.cursor.records.saturating_sub(records);
            self.cursor.bytes = self.cursor.bytes.saturating_sub(bytes);
            self.cursor.offset = to;
        }
        self.read = (self.cursor.records, self.cursor.bytes);
        self.reader.seek(self.cursor.offset.next());
        Ok(())
    }

    /// The route's next frame, if one is found among the next frames of the log. Blocks on the disk, briefly.
    pub(crate) fn next(&mut self) -> Result<Found, RouteError> {
        for _ in 0..MOST_PASSED {
            match self.reader.next_now() {
                Ok(Some(entry)) => {
                    let header = entry.frame.header();
                    if self.plan.counts(header) {
                        self.read.0 += u64::from(header.rows);
                        self.read.1 += entry.frame.bytes().len() as u64;
                    }
                    if self.plan.takes(header) {
                        self.in_flight.push_back((entry.offset, self.read, header.captured_at_us));
                        return Ok(Found::Frame(entry));
                    }
                    self.pass(entry.offset);
                }
                Ok(None) => return Ok(Found::End),
                Err(error @ (ReadError::Lost { .. } | ReadError::Frame { .. })) => {
                    tracing::error!(route = %self.plan.name, %error, "delivery goes on after damaged frames");
                    self.lost = Some(error.to_string());
                }
                Err(error @ ReadError::Retained { first, .. }) => {
                    tracing::error!(route = %self.plan.name, %error, "delivery goes on with the oldest frame kept");
                    self.lost = Some(error.to_string());
                    self.reader.seek(first);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Found::NotYet)
    }

    /// Waits until there is more to read. Returns `false` when the log was closed.
    pub(crate) async fn wait(&mut self) -> bool {
        self.reader.wait().await
    }

    /// The sink durably has everything up to this offset. Returns whether that is news.
    pub(crate) fn delivered(&mut self, offset: LogOffset) -> bool {
        let mut news = false;
        while let Some((at, totals, _)) = self.in_flight.pop_front_if(|(at, ..)| *at <= offset) {
            (self.cursor.offset, (self.cursor.records, self.cursor.bytes)) = (at, totals);
            news = true;
        }
        if self.in_flight.is_empty() {
            let behind_reader = LogOffset(self.reader.position().0 - 1);
            news |= behind_reader > self.cursor.offset;
            self.cursor.offset = self.cursor.offset.max(behind_reader);
        }
        news
    }

    /// The last frame that was found goes to the sink.
    pub(crate) fn handed_out(&mut self, header: &FrameHeader) {
        let here = self.in_flight.back().map(|(offset, ..)| *offset);
        self.open_from = if header.transaction_continues { self.open_from.or(here) } else { None };
    }

    /// Whether the sink durably has all that it can have while the last frame that was found is kept from it.
    pub(crate) fn is_settled(&self) -> bool {
        let before = self.in_flight.len().saturating_sub(1);
        self.in_flight
            .iter()
            .take(before)
            .all(|(offset, ..)| self.open_from.is_some_and(|open| *offset >= open))
    }

    /// When the oldest frame that is not durable in the sink was sealed, in microseconds since 1970-01-01 UTC.
    pub(crate) fn oldest_in_flight_us(&self) -> Option<i64> {
        self.in_flight.front().map(|(_, _, captured)| *captured)
    }

    /// A frame is none of the route's business: with nothing in flight the route stands behind it.
    fn pass(&mut self, offset: LogOffset) {
        if self.in_flight.is_empty() {
            self.cursor.offset = offset;
        }
    }
}

/// What a look for the route's next frame found.
pub(crate) enum Found {
    /// A frame.
    Frame(Entry),
    /// Only others' frames so far.
    NotYet,
    /// The end of the log.
    End,
}

/// Where a route begins that has no cursor.
fn begin(log: &RegionLog, plan: &RoutePlan) -> Result<Cursor, RouteError> {
    let status = log.status();
    let first = match plan.start {
        StartFrom::Earliest => status.first,
        StartFrom::Latest => status.next,
        StartFrom::Offset(offset) => offset.clamp(status.first, status.next),
        StartFrom::Time(time) => log.offset_at(time.as_microsecond())?,
    };
    let (records, bytes) = if first == status.next {
        plan.sum(&status.totals)
    } else {
        let (trimmed, passed) = (plan.sum(&log.trimmed_totals()), count(log, plan, status.first, first)?);
        (trimmed.0 + passed.0, trimmed.1 + passed.1)
    };
    Ok(Cursor { replay: plan.replay, offset: LogOffset(first.0 - 1), records, bytes })
}

/// Records and bytes of the route's streams from one offset to before another.
fn count(
    log: &RegionLog,
    plan: &RoutePlan,
    from: LogOffset,
    to: LogOffset,
) -> Result<(u64, u64), RouteError> {
    let mut reader = log.reader(from.max(log.status().first));
    let (mut records, mut bytes) = (0, 0);
    while reader.position() < to {
        match reader.next_now() {
            Ok(Some(entry)) if plan.counts(entry.frame.header()) => {
                records += u64::from(entry.frame.header().rows);
                bytes += entry.frame.bytes().len() as u64;
            }
            Ok(Some(_)) | Err(ReadError::Lost { .. } | ReadError::Frame { .. }) => {}
            Ok(None) => break,
            Err(ReadError::Retained { first, .. }) => reader.seek(first),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((records, bytes))
}
