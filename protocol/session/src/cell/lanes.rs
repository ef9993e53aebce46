//! Lanes: requested, granted, their frames appended and acknowledged.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use towpath_proto::ids;
use towpath_proto::link::{Ack, CloseLane, LaneFault, LaneMarks, LaneOpened, LaneRefused, OpenLane, Schema};
use towpath_record::{LaneId, Link, Mark, Position, SchemaHash};

use super::event::{CellEvent, CellTransmit, LaneOpening};
use super::{CellSession, CellTimer};
use crate::closing::shortened;
use crate::frame::Frame;
use crate::inlet::{Inlet, Next};
use crate::limits::{MAX_LANES, MAX_SCHEMAS, SCHEMA_HEARTBEATS};
use crate::schemas::Known;
use crate::violation::Violation;

pub(super) struct Lane<F> {
    id: LaneId,
    /// Absent until the owner has granted the lane.
    flow: Option<Flow<F>>,
    marks_sent: usize,
}

struct Flow<F> {
    inlet: Inlet<F>,
    /// The last frame that came.
    last_seq: Option<u64>,
    /// What came and is not durable, oldest first: number and cost.
    unsettled: VecDeque<(u64, u64)>,
    /// The last frame of this opening that is durable.
    through: u64,
    /// The log's own last link.
    log_last: Option<Link>,
}

impl<F: Frame> CellSession<F> {
    /// The owner grants a lane: the log accepts `epoch` and durably ends at `last`, behind which the source may
    /// resume at `position`.
    pub fn handle_lane_opened(
        &mut self,
        now: Instant,
        opening: u32,
        epoch: u64,
        last: Option<Link>,
        position: Position,
        marks_follow: bool,
    ) {
        let window_bytes = self.config.lane_window_bytes;
        let Some(lane) = self.lanes.get_mut(&opening) else { return };
        lane.flow = Some(Flow {
            inlet: Inlet::new(window_bytes),
            last_seq: None,
            unsettled: VecDeque::new(),
            through: 0,
            log_last: None,
        });
        let id = lane.id.clone();
        let (last, position) = (last.map(Into::into), position.0);
        self.send(now, LaneOpened { opening, epoch, last, position, window_bytes, marks_follow });
        if marks_follow {
            self.events.push_back(CellEvent::MarksWanted { opening, lane: id, after: 0 });
        }
    }

    /// The marks that [`CellEvent::MarksWanted`] asked for: some, and whether they are the last. More are asked
    /// for when the transport has taken these.
    pub fn handle_marks(&mut self, now: Instant, opening: u32, marks: Vec<Mark>, last: bool) {
        let Some(lane) = self.lanes.get_mut(&opening) else { return };
        lane.marks_sent += marks.len();
        let marks = marks.into_iter().map(|mark| mark.0).collect();
        self.send(now, LaneMarks { opening, marks, last });
    }

    /// Everything that the log has of a lane, up to `last`, is durable. `last` is the log's own last link of the
    /// lane, never the link of a frame that was offered to it.
    pub fn handle_durable(&mut self, now: Instant, opening: u32, last: Link) {
        let Some(flow) = self.lanes.get_mut(&opening).and_then(|lane| lane.flow.as_mut()) else { return };
        while let Some((seq, cost)) = flow.unsettled.pop_front_if(|(seq, _)| *seq <= last.seq) {
            flow.inlet.settle(cost);
            flow.through = seq;
        }
        flow.log_last = Some(last);
        self.acks.insert(opening);
        self.note_said(now);
    }

    /// The lane is not granted, or the log refuses a frame of it. The opening is over.
    pub fn refuse_lane(&mut self, now: Instant, opening: u32, fault: LaneFault, reason: &str, remedy: &str) {
        if self.end_lane(opening).is_some() {
            let (reason, remedy) = (shortened(reason), shortened(remedy));
            self.send(now, LaneRefused { opening, fault: fault.into(), reason, remedy });
        }
    }

    /// A schema that was offered is durable: frames that need it pass.
    pub fn handle_schema_stored(&mut self, now: Instant, hash: SchemaHash) {
        self.decide_schema(now, hash, Known::Usable);
    }

    /// A schema that was offered is not acceptable: lanes that use it are refused.
    pub fn handle_schema_refused(&mut self, now: Instant, hash: SchemaHash, reason: &str, remedy: &str) {
        let known = Known::Refused { reason: reason.to_owned(), remedy: remedy.to_owned() };
        self.decide_schema(now, hash, known);
    }

    /// A frame came on the stream of an opening.
    pub fn handle_frame(&mut self, now: Instant, opening: u32, frame: F) {
        self.note_heard(now);
        if let Err(violation) = self.try_frame(now, opening, frame) {
            self.violated(now, &violation);
        }
    }

    pub(super) fn on_open_lane(&mut self, now: Instant, open: &OpenLane) -> Result<(), Violation> {
        let id = ids::lane(&open.source, &open.region)
            .map_err(|fault| Violation::Field { message: "OpenLane", fault })?;
        let opening = open.opening;
        if opening <= self.last_opening {
            return Err(Violation::Reused { what: "opening", number: opening });
        }
        if self.lanes.values().any(|lane| lane.id == id) {
            return Err(Violation::OpenTwice(id));
        }
        self.last_opening = opening;
        let full = self.lanes.len() >= MAX_LANES;
        self.lanes.insert(opening, Lane { id: id.clone(), flow: None, marks_sent: 0 });
        if full {
            let reason = format!("lane {id} would be one more than the {MAX_LANES} that one agent may open");
            self.refuse_lane(now, opening, LaneFault::Limit, &reason, "assign some sources to another agent");
            return Ok(());
        }
        let chain = open.chain.map(Into::into);
        let requested = LaneOpening { opening, lane: id, chain, want_marks: open.want_marks };
        self.events.push_back(CellEvent::LaneRequested(requested));
        Ok(())
    }

    pub(super) fn on_close_lane(&mut self, close: &CloseLane) -> Result<(), Violation> {
        self.check_opening(close.opening)?;
        if let Some(lane) = self.end_lane(close.opening) {
            self.events.push_back(CellEvent::LaneClosed { opening: close.opening, lane });
        }
        Ok(())
    }

    pub(super) fn on_schema(&mut self, schema: Schema) -> Result<(), Violation> {
        let hash =
            ids::schema_hash(&schema.hash).map_err(|fault| Violation::Field { message: "Schema", fault })?;
        if self.learned.is_new(hash) {
            if self.learned.is_full() {
                return Err(Violation::TooMany { what: "schemas", limit: MAX_SCHEMAS });
            }
            self.timers.stop(&CellTimer::SchemaMissing(hash));
            self.learned.set(hash, Known::Pending);
            self.events.push_back(CellEvent::SchemaOffered { hash, canonical: schema.canonical });
        }
        Ok(())
    }

    /// Asks for the next marks of a lane, now that the transport has taken the last.
    pub(super) fn continue_marks(&mut self, opening: u32) {
        if let Some(lane) = self.lanes.get(&opening) {
            let (lane, after) = (lane.id.clone(), lane.marks_sent);
            self.events.push_back(CellEvent::MarksWanted { opening, lane, after });
        }
    }

    /// Turns what became durable on a lane since the last time into one message.
    pub(super) fn acknowledge(&mut self, opening: u32) {
        let Some(flow) = self.lanes.get_mut(&opening).and_then(|lane| lane.flow.as_mut()) else { return };
        if let Some(last) = flow.log_last.take() {
            let ack = Ack { opening, through: flow.through, last: Some(last.into()) };
            self.transmits.push_back(CellTransmit::Message(ack.into()));
        }
    }

    fn try_frame(&mut self, now: Instant, opening: u32, frame: F) -> Result<(), Violation> {
        self.check_opening(opening)?;
        let Some(lane) = self.lanes.get_mut(&opening) else { return Ok(()) };
        let Some(flow) = &mut lane.flow else { return Err(Violation::NotOpen(lane.id.clone())) };
        if *frame.lane() != lane.id {
            return Err(Violation::OtherLane { opened: lane.id.clone(), found: frame.lane().clone() });
        }
        let seq = frame.link().seq;
        if let Some(last) = flow.last_seq
            && seq != last + 1
        {
            return Err(Violation::FrameOrder { lane: lane.id.clone(), expected: last + 1, found: seq });
        }
        flow.last_seq = Some(seq);
        flow.unsettled.push_back((seq, frame.cost()));
        let window = flow.inlet.window();
        flow.inlet.accept(frame).map_err(|found| Violation::OverWindow {
            what: "opening",
            number: opening,
            window,
            found,
        })?;
        self.pass_frames(now, opening);
        Ok(())
    }

    fn decide_schema(&mut self, now: Instant, hash: SchemaHash, known: Known) {
        self.learned.set(hash, known);
        let all: Vec<_> = self.lanes.keys().copied().collect();
        all.into_iter().for_each(|opening| self.pass_frames(now, opening));
    }

    /// Passes on the frames whose schema is usable.
    fn pass_frames(&mut self, now: Instant, opening: u32) {
        let silence = self.config.heartbeat * SCHEMA_HEARTBEATS;
        let Some(flow) = self.lanes.get_mut(&opening).and_then(|lane| lane.flow.as_mut()) else { return };
        loop {
            match flow.inlet.next(|hash| self.learned.get(hash)) {
                Next::Pass(frame) => self.events.push_back(CellEvent::Append { opening, frame }),
                Next::NeedsSchema(hash) => {
                    let reason = CellTimer::SchemaMissing(hash);
                    if !self.timers.is_set(&reason) {
                        self.timers.set(reason, now + silence);
                    }
                    return;
                }
                Next::Refused { reason, remedy } => {
                    return self.refuse_lane(now, opening, LaneFault::Schema, &reason, &remedy);
                }
                Next::Nothing => return,
            }
        }
    }

    fn end_lane(&mut self, opening: u32) -> Option<LaneId> {
        // What became durable until now is worth saying still.
        self.acknowledge(opening);
        let lane = self.lanes.remove(&opening)?;
        self.transmits.push_back(CellTransmit::EndLane { opening });
        Some(lane.id)
    }

    fn check_opening(&self, opening: u32) -> Result<(), Violation> {
        let known = opening <= self.last_opening;
        if known { Ok(()) } else { Err(Violation::Unknown { what: "opening", number: opening }) }
    }
}

/// As many of the marks as one message may carry, and whether that is all of them.
pub fn marks_chunk(marks: &mut impl Iterator<Item = Mark>) -> (Vec<Mark>, bool) {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for mark in marks {
        bytes += Bytes::len(&mark.0);
        chunk.push(mark);
        if bytes >= crate::limits::MARKS_CHUNK_BYTES {
            return (chunk, false);
        }
    }
    (chunk, true)
}
