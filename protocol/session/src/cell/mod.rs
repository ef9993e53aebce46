//! The cell's side of one connection.
//!
//! ```text
//!   Listening ── Hello ──▶ Greeted ── welcome ──▶ Open ── goodbye, violation, silence, loss ──▶ Closed
//! ```

mod event;
mod lanes;
mod questions;
mod routes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use towpath_proto::link::agent_message::Kind;
use towpath_proto::link::cell_message::Kind as CellKind;
use towpath_proto::link::{
    AgentMessage, CellMessage, Desired, Goodbye, GoodbyeCode, Heartbeat, Hello, LaneMarks, Renewed, Welcome,
};
use towpath_record::SchemaHash;

pub use event::{CastOrder, CellEvent, CellTransmit, LaneOpening, Rejections};
pub use lanes::marks_chunk;

use crate::closing::{Closed, shortened};
use crate::frame::Frame;
use crate::limits::{GREETING_TIMEOUT, HEARTBEAT, LANE_WINDOW_BYTES, PROTOCOL_VERSION, SILENT_HEARTBEATS};
use crate::schemas::{Learned, Offers};
use crate::timers::Timers;
use crate::violation::Violation;
use lanes::Lane;
use questions::Questions;
use routes::Route;

/// How a cell behaves.
#[derive(Clone, Debug)]
pub struct CellConfig {
    /// The session's identity, for logs.
    pub session: Bytes,
    /// How long either side may keep silent.
    pub heartbeat: Duration,
    /// How much of a lane's frames may be under way, in bytes.
    pub lane_window_bytes: u64,
}

impl Default for CellConfig {
    fn default() -> Self {
        Self { session: Bytes::new(), heartbeat: HEARTBEAT, lane_window_bytes: LANE_WINDOW_BYTES }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Listening,
    Greeted,
    Open,
    Closed,
}

/// Why the machine wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum CellTimer {
    /// The agent has not said hello in time.
    Greeting,
    /// Nothing was said for a while: say that the cell is alive.
    Heartbeat,
    /// Nothing was heard for too long: the agent is taken for dead.
    PeerSilent,
    /// Frames wait for a schema that never came.
    SchemaMissing(SchemaHash),
}

/// The cell's side of one connection.
pub struct CellSession<F> {
    config: CellConfig,
    phase: Phase,
    heartbeats: u64,
    timers: Timers<CellTimer>,
    lanes: BTreeMap<u32, Lane<F>>,
    last_opening: u32,
    /// Openings with something to acknowledge.
    acks: BTreeSet<u32>,
    learned: Learned,
    routes: BTreeMap<u32, Route<F>>,
    last_binding: u32,
    offers: Offers,
    questions: Questions,
    transmits: VecDeque<CellTransmit<F>>,
    events: VecDeque<CellEvent<F>>,
}

impl<F: Frame> CellSession<F> {
    /// The machine of a connection that was just accepted.
    pub fn new(config: CellConfig, now: Instant) -> Self {
        let mut timers = Timers::new();
        timers.set(CellTimer::Greeting, now + GREETING_TIMEOUT);
        Self {
            config,
            phase: Phase::Listening,
            heartbeats: 0,
            timers,
            lanes: BTreeMap::new(),
            last_opening: 0,
            acks: BTreeSet::new(),
            learned: Learned::default(),
            routes: BTreeMap::new(),
            last_binding: 0,
            offers: Offers::default(),
            questions: Questions::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A message came on the control stream.
    pub fn handle_message(&mut self, now: Instant, message: AgentMessage) {
        if self.phase == Phase::Closed {
            return;
        }
        self.note_heard(now);
        // A kind that is not known here is from a later version, which knows that it may be ignored.
        let Some(kind) = message.kind else { return };
        if let Err(violation) = self.try_message(now, kind) {
            self.violated(now, &violation);
        }
    }

    /// A stream cannot be read as what it must be.
    pub fn handle_unreadable(&mut self, now: Instant, reason: &str) {
        self.violated(now, &Violation::Stream(reason.to_owned()));
    }

    /// The connection was lost.
    pub fn handle_lost(&mut self, reason: &str) {
        self.end(Closed::lost(reason));
    }

    /// The peer closed the connection with an application close code.
    pub fn handle_closed(&mut self, code: GoodbyeCode, reason: &str) {
        let goodbye = Goodbye { code: code.into(), reason: reason.to_owned(), remedy: String::new() };
        self.end(Closed::by_peer(goodbye));
    }

    /// It is at least the time that [`CellSession::poll_timeout`] said.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(reason) = self.timers.take_due(now) {
            match reason {
                CellTimer::Greeting => {
                    self.close_by_us(now, GoodbyeCode::Silent, "the agent did not say hello", "");
                }
                CellTimer::Heartbeat => {
                    self.heartbeats += 1;
                    self.send(now, Heartbeat { n: self.heartbeats });
                }
                CellTimer::PeerSilent => {
                    self.close_by_us(now, GoodbyeCode::Silent, "the agent fell silent", "");
                }
                CellTimer::SchemaMissing(hash) => self.violated(now, &Violation::SchemaMissing(hash)),
            }
        }
    }

    /// Accepts the agent that said hello.
    pub fn welcome(&mut self, now: Instant, desired_generation: u64) {
        if self.phase != Phase::Greeted {
            return;
        }
        self.phase = Phase::Open;
        self.note_heard(now);
        let heartbeat_ms = u32::try_from(self.config.heartbeat.as_millis()).unwrap_or(u32::MAX);
        let session = self.config.session.clone();
        self.send(now, Welcome { session, heartbeat_ms, desired_generation });
    }

    /// Tells the agent what it shall become, as JSON.
    pub fn desire(&mut self, now: Instant, generation: u64, state: Bytes) {
        if self.phase == Phase::Open {
            self.send(now, Desired { generation, state });
        }
    }

    /// Answers [`CellEvent::RenewalWanted`]: with a chain, leaf first, DER; or with the reason why there is none.
    pub fn renewed(&mut self, now: Instant, outcome: Result<Vec<Bytes>, String>) {
        if self.phase == Phase::Open {
            let (chain, reason) = match outcome {
                Ok(chain) => (chain, String::new()),
                Err(reason) => (Vec::new(), shortened(&reason)),
            };
            self.send(now, Renewed { chain, reason });
        }
    }

    /// Ends the session.
    pub fn goodbye(&mut self, now: Instant, code: GoodbyeCode, reason: &str, remedy: &str) {
        self.close_by_us(now, code, reason, remedy);
    }

    /// Something for the transport.
    pub fn poll_transmit(&mut self) -> Option<CellTransmit<F>> {
        if self.transmits.is_empty() && !self.acks.is_empty() {
            std::mem::take(&mut self.acks).into_iter().for_each(|opening| self.acknowledge(opening));
        }
        let transmit = self.transmits.pop_front();
        if let Some(CellTransmit::Message(CellMessage { kind: Some(CellKind::LaneMarks(marks)) })) = &transmit
            && let LaneMarks { opening, last: false, .. } = marks
        {
            self.continue_marks(*opening);
        }
        transmit
    }

    /// Something for the owner.
    pub fn poll_event(&mut self) -> Option<CellEvent<F>> {
        self.events.pop_front()
    }

    /// When to call [`CellSession::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn try_message(&mut self, now: Instant, kind: Kind) -> Result<(), Violation> {
        match (self.phase, kind) {
            (Phase::Listening, Kind::Hello(hello)) => self.on_hello(now, hello),
            (_, Kind::Goodbye(goodbye)) => self.end(Closed::by_peer(goodbye)),
            (_, Kind::Hello(_)) => {
                return Err(Violation::Unexpected { message: "Hello", when: "a second time" });
            }
            (Phase::Listening | Phase::Greeted, _) => {
                return Err(Violation::Unexpected { message: "any but Hello", when: "before Welcome" });
            }
            (_, Kind::OpenLane(open)) => self.on_open_lane(now, &open)?,
            (_, Kind::CloseLane(close)) => self.on_close_lane(&close)?,
            (_, Kind::Schema(schema)) => self.on_schema(schema)?,
            (_, Kind::Heartbeat(_)) => {}
            (_, Kind::RouteReady(ready)) => self.on_route_ready(now, ready)?,
            (_, Kind::RouteRefused(refused)) => self.on_route_refused(refused)?,
            (_, Kind::RouteCredit(credit)) => self.on_route_credit(now, &credit)?,
            (_, Kind::Delivered(delivered)) => self.on_delivered(&delivered)?,
            (_, Kind::Rejected(rejected)) => self.on_rejected(rejected)?,
            (_, Kind::Answer(answer)) => self.on_answer(answer)?,
            (_, Kind::Observed(observed)) => {
                let (generation, status) = (observed.generation, observed.status);
                self.events.push_back(CellEvent::Observed { generation, status });
            }
            (_, Kind::Renew(renew)) => {
                self.events.push_back(CellEvent::RenewalWanted { csr_der: renew.csr_der });
            }
        }
        Ok(())
    }

    fn on_hello(&mut self, now: Instant, hello: Hello) {
        self.timers.stop(&CellTimer::Greeting);
        if hello.protocol_version == PROTOCOL_VERSION {
            self.phase = Phase::Greeted;
            self.events.push_back(CellEvent::Greeted(hello));
            return;
        }
        let reason = format!(
            "the agent speaks protocol version {}; version {PROTOCOL_VERSION} is spoken here",
            hello.protocol_version
        );
        self.close_by_us(now, GoodbyeCode::Version, &reason, "upgrade the older of agent and control plane");
    }

    fn send(&mut self, now: Instant, message: impl Into<CellMessage>) {
        self.transmits.push_back(CellTransmit::Message(message.into()));
        self.note_said(now);
    }

    fn note_said(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.timers.set(CellTimer::Heartbeat, now + self.config.heartbeat);
        }
    }

    fn note_heard(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.timers.set(CellTimer::PeerSilent, now + self.config.heartbeat * SILENT_HEARTBEATS);
        }
    }

    fn violated(&mut self, now: Instant, violation: &Violation) {
        self.close_by_us(now, GoodbyeCode::Violation, &violation.to_string(), violation.remedy());
    }

    fn close_by_us(&mut self, now: Instant, code: GoodbyeCode, reason: &str, remedy: &str) {
        if self.phase != Phase::Closed {
            let closed = Closed::by_us(code, reason, remedy);
            self.send(now, closed.goodbye());
            self.end(closed);
        }
    }

    fn end(&mut self, closed: Closed) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.timers.stop_all();
        self.lanes.clear();
        self.acks.clear();
        self.routes.clear();
        self.questions.clear();
        self.transmits.retain(|transmit| matches!(transmit, CellTransmit::Message(_)));
        let (code, reason) = (closed.code, closed.reason.clone());
        self.transmits.push_back(CellTransmit::Close { code, reason });
        self.events.push_back(CellEvent::Closed(closed));
    }
}
