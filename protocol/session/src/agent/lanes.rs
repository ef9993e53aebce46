//! Lanes: opened, granted, shipped, acknowledged.

use std::collections::btree_map::Entry;
use std::time::Instant;

use bytes::Bytes;
use towpath_proto::ids;
use towpath_proto::link::{
    Ack, CloseLane, GoodbyeCode, LaneMarks, LaneOpened, LaneRefused, OpenLane, Schema,
};
use towpath_record::{LaneId, Link, Mark, Position, SchemaHash};

use super::event::{AgentEvent, AgentTransmit, LaneGrant};
use super::lane::{Lane, Opening, State, Streaming};
use super::{AgentSession, AgentTimer, Phase};
use crate::backoff::Backoff;
use crate::chain::{Chain, Inconsistency, ORIGIN};
use crate::frame::Frame;
use crate::limits::{AGENT_FETCHES, MAX_LANE_MARKS_BYTES};
use crate::outlet::Next;
use crate::violation::Violation;

impl<F: Frame> AgentSession<F> {
    /// Opens a lane, as soon as the session is open: to go on with `chain`, or with none to ask for a new epoch.
    /// A lane that is open already is closed first.
    pub fn open_lane(&mut self, now: Instant, lane: &LaneId, chain: Option<Chain>, want_marks: bool) {
        self.end_lane(now, lane);
        let known = self.lanes.remove(lane).map(|known| known.backoff);
        let backoff = known.unwrap_or_else(|| Backoff::new(self.config.backoff, self.seeds.u64(..)));
        let (id, newest) = (lane.clone(), chain.and_then(|chain| chain.tail).unwrap_or(ORIGIN).seq);
        self.lanes.insert(id.clone(), Lane { id, chain, newest, want_marks, backoff, state: State::Waiting });
        if self.phase == Phase::Open {
            self.request_lane(now, lane);
        }
    }

    /// Closes a lane; what was shipped may still become durable.
    pub fn close_lane(&mut self, now: Instant, lane: &LaneId) {
        self.end_lane(now, lane);
        self.lanes.remove(lane);
    }

    /// The spool durably holds frames of a lane up to this number.
    pub fn handle_spooled(&mut self, now: Instant, lane: &LaneId, newest: u64) {
        if let Some(found) = self.lanes.get_mut(lane) {
            found.newest = found.newest.max(newest);
            self.pump(now, lane);
        }
    }

    /// The frame that [`AgentEvent::FetchFrame`] asked for.
    pub fn handle_frame(&mut self, now: Instant, opening: u32, frame: F) {
        self.fetching.remove(&opening);
        if let Some((id, streaming)) = self.streaming(opening) {
            let (id, cost) = (id.clone(), frame.cost());
            match streaming.hold(&id, frame) {
                Ok(proved) => {
                    self.ahead_bytes += cost;
                    self.prove(&id, proved);
                    self.pump(now, &id);
                }
                Err(cause) => self.break_lane(now, &id, cause),
            }
        }
        self.dispatch_fetches();
    }

    /// The frame that [`AgentEvent::FetchFrame`] asked for cannot be read.
    pub fn handle_fetch_failed(&mut self, now: Instant, opening: u32, reason: &str) {
        self.fetching.remove(&opening);
        if let Some((id, streaming)) = self.streaming(opening) {
            let cause = Inconsistency::Unreadable { seq: streaming.next_seq(), reason: reason.to_owned() };
            let id = id.clone();
            self.break_lane(now, &id, cause);
        }
        self.dispatch_fetches();
    }

    /// The schema that [`AgentEvent::SchemaWanted`] asked for; absent when it is not known here any more, which
    /// breaks the lanes whose next frame needs it.
    pub fn handle_schema(&mut self, now: Instant, hash: SchemaHash, canonical: Option<Bytes>) {
        if let Some(canonical) = canonical {
            if self.offers.say(hash) {
                self.send(now, Schema { hash: ids::to_bytes(&hash.0), canonical });
            }
            let all: Vec<_> = self.lanes.keys().cloned().collect();
            all.iter().for_each(|lane| self.pump(now, lane));
            return;
        }
        self.offers.forget(hash);
        let needing = |lane: &Lane<F>| match &lane.state {
            State::Streaming(streaming) => {
                let head = streaming.outlet.first_held().filter(|frame| frame.schema() == hash)?;
                Some((lane.id.clone(), head.link().seq))
            }
            _ => None,
        };
        let broken: Vec<_> = self.lanes.values().filter_map(needing).collect();
        for (lane, seq) in broken {
            self.break_lane(now, &lane, Inconsistency::SchemaLost { seq, schema: hash.to_string() });
        }
    }

    /// The transport has taken the oldest frame that it was given for this opening.
    pub fn handle_written(&mut self, now: Instant, opening: u32) {
        if let Some((id, streaming)) = self.streaming(opening) {
            let id = id.clone();
            self.ahead_bytes -= streaming.outlet.note_written();
            self.pump(now, &id);
        }
        self.dispatch_fetches();
    }

    pub(super) fn request_all_lanes(&mut self, now: Instant) {
        let all: Vec<_> = self.lanes.keys().cloned().collect();
        all.iter().for_each(|lane| self.request_lane(now, lane));
    }

    pub(super) fn request_lane(&mut self, now: Instant, id: &LaneId) {
        self.next_opening += 1;
        let opening = self.next_opening;
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.state = State::Opening(Opening::new(opening));
        let message = OpenLane {
            opening,
            source: ids::to_bytes(id.source.as_bytes()),
            region: id.region.as_str().to_owned(),
            chain: lane.chain.map(Into::into),
            want_marks: lane.want_marks,
        };
        self.openings.insert(opening, id.clone());
        self.send(now, message);
    }

    pub(super) fn on_lane_opened(&mut self, now: Instant, opened: LaneOpened) -> Result<(), Violation> {
        let Some(id) = self.lane_of(opened.opening)? else { return Ok(()) };
        let Some(Lane { state: State::Opening(opening), chain, .. }) = self.lanes.get_mut(&id) else {
            return Err(Violation::Unexpected { message: "LaneOpened", when: "for a lane that is open" });
        };
        if opening.grant.is_some() {
            return Err(Violation::Unexpected { message: "LaneOpened", when: "while its marks are read" });
        }
        let grant = LaneGrant {
            lane: id.clone(),
            fresh: chain.is_none(),
            epoch: opened.epoch,
            last: opened.last.map(Into::into),
            position: Position(opened.position),
            marks: None,
        };
        opening.grant = Some((grant, opened.window_bytes));
        if !opened.marks_follow {
            self.start_streaming(now, &id, false);
        }
        Ok(())
    }

    pub(super) fn on_lane_marks(&mut self, now: Instant, message: LaneMarks) -> Result<(), Violation> {
        let Some(id) = self.lane_of(message.opening)? else { return Ok(()) };
        let Some(Lane { state: State::Opening(opening @ Opening { grant: Some(_), .. }), .. }) =
            self.lanes.get_mut(&id)
        else {
            return Err(Violation::Unexpected { message: "LaneMarks", when: "when none were announced" });
        };
        opening.marks_bytes += message.marks.iter().map(Bytes::len).sum::<usize>();
        if opening.marks_bytes > MAX_LANE_MARKS_BYTES {
            return Err(Violation::TooMany { what: "bytes of marks", limit: MAX_LANE_MARKS_BYTES });
        }
        opening.marks.extend(message.marks.into_iter().map(Mark));
        if message.last {
            self.start_streaming(now, &id, true);
        }
        Ok(())
    }

    fn start_streaming(&mut self, now: Instant, id: &LaneId, with_marks: bool) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let State::Opening(Opening { number, grant: Some((mut grant, window)), marks, .. }) =
            std::mem::replace(&mut lane.state, State::Waiting)
        else {
            return;
        };
        let after = match lane.chain {
            None => Ok(grant.last.unwrap_or(ORIGIN)),
            Some(chain) => chain.resume(grant.epoch, grant.last),
        };
        let after = match after {
            Ok(after) => after,
            Err(cause) => {
                lane.state = State::Opening(Opening::new(number));
                return self.break_lane(now, id, cause);
            }
        };
        lane.newest = lane.newest.max(after.seq);
        lane.backoff.handle_success(now);
        // Where the log ends before our tail, only the frame behind that place can prove that it is our chain.
        let on_trust = !grant.fresh && after.seq < lane.newest;
        let durable = grant.last.filter(|_| !grant.fresh && !on_trust);
        let streaming = Streaming::new(number, window, grant.epoch, after, on_trust);
        lane.state = State::Streaming(Box::new(streaming));
        grant.marks = with_marks.then_some(marks);
        if !grant.fresh {
            (grant.last, grant.position) = (None, Position::default());
        }
        self.events.push_back(AgentEvent::LaneGranted(grant));
        self.prove(id, durable);
        self.pump(now, id);
    }

    pub(super) fn on_lane_refused(&mut self, now: Instant, refused: LaneRefused) -> Result<(), Violation> {
        let Some(id) = self.lane_of(refused.opening)? else { return Ok(()) };
        self.end_opening(&id);
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        lane.state = State::Waiting;
        let retry_in = lane.backoff.handle_failure(now);
        self.timers.set(AgentTimer::Reopen(id.clone()), now + retry_in);
        let (fault, reason, remedy) = (refused.fault(), refused.reason, refused.remedy);
        self.events.push_back(AgentEvent::LaneRefused { lane: id, fault, reason, remedy, retry_in });
        Ok(())
    }

    pub(super) fn on_ack(&mut self, now: Instant, ack: Ack) -> Result<(), Violation> {
        let Some(id) = self.lane_of(ack.opening)? else { return Ok(()) };
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        let newest = lane.newest;
        let State::Streaming(streaming) = &mut lane.state else {
            return Err(Violation::Unexpected { message: "Ack", when: "before the lane was opened" });
        };
        streaming
            .settle(ack.through)
            .map_err(|_| Violation::AckUnsent { opening: ack.opening, through: ack.through })?;
        let last = ack.last.map_or(ORIGIN, Into::into);
        match streaming.acknowledge(last, newest) {
            Ok(proved) => {
                self.prove(&id, proved);
                self.pump(now, &id);
            }
            Err(cause) => self.break_lane(now, &id, cause),
        }
        Ok(())
    }

    fn prove(&mut self, id: &LaneId, proved: Option<Link>) {
        self.events.extend(proved.map(|link| AgentEvent::Acknowledged { lane: id.clone(), link }));
    }

    /// Moves what can move: frames to the transport, fetches into the queue.
    fn pump(&mut self, now: Instant, id: &LaneId) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let newest = lane.newest;
        let State::Streaming(streaming) = &mut lane.state else { return };
        let mut broken = None;
        loop {
            match streaming.outlet.next(|hash| self.offers.is_said(hash)) {
                Next::Ship(frame) => {
                    let proved = streaming.ship(&frame);
                    self.transmits.push_back(AgentTransmit::Frame { opening: streaming.opening, frame });
                    match proved {
                        Ok(proved) => self
                            .events
                            .extend(proved.map(|link| AgentEvent::Acknowledged { lane: id.clone(), link })),
                        Err(cause) => {
                            broken = Some(cause);
                            break;
                        }
                    }
                }
                Next::NeedsSchema(hash) => {
                    if self.offers.want(hash) {
                        self.events.push_back(AgentEvent::SchemaWanted { hash });
                    }
                    break;
                }
                Next::Blocked => {
                    // Memory is for lanes whose window has room: this frame is read again when it fits.
                    self.ahead_bytes -= streaming.outlet.evict();
                    break;
                }
                Next::Nothing => break,
            }
        }
        if let Some(cause) = broken {
            return self.break_lane(now, id, cause);
        }
        if !streaming.queued && streaming.outlet.wants_frame() && streaming.next_seq() <= newest {
            streaming.queued = true;
            self.fetch_queue.push_back(streaming.opening);
            self.dispatch_fetches();
        }
        if self.offers.is_full() {
            self.close_by_us(now, GoodbyeCode::Shutdown, "too many schemas were said on one link", "");
        }
    }

    /// Lets lanes fetch in turn, as far as memory and the number of fetches at a time allow.
    fn dispatch_fetches(&mut self) {
        while self.ahead_bytes < self.config.ahead_bytes && self.fetching.len() < AGENT_FETCHES {
            let Some(opening) = self.fetch_queue.pop_front() else { return };
            let Some((id, streaming)) = self.streaming(opening) else { continue };
            streaming.queued = false;
            if !streaming.outlet.wants_frame() {
                continue;
            }
            streaming.outlet.note_fetching();
            let fetch = AgentEvent::FetchFrame { opening, lane: id.clone(), seq: streaming.next_seq() };
            self.fetching.insert(opening);
            self.events.push_back(fetch);
        }
    }

    fn break_lane(&mut self, now: Instant, id: &LaneId, cause: Inconsistency) {
        self.end_lane(now, id);
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.state = State::Broken;
            self.events.push_back(AgentEvent::LaneBroken { lane: id.clone(), cause });
        }
    }

    fn end_lane(&mut self, now: Instant, id: &LaneId) {
        if let Some(opening) = self.end_opening(id) {
            self.send(now, CloseLane { opening });
        }
    }

    /// Ends what is open of a lane on this side, and returns its number. The state is left to the caller.
    fn end_opening(&mut self, id: &LaneId) -> Option<u32> {
        self.timers.stop(&AgentTimer::Reopen(id.clone()));
        let lane = self.lanes.get_mut(id)?;
        let opening = lane.opening()?;
        if let State::Streaming(streaming) = &lane.state {
            self.ahead_bytes -= streaming.outlet.ahead_cost();
            self.transmits.push_back(AgentTransmit::EndLane { opening });
        }
        lane.state = State::Waiting;
        self.openings.remove(&opening);
        Some(opening)
    }

    fn streaming(&mut self, opening: u32) -> Option<(&LaneId, &mut Streaming<F>)> {
        let lane = self.lanes.get_mut(self.openings.get(&opening)?)?;
        match &mut lane.state {
            State::Streaming(streaming) => Some((&lane.id, streaming)),
            _ => None,
        }
    }

    /// The lane of an opening; none when the opening is over on this side and the cell does not know yet.
    fn lane_of(&mut self, opening: u32) -> Result<Option<LaneId>, Violation> {
        if opening > self.next_opening {
            return Err(Violation::Unknown { what: "opening", number: opening });
        }
        match self.openings.entry(opening) {
            Entry::Occupied(lane) => Ok(Some(lane.get().clone())),
            Entry::Vacant(_) => Ok(None),
        }
    }
}
