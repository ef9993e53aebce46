//! The one thread that writes: judges, appends, syncs, answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use towpath_record::{
    FrameKind, LaneId, Link, LogOffset, Mark, SchemaHash, SealedFrame, SourceId, StreamName, StreamSchema,
    dead_letter,
};
use towpath_segment::{DiskStorage, SegmentLog, error as segment};

use crate::book::Book;
use crate::chain::{LaneState, Verdict};
use crate::error::{AppendError, LogError};
use crate::retention::{self, Retained, Retention};
use crate::schemas::{SchemaVersion, SchemaVersions};
use crate::stats::{SourceTotals, Totals};

/// Frames are gathered into one sync up to this many bytes.
const GROUP_BYTES: usize = 16 << 20;
/// After this many bytes of frames the book is brought up to date, which bounds what an opening reads.
const CHECKPOINT_EVERY_BYTES: u64 = 128 << 20;
/// Length of the append time before each frame.
pub(crate) const STAMP_BYTES: usize = 8;

/// What became of a frame that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable in the log.
    Appended(LogOffset),
    /// It was durable already.
    Repeat,
    /// The chain rule refuses it. Nothing of it is stored.
    Refused(Verdict),
}

pub(crate) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

pub(crate) enum Command {
    Append {
        frames: Vec<SealedFrame>,
        answer: Answer<Vec<Outcome>, AppendError>,
    },
    Grant {
        lane: LaneId,
        above: u64,
        answer: Answer<LaneState, LogError>,
    },
    Marks {
        lane: LaneId,
        answer: Answer<Vec<Mark>, LogError>,
    },
    SkipTo {
        next: LogOffset,
        answer: Answer<(), LogError>,
    },
    GoOnBehind {
        lane: LaneId,
        epoch: u64,
        last: Link,
        answer: Answer<LaneState, LogError>,
    },
    PutSchema {
        schema: StreamSchema,
        answer: Answer<(), LogError>,
    },
    Retain {
        retention: Retention,
        now_us: i64,
        pinned: Option<LogOffset>,
        answer: Answer<Retained, LogError>,
    },
}

/// What the writer publishes; everything in it is durable.
#[derive(Default)]
pub(crate) struct Shared {
    pub lanes: BTreeMap<LaneId, LaneState>,
    pub totals: Totals,
    pub trimmed: Totals,
    pub by_source: BTreeMap<SourceId, SourceTotals>,
    /// Where frames of dead letters stand, newest last.
    pub dead_letters: BTreeMap<LogOffset, StreamName>,
    pub schemas: BTreeMap<SchemaHash, StreamSchema>,
    /// The versions of each stream's schema.
    pub versions: SchemaVersions,
    /// Those of them that the book does not have yet.
    pub new_versions: Vec<(SourceId, StreamName, SchemaVersion)>,
    /// Frames that agents have proved to be lost, since the log was opened.
    pub lost_frames: u64,
}

/// Offsets of dead-letter frames that are remembered; older ones are found by reading the log.
const MAX_DEAD_LETTER_FRAMES: usize = 100_000;

impl Shared {
    /// Notes a frame that is durable.
    pub(crate) fn note(&mut self, offset: LogOffset, appended_us: i64, frame: &SealedFrame) {
        let (header, bytes) = (frame.header(), frame.bytes().len());
        self.lanes.entry(header.lane.clone()).or_default().advance(header, frame.link().crc);
        self.totals.count(header, bytes);
        SourceTotals::count(&mut self.by_source, header, bytes);
        if let Some(version) = self.versions.note(offset, appended_us, header) {
            self.new_versions.push((header.lane.source, header.stream.clone(), version));
        }
        if header.kind == FrameKind::DeadLetters {
            self.dead_letters.insert(offset, header.stream.clone());
            if self.dead_letters.len() > MAX_DEAD_LETTER_FRAMES {
                self.dead_letters.pop_first();
            }
        }
    }
}

pub(crate) struct Writer {
    pub log: SegmentLog<DiskStorage>,
    pub book: Book,
    pub shared: Arc<RwLock<Shared>>,
    /// The offset that the next frame gets: everything before it is durable.
    pub head: watch::Sender<LogOffset>,
    pub bytes_since_checkpoint: u64,
    pub full: bool,
}

struct Offer {
    frames: Vec<SealedFrame>,
    answer: Answer<Vec<Outcome>, AppendError>,
}

impl Writer {
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            let mut next = Some(command);
            while let Some(command) = next.take() {
                next = self.execute(command, &mut commands);
            }
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "the region log's book was not brought up to date; the next start reads more");
        }
    }

    /// Carries a command out. Offers of frames are gathered; the first other command that is met meanwhile is
    /// returned, to be carried out next.
    fn execute(&mut self, command: Command, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        match command {
            Command::Append { frames, answer } => {
                let mut offers = vec![Offer { frames, answer }];
                let mut bytes = bytes_of(&offers[0].frames);
                let mut met = None;
                while bytes < GROUP_BYTES
                    && let Ok(command) = commands.try_recv()
                {
                    match command {
                        Command::Append { frames, answer } => {
                            bytes += bytes_of(&frames);
                            offers.push(Offer { frames, answer });
                        }
                        other => {
                            met = Some(other);
                            break;
                        }
                    }
                }
                self.append(offers);
                return met;
            }
            Command::Grant { lane, above, answer } => drop(answer.send(self.grant(lane, above))),
            Command::Marks { lane, answer } => drop(answer.send(Ok(self.book.marks(&lane)))),
            Command::SkipTo { next, answer } => drop(answer.send(self.skip_to(next))),
            Command::GoOnBehind { lane, epoch, last, answer } => {
                drop(answer.send(self.go_on_behind(lane, epoch, last)));
            }
            Command::PutSchema { schema, answer } => drop(answer.send(self.put_schema(schema))),
            Command::Retain { retention, now_us, pinned, answer } => {
                drop(answer.send(retention::enforce(self, &retention, now_us, pinned)));
            }
        }
        None
    }

    fn append(&mut self, offers: Vec<Offer>) {
        let mut lanes = BTreeMap::new();
        let mut accepted = Vec::new();
        let mut answers = Vec::new();
        let first = self.log.next_index();
        for Offer { frames, answer } in offers {
            match self.judge(frames, first, &mut lanes, &mut accepted) {
                Ok(outcomes) => answers.push((answer, outcomes)),
                Err(refusal) => drop(answer.send(Err(refusal))),
            }
        }
        let now_us = now_us();
        let stored = self.store(&accepted, now_us);
        self.publish(first, &accepted, now_us);
        for (answer, outcomes) in answers {
            // Whoever offered may have gone; its frames are stored all the same, and a repeat is harmless.
            drop(answer.send(stored.clone().map(|()| outcomes)));
        }
        if self.bytes_since_checkpoint >= CHECKPOINT_EVERY_BYTES
            && let Err(error) = self.checkpoint()
        {
            tracing::warn!(%error, "the region log's book was not brought up to date; trying again later");
        }
    }

    /// Judges one offer's frames in order, on top of what the offers before it in the group will have changed.
    fn judge(
        &self,
        frames: Vec<SealedFrame>,
        first: u64,
        lanes: &mut BTreeMap<LaneId, LaneState>,
        accepted: &mut Vec<SealedFrame>,
    ) -> Result<Vec<Outcome>, AppendError> {
        if self.full {
            return Err(AppendError::Full);
        }
        let shared = self.shared.read();
        if let Some(unknown) = frames.iter().find_map(|frame| unknown_schema(frame, &shared)) {
            return Err(AppendError::UnknownSchema(unknown));
        }
        let judged = frames.into_iter().map(|frame| {
            let header = frame.header();
            let known = || shared.lanes.get(&header.lane).cloned().unwrap_or_default();
            let lane = lanes.entry(header.lane.clone()).or_insert_with(known);
            match lane.judge(header, frame.link().crc) {
                Verdict::Append => {
                    lane.advance(header, frame.link().crc);
                    accepted.push(frame);
                    Outcome::Appended(LogOffset(first + accepted.len() as u64 - 1))
                }
                Verdict::Repeat => Outcome::Repeat,
                refused => Outcome::Refused(refused),
            }
        });
        Ok(judged.collect())
    }

    fn store(&mut self, accepted: &[SealedFrame], now_us: i64) -> Result<(), AppendError> {
        let stamp = now_us.to_le_bytes();
        let records: Vec<[&[u8]; 2]> = accepted.iter().map(|frame| [&stamp[..], frame.bytes()]).collect();
        let mut rest = &records[..];
        let written = loop {
            if rest.is_empty() {
                break self.log.sync().map(drop);
            }
            match self.log.append_batch(rest) {
                Ok(range) => rest = &rest[usize::try_from(range.end - range.start).unwrap_or(rest.len())..],
                Err(error) => break Err(error),
            }
        };
        written.map_err(|error| {
            // What was written of the group and is not durable must not surface later without an answer.
            if let Err(error) = self.log.reopen() {
                tracing::error!(%error, "the region log cannot go back to its durable end; it takes nothing until it can");
            }
            match error {
                segment::AppendError::NoSpace(_) => AppendError::NoSpace,
                other => AppendError::Disk(describe(&other)),
            }
        })
    }

    /// Makes visible what became durable: after a failure in the middle of a group, that is a part of it.
    fn publish(&mut self, first: u64, accepted: &[SealedFrame], now_us: i64) {
        let durable = self.log.durable_index().saturating_sub(first);
        let durable = usize::try_from(durable).unwrap_or(usize::MAX).min(accepted.len());
        if durable == 0 {
            return;
        }
        let mut shared = self.shared.write();
        for (frame, offset) in accepted[..durable].iter().zip(first..) {
            shared.note(LogOffset(offset), now_us, frame);
            self.bytes_since_checkpoint += frame.bytes().len() as u64;
        }
        drop(shared);
        self.head.send_replace(LogOffset(first + durable as u64));
    }

    fn grant(&mut self, lane: LaneId, above: u64) -> Result<LaneState, LogError> {
        let mut state = self.shared.read().lanes.get(&lane).cloned().unwrap_or_default();
        state.epoch = state.epoch.max(above) + 1;
        self.book.put_lane(&lane, &state)?;
        self.book.sync()?;
        self.shared.write().lanes.insert(lane, state.clone());
        Ok(state)
    }

    fn go_on_behind(&mut self, lane: LaneId, epoch: u64, last: Link) -> Result<LaneState, LogError> {
        // The frames before it first, so that these do not set the lane back when the log is opened.
        self.checkpoint()?;
        let mut state = self.shared.read().lanes.get(&lane).cloned().unwrap_or_default();
        let known = state.last.map_or(0, |link| link.seq);
        (state.epoch, state.last) = (epoch, (last.seq > 0).then_some(last));
        self.book.put_lane(&lane, &state)?;
        self.book.sync()?;
        if last.seq > known {
            tracing::error!(
                %lane, first = known + 1, last = last.seq,
                "frames that this log once acknowledged are lost; what no route delivered of them is only at the source"
            );
        }
        let mut shared = self.shared.write();
        shared.lost_frames += last.seq.saturating_sub(known);
        shared.lanes.insert(lane, state.clone());
        Ok(state)
    }

    fn skip_to(&mut self, next: LogOffset) -> Result<(), LogError> {
        self.log.advance_to(next.0)?;
        self.head.send_replace(LogOffset(self.log.durable_index()));
        Ok(())
    }

    fn put_schema(&mut self, schema: StreamSchema) -> Result<(), LogError> {
        if !self.shared.read().schemas.contains_key(&schema.hash()) {
            self.book.put_schema(&schema)?;
            self.shared.write().schemas.insert(schema.hash(), schema);
        }
        Ok(())
    }

    /// Brings the book up to date with everything that is durable.
    pub(crate) fn checkpoint(&mut self) -> Result<(), LogError> {
        let shared = self.shared.read();
        for (lane, state) in &shared.lanes {
            self.book.put_lane(lane, state)?;
        }
        self.book.put_totals(&shared.totals)?;
        self.book.put_dead_letters(&shared.dead_letters)?;
        for (source, stream, version) in &shared.new_versions {
            self.book.put_version(*source, stream, version)?;
        }
        drop(shared);
        // The entries before the number that vouches for them: a crash in between only makes the number lag.
        self.book.sync()?;
        self.book.put_checkpoint(LogOffset(self.log.durable_index()))?;
        self.book.sync()?;
        self.bytes_since_checkpoint = 0;
        self.shared.write().new_versions.clear();
        Ok(())
    }
}

fn unknown_schema(frame: &SealedFrame, shared: &Shared) -> Option<SchemaHash> {
    let header = frame.header();
    let known = header.kind == FrameKind::Progress
        || header.schema == dead_letter::schema().hash()
        || shared.schemas.contains_key(&header.schema);
    (!known).then_some(header.schema)
}

fn bytes_of(frames: &[SealedFrame]) -> usize {
    frames.iter().map(|frame| frame.bytes().len()).sum()
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

pub(crate) fn now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}
