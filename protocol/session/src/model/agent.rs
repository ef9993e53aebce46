//! An agent's machine: a disk with a spool for each lane, a sink beside it, and the process that owns them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use towpath_proto::link::GoodbyeCode;
use towpath_record::{LaneId, Link, LogOffset, SchemaHash};

use super::frame::{Body, SimFrame};
use super::network::{Stream, ToAgent, ToCell};
use super::world::{Action, LANES, LOG, RECORDS, World, mark_of};
use crate::agent::{AgentConfig, AgentEvent, AgentSession, AgentTransmit, LaneGrant};
use crate::backoff::{Backoff, BackoffConfig};
use crate::chain::{Chain, ORIGIN};
use crate::closing::{Closed, Retry};
use crate::frame::Frame;

pub(super) struct Machine {
    pub(super) up: bool,
    /// How often the process was started; what an earlier one planned does not happen.
    pub(super) boot: u32,
    pub(super) link: Option<(u32, AgentSession<SimFrame>)>,
    backoff: Backoff,
    pub(super) lanes: Vec<Lane>,
    pub(super) sink: Sink,
    next_wake: Option<Duration>,
}

/// A lane as its owner sees it: what is on disk, and what the process knows.
#[derive(Default)]
pub(super) struct Lane {
    /// On disk. Of these, the last `unsynced` vanish at a crash.
    pub(super) spool: VecDeque<SimFrame>,
    unsynced: usize,
    /// Known to the process: the epoch and links that it seals behind; absent until an epoch was granted.
    chain: Option<Chain>,
    sealed: Option<Link>,
    next_record: u64,
    reading: bool,
}

/// A system that takes frames and the checkpoint in one atomic act.
#[derive(Default)]
pub(super) struct Sink {
    /// What is committed, in order.
    pub(super) rows: Vec<(LogOffset, Link)>,
    /// What is applied and not committed, under the binding that it came by.
    applied: Vec<(LogOffset, Link)>,
    binding: Option<u32>,
}

impl Lane {
    fn crash(&mut self) {
        let durable = self.spool.len() - self.unsynced;
        self.spool.truncate(durable);
        self.unsynced = 0;
        self.chain = None;
        self.reading = false;
    }

    /// What a process finds on disk at its start. Without frames it needs a new epoch.
    fn recover(&mut self) {
        if let (Some(first), Some(last)) = (self.spool.front(), self.spool.back()) {
            let tail = last.link();
            let prev_crc = first.prev_crc();
            self.chain =
                Some(Chain { epoch: tail.epoch, first: first.link().seq, prev_crc, tail: Some(tail) });
            self.sealed = Some(tail);
            self.next_record = last.records().end;
            self.reading = true;
        }
    }

    fn discard(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.reading && self.next_record == RECORDS && self.spool.is_empty()
    }
}

impl World {
    pub(super) fn add_machine(&mut self) {
        let machine = self.machines.len();
        self.machines.push(Machine {
            up: false,
            boot: 0,
            link: None,
            backoff: Backoff::new(BackoffConfig::default(), self.rng.u64(..)),
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            sink: Sink::default(),
            next_wake: None,
        });
        self.boot(machine);
    }

    pub(super) fn boot(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.up {
            return;
        }
        machine.up = true;
        machine.boot += 1;
        machine.lanes.iter_mut().for_each(Lane::recover);
        let boot = machine.boot;
        self.in_ms(1..200, Action::Dial { machine: index, boot });
        self.in_ms(1..100, Action::SpoolSync { machine: index, boot });
        self.in_ms(1..100, Action::SinkCommit { machine: index, boot });
        for lane in 0..LANES {
            self.in_ms(1..100, Action::Seal { machine: index, boot, lane });
        }
    }

    pub(super) fn crash_machine(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.up {
            machine.up = false;
            machine.lanes.iter_mut().for_each(Lane::crash);
            machine.sink.applied.clear();
            if let Some((conn, _)) = machine.link.take() {
                self.cut(conn);
            }
        }
    }

    pub(super) fn dial(&mut self, index: usize, boot: u32) {
        let now = self.instant();
        let Some(machine) = self.running(index, boot) else { return };
        if machine.link.is_some() {
            return;
        }
        if self.cell.up {
            self.connect(index);
        } else {
            let wait = self.machines[index].backoff.handle_failure(now);
            self.at(self.now + wait, Action::Dial { machine: index, boot });
        }
    }

    pub(super) fn agent_connected(&mut self, index: usize, conn: u32, config: AgentConfig) {
        let now = self.instant();
        let mut session = AgentSession::new(config, now);
        for (lane, id) in self.machines[index].lanes.iter().zip(&self.lanes) {
            session.open_lane(now, id, lane.chain, self.rng.bool());
        }
        self.machines[index].backoff.handle_success(now);
        self.machines[index].link = Some((conn, session));
        self.machines[index].next_wake = None;
        self.drain_agent(index);
    }

    /// Reads the source and seals what it read, without waiting for anyone.
    pub(super) fn seal(&mut self, index: usize, boot: u32, lane: usize) {
        if self.running(index, boot).is_none() {
            return;
        }
        self.in_ms(5..600, Action::Seal { machine: index, boot, lane });
        let (records, schema, crc) = (self.rng.u64(1..4), self.rng.u8(..3), self.rng.u32(..));
        let wire_bytes = self.rng.u64(50..2_500) * if self.chance(3) { 10 } else { 1 };
        let id = self.lanes[lane].clone();
        let lane = &mut self.machines[index].lanes[lane];
        let Some(chain) = lane.chain.filter(|_| lane.reading && lane.next_record < RECORDS) else { return };
        let end = (lane.next_record + records).min(RECORDS);
        let before = lane.sealed.unwrap_or(ORIGIN);
        let link = Link { epoch: chain.epoch, seq: before.seq + 1, crc };
        lane.spool.push_back(SimFrame::new(Body {
            lane: id,
            link,
            prev_crc: before.crc,
            schema: SchemaHash([schema; 32]),
            wire_bytes,
            records: lane.next_record..end,
        }));
        lane.unsynced += 1;
        lane.sealed = Some(link);
        lane.next_record = end;
    }

    pub(super) fn spool_sync(&mut self, index: usize, boot: u32) {
        let now = self.instant();
        let lanes = self.lanes.clone();
        let Some(machine) = self.running(index, boot) else { return };
        for (lane, id) in machine.lanes.iter_mut().zip(&lanes) {
            if std::mem::take(&mut lane.unsynced) > 0
                && let Some(chain) = &mut lane.chain
            {
                chain.tail = lane.sealed;
                let newest = lane.sealed.unwrap_or(ORIGIN).seq;
                if let Some((_, session)) = &mut machine.link {
                    session.handle_spooled(now, id, newest);
                }
            }
        }
        self.drain_agent(index);
        self.in_ms(5..150, Action::SpoolSync { machine: index, boot });
    }

    pub(super) fn agent_receives(&mut self, conn: u32, packet: ToAgent) {
        let now = self.instant();
        self.with_agent(conn, |session| match packet {
            ToAgent::Message(message) => session.handle_message(now, message),
            ToAgent::Delivery { binding, offset, frame } => {
                session.handle_delivery(now, binding, offset, frame);
            }
            ToAgent::Close { code } => session.handle_closed(code, "closed"),
        });
    }

    pub(super) fn wake_agent(&mut self, conn: u32) {
        let now = self.instant();
        if let Some(index) = self.machine_of(conn) {
            self.machines[index].next_wake = None;
        }
        self.with_agent(conn, |session| session.handle_timeout(now));
    }

    pub(super) fn agent_lost(&mut self, conn: u32) {
        self.with_agent(conn, |session| session.handle_lost("cut"));
    }

    pub(super) fn fetched(&mut self, conn: u32, opening: u32, lane: usize, seq: u64) {
        let now = self.instant();
        let Some(index) = self.machine_of(conn) else { return };
        let spool = &self.machines[index].lanes[lane].spool;
        let frame = spool.iter().find(|frame| frame.link().seq == seq).cloned();
        self.with_agent(conn, |session| match frame {
            Some(frame) => session.handle_frame(now, opening, frame),
            None => session.handle_fetch_failed(now, opening, "it is not there"),
        });
    }

    pub(super) fn written(&mut self, conn: u32, opening: u32) {
        let now = self.instant();
        self.with_agent(conn, |session| session.handle_written(now, opening));
    }

    pub(super) fn schema_found(&mut self, conn: u32, hash: SchemaHash) {
        let now = self.instant();
        self.with_agent(conn, |session| session.handle_schema(now, hash, Some(Bytes::new())));
    }

    pub(super) fn sink_ready(&mut self, conn: u32, binding: u32) {
        let now = self.instant();
        let Some(index) = self.machine_of(conn) else { return };
        let sink = &mut self.machines[index].sink;
        sink.binding = Some(binding);
        sink.applied.clear();
        let checkpoint = sink.rows.last().map(|(offset, _)| (LOG, *offset));
        self.with_agent(conn, |session| session.route_ready(now, binding, checkpoint));
    }

    pub(super) fn consumed(&mut self, conn: u32, binding: u32, cost: u64) {
        let now = self.instant();
        self.with_agent(conn, |session| session.consumed(now, binding, cost));
    }

    pub(super) fn sink_commit(&mut self, index: usize, boot: u32) {
        let now = self.instant();
        let Some(machine) = self.running(index, boot) else { return };
        let sink = &mut machine.sink;
        sink.rows.append(&mut sink.applied);
        if let (Some(binding), Some((offset, _)), Some((_, session))) =
            (sink.binding, sink.rows.last(), &mut machine.link)
        {
            session.delivered(now, binding, *offset);
        }
        self.drain_agent(index);
        self.in_ms(10..400, Action::SinkCommit { machine: index, boot });
    }

    fn with_agent(&mut self, conn: u32, act: impl FnOnce(&mut AgentSession<SimFrame>)) {
        let Some(index) = self.machine_of(conn) else { return };
        if let Some((_, session)) = &mut self.machines[index].link {
            act(session);
        }
        self.drain_agent(index);
    }

    fn drain_agent(&mut self, index: usize) {
        while let Some((conn, session)) = &mut self.machines[index].link {
            let conn = *conn;
            if let Some(transmit) = session.poll_transmit() {
                self.agent_transmits(conn, transmit);
            } else if let Some(event) = session.poll_event() {
                self.agent_event(index, conn, event);
            } else {
                let wake = session.poll_timeout().map(|at| at.saturating_duration_since(self.instant()));
                let wake = wake.map(|wait| self.now + wait);
                let known = self.machines[index].next_wake;
                if let Some(at) = wake.filter(|at| known.is_none_or(|known| *at < known)) {
                    self.machines[index].next_wake = Some(at);
                    self.at(at, Action::WakeAgent { conn });
                }
                return;
            }
        }
    }

    fn agent_transmits(&mut self, conn: u32, transmit: AgentTransmit<SimFrame>) {
        match transmit {
            AgentTransmit::Message(message) => self.send(conn, Stream::Control, ToCell::Message(message)),
            AgentTransmit::Frame { opening, frame } => {
                self.send(conn, Stream::Data(opening), ToCell::Frame { opening, frame });
                self.in_ms(0..20, Action::Written { conn, opening });
            }
            AgentTransmit::Close { code, .. } => self.send(conn, Stream::Close, ToCell::Close { code }),
            AgentTransmit::EndLane { .. } | AgentTransmit::EndRoute { .. } => {}
        }
    }

    fn agent_event(&mut self, index: usize, conn: u32, event: AgentEvent<SimFrame>) {
        match event {
            AgentEvent::LaneGranted(grant) => self.lane_granted(index, &grant),
            AgentEvent::ChainWanted { lane } => self.open_lane(index, &lane),
            AgentEvent::LaneBroken { lane, .. } => {
                let at = self.lane_index(&lane);
                self.machines[index].lanes[at].discard();
                self.open_lane(index, &lane);
            }
            AgentEvent::FetchFrame { opening, lane, seq } => {
                let lane = self.lane_index(&lane);
                self.in_ms(0..10, Action::Fetched { conn, opening, lane, seq });
            }
            AgentEvent::SchemaWanted { hash } => self.in_ms(0..10, Action::SchemaFound { conn, hash }),
            AgentEvent::Acknowledged { lane, link } => self.lane_acknowledged(index, &lane, link),
            AgentEvent::RouteBound { binding, .. } => {
                let binding = binding.binding;
                self.in_ms(0..100, Action::SinkReady { conn, binding });
            }
            AgentEvent::Delivery { binding, offset, frame } => {
                let sink = &mut self.machines[index].sink;
                if sink.binding == Some(binding) {
                    sink.applied.push((offset, frame.link()));
                    self.in_ms(0..50, Action::Consumed { conn, binding, cost: frame.cost() });
                }
            }
            AgentEvent::Closed(closed) => {
                if closed.code == GoodbyeCode::Violation {
                    self.fail(closed.to_string());
                }
                self.link_closed(index, &closed);
            }
            AgentEvent::Welcomed { .. }
            | AgentEvent::LaneRefused { .. }
            | AgentEvent::Desired { .. }
            | AgentEvent::RouteUnbound { .. }
            | AgentEvent::SchemaLearned { .. }
            | AgentEvent::RejectionsStored { .. }
            | AgentEvent::Asked { .. }
            | AgentEvent::Dismissed { .. }
            | AgentEvent::Renewed { .. }
            | AgentEvent::RenewalRefused { .. } => {}
        }
    }

    fn open_lane(&mut self, index: usize, id: &LaneId) {
        let (now, at, marks) = (self.instant(), self.lane_index(id), self.rng.bool());
        let machine = &mut self.machines[index];
        if let Some((_, session)) = &mut machine.link {
            session.open_lane(now, id, machine.lanes[at].chain, marks);
        }
    }

    fn link_closed(&mut self, index: usize, closed: &Closed) {
        let now = self.instant();
        let machine = &mut self.machines[index];
        machine.sink.binding = None;
        machine.sink.applied.clear();
        let boot = machine.boot;
        let wait = match closed.retry() {
            Retry::Backoff => machine.backoff.handle_failure(now),
            Retry::After(wait) => wait,
            Retry::Never => return self.fail("an agent gave up"),
        };
        let Some((conn, mut session)) = machine.link.take() else { return };
        while let Some(transmit) = session.poll_transmit() {
            self.agent_transmits(conn, transmit);
        }
        self.at(self.now + wait, Action::Dial { machine: index, boot });
    }

    fn lane_granted(&mut self, index: usize, grant: &LaneGrant) {
        let log = &self.cell.log;
        if let Some(marks) = &grant.marks {
            let all: Vec<_> = log.lane(&grant.lane).filter_map(mark_of).collect();
            let last = grant.last.unwrap_or(ORIGIN).seq;
            let seen = log.lane(&grant.lane).filter(|frame| frame.link().seq <= last);
            let least = seen.filter_map(mark_of).count();
            if !all.starts_with(marks) || marks.len() < least {
                return self.fail(format!("lane {} was granted with other marks than its own", grant.lane));
            }
        }
        let at = self.lane_index(&grant.lane);
        let lane = &mut self.machines[index].lanes[at];
        if grant.fresh {
            lane.discard();
            lane.chain = Some(Chain::granted(grant.epoch, grant.last));
            lane.sealed = grant.last;
            let position: Option<[u8; 8]> = grant.position.0.as_ref().try_into().ok();
            lane.next_record = position.map_or(0, u64::from_le_bytes);
            lane.reading = true;
        }
    }

    /// Trims the spool, which is right only when the log durably holds these very frames.
    fn lane_acknowledged(&mut self, index: usize, id: &LaneId, link: Link) {
        let at = self.lane_index(id);
        let lane = &mut self.machines[index].lanes[at];
        while let Some(frame) = lane.spool.pop_front_if(|frame| frame.link().seq <= link.seq) {
            if !self.cell.log.holds(id, frame.link()) {
                return self
                    .fail(format!("frame {} of lane {id} was trimmed and is not in the log", frame.link()));
            }
        }
        if let Some(chain) = lane.chain.as_mut().filter(|chain| chain.first <= link.seq) {
            (chain.first, chain.prev_crc) = (link.seq + 1, link.crc);
        }
    }

    fn lane_index(&self, id: &LaneId) -> usize {
        usize::from(id.source.as_bytes()[0])
    }

    fn running(&mut self, index: usize, boot: u32) -> Option<&mut Machine> {
        self.machines.get_mut(index).filter(|machine| machine.up && machine.boot == boot)
    }

    pub(super) fn machine_of(&self, conn: u32) -> Option<usize> {
        self.machines.iter().position(|machine| machine.link.as_ref().is_some_and(|(it, _)| *it == conn))
    }

    pub(super) fn wipe_disk(&mut self, index: usize) {
        self.crash_machine(index);
        self.machines[index].lanes.iter_mut().for_each(Lane::discard);
    }

    /// The sinks must hold the log from its beginning, each frame once, in order.
    pub(super) fn check_sinks(&self) -> Result<(), String> {
        let expected: BTreeMap<_, _> =
            (1..).map(LogOffset).zip(self.cell.log.durable_frames().iter().map(Frame::link)).collect();
        for machine in &self.machines {
            let in_order =
                machine.sink.rows.iter().zip(&expected).all(|((at, link), (o, l))| at == o && link == l);
            if !in_order {
                return Err("a sink holds something else than the log".to_owned());
            }
        }
        Ok(())
    }
}
