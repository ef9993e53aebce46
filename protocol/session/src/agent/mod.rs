//! The agent's side of one connection.
//!
//! ```text
//!   Greeting ── Welcome ──▶ Open ── goodbye, violation, silence, loss ──▶ Closed
//! ```

mod event;
mod lane;
mod lanes;
mod questions;
mod routes;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use towpath_proto::link::cell_message::Kind;
use towpath_proto::link::{
    AgentMessage, CellMessage, GoodbyeCode, Heartbeat, Hello, Observed, Renew, Welcome,
};
use towpath_record::{LaneId, SchemaHash};

pub use event::{AgentEvent, AgentTransmit, Cast, LaneGrant, RouteBinding};

use crate::backoff::BackoffConfig;
use crate::closing::Closed;
use crate::frame::Frame;
use crate::limits::{
    AGENT_AHEAD_BYTES, GREETING_TIMEOUT, HEARTBEAT, HEARTBEAT_RANGE, PROTOCOL_VERSION, ROUTE_WINDOW_BYTES,
    SILENT_HEARTBEATS,
};
use crate::schemas::{Learned, Offers};
use crate::timers::Timers;
use crate::violation::Violation;
use lane::Lane;
use questions::Questions;
use routes::Route;

/// What an agent says of itself, and how it behaves.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The agent's version, such as `0.1.0`.
    pub agent_version: String,
    /// The generation of desired state that it runs; 0 for none.
    pub applied_generation: u64,
    /// The adapters built into it.
    pub adapters: Vec<String>,
    /// How much of a route's frames may be under way, in bytes.
    pub route_window_bytes: u64,
    /// How much of all lanes' frames may be in memory on their way to the transport, in bytes. The frames being
    /// fetched when it is reached come on top.
    pub ahead_bytes: u64,
    /// How it waits before it asks again for a lane that was refused.
    pub backoff: BackoffConfig,
    /// What its waits are drawn from; two machines must not have the same.
    pub seed: u64,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            agent_version: String::new(),
            applied_generation: 0,
            adapters: Vec::new(),
            route_window_bytes: ROUTE_WINDOW_BYTES,
            ahead_bytes: AGENT_AHEAD_BYTES,
            backoff: BackoffConfig::default(),
            seed: 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Greeting,
    Open,
    Closed,
}

/// Why the machine wants to be woken.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum AgentTimer {
    /// The cell has not welcomed the agent in time.
    Greeting,
    /// Nothing was said for a while: say that the agent is alive.
    Heartbeat,
    /// Nothing was heard for too long: the cell is taken for dead.
    PeerSilent,
    /// A lane that was refused may be asked for again.
    Reopen(LaneId),
    /// Deliveries wait for a schema that never came.
    SchemaMissing(SchemaHash),
}

/// The agent's side of one connection. It begins with the hello that waits to be transmitted.
pub struct AgentSession<F> {
    config: AgentConfig,
    seeds: fastrand::Rng,
    phase: Phase,
    heartbeat: Duration,
    heartbeats: u64,
    timers: Timers<AgentTimer>,
    lanes: BTreeMap<LaneId, Lane<F>>,
    openings: BTreeMap<u32, LaneId>,
    next_opening: u32,
    /// Openings that want a frame, in turn.
    fetch_queue: VecDeque<u32>,
    /// Openings whose frame is being read.
    fetching: BTreeSet<u32>,
    /// Frames in memory on their way to the transport, in bytes.
    ahead_bytes: u64,
    offers: Offers,
    routes: BTreeMap<u32, Route<F>>,
    last_binding: u32,
    /// Bindings with something to report.
    reports: HashSet<u32>,
    learned: Learned,
    questions: Questions,
    transmits: VecDeque<AgentTransmit<F>>,
    events: VecDeque<AgentEvent<F>>,
}

impl<F: Frame> AgentSession<F> {
    /// The machine of a connection that was just made.
    pub fn new(config: AgentConfig, now: Instant) -> Self {
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            agent_version: config.agent_version.clone(),
            applied_generation: config.applied_generation,
            adapters: config.adapters.clone(),
        };
        let mut session = Self {
            seeds: fastrand::Rng::with_seed(config.seed),
            config,
            phase: Phase::Greeting,
            heartbeat: HEARTBEAT,
            heartbeats: 0,
            timers: Timers::new(),
            lanes: BTreeMap::new(),
            openings: BTreeMap::new(),
            next_opening: 0,
            fetch_queue: VecDeque::new(),
            fetching: BTreeSet::new(),
            ahead_bytes: 0,
            offers: Offers::default(),
            routes: BTreeMap::new(),
            last_binding: 0,
            reports: HashSet::new(),
            learned: Learned::default(),
            questions: Questions::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        session.timers.set(AgentTimer::Greeting, now + GREETING_TIMEOUT);
        session.send(now, hello);
        session
    }

    /// A message came on the control stream.
    pub fn handle_message(&mut self, now: Instant, message: CellMessage) {
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
        let goodbye = towpath_proto::link::Goodbye {
            code: code.into(),
            reason: reason.to_owned(),
            remedy: String::new(),
        };
        self.end(Closed::by_peer(goodbye));
    }

    /// It is at least the time that [`AgentSession::poll_timeout`] said.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(reason) = self.timers.take_due(now) {
            match reason {
                AgentTimer::Greeting => {
                    self.close_by_us(
                        now,
                        GoodbyeCode::Silent,
                        "the control plane did not answer the hello",
                        "",
                    );
                }
                AgentTimer::Heartbeat => {
                    self.heartbeats += 1;
                    self.send(now, Heartbeat { n: self.heartbeats });
                }
                AgentTimer::PeerSilent => {
                    self.close_by_us(now, GoodbyeCode::Silent, "the control plane fell silent", "");
                }
                AgentTimer::Reopen(lane) => self.events.push_back(AgentEvent::ChainWanted { lane }),
                AgentTimer::SchemaMissing(hash) => self.violated(now, &Violation::SchemaMissing(hash)),
            }
        }
    }

    /// Says what the agent observes of itself, as JSON.
    pub fn observe(&mut self, now: Instant, generation: u64, status: Bytes) {
        if self.phase == Phase::Open {
            self.send(now, Observed { generation, status });
        }
    }

    /// Asks for a new certificate.
    pub fn renew(&mut self, now: Instant, csr_der: Bytes) {
        if self.phase == Phase::Open {
            self.send(now, Renew { csr_der });
        }
    }

    /// The agent is stopping.
    pub fn shut_down(&mut self, now: Instant) {
        self.close_by_us(now, GoodbyeCode::Shutdown, "the agent is stopping", "");
    }

    /// Something for the transport.
    pub fn poll_transmit(&mut self) -> Option<AgentTransmit<F>> {
        if self.transmits.is_empty() && !self.reports.is_empty() {
            std::mem::take(&mut self.reports).into_iter().for_each(|binding| self.report_route(binding));
        }
        self.transmits.pop_front()
    }

    /// Something for the owner.
    pub fn poll_event(&mut self) -> Option<AgentEvent<F>> {
        self.events.pop_front()
    }

    /// When to call [`AgentSession::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn try_message(&mut self, now: Instant, kind: Kind) -> Result<(), Violation> {
        match (self.phase, kind) {
            (Phase::Greeting, Kind::Welcome(welcome)) => self.on_welcome(now, welcome),
            (_, Kind::Goodbye(goodbye)) => self.end(Closed::by_peer(goodbye)),
            (Phase::Greeting, _) => {
                return Err(Violation::Unexpected { message: "any but Welcome", when: "before Welcome" });
            }
            (_, Kind::Welcome(_)) => {
                return Err(Violation::Unexpected { message: "Welcome", when: "a second time" });
            }
            (_, Kind::LaneOpened(opened)) => self.on_lane_opened(now, opened)?,
            (_, Kind::LaneMarks(marks)) => self.on_lane_marks(now, marks)?,
            (_, Kind::LaneRefused(refused)) => self.on_lane_refused(now, refused)?,
            (_, Kind::Ack(ack)) => self.on_ack(now, ack)?,
            (_, Kind::Schema(schema)) => self.on_schema(now, schema)?,
            (_, Kind::Heartbeat(_)) => {}
            (_, Kind::Desired(desired)) => {
                let (generation, state) = (desired.generation, desired.state);
                self.events.push_back(AgentEvent::Desired { generation, state });
            }
            (_, Kind::BindRoute(bind)) => self.on_bind_route(&bind)?,
            (_, Kind::UnbindRoute(unbind)) => self.on_unbind_route(unbind)?,
            (_, Kind::RejectionsStored(stored)) => self.on_rejections_stored(stored)?,
            (_, Kind::Question(question)) => self.on_question(question)?,
            (_, Kind::Dismiss(dismissed)) => self.on_dismiss(&dismissed)?,
            (_, Kind::Renewed(renewed)) => self.events.push_back(if renewed.chain.is_empty() {
                AgentEvent::RenewalRefused { reason: renewed.reason }
            } else {
                AgentEvent::Renewed { chain: renewed.chain }
            }),
        }
        Ok(())
    }

    fn on_welcome(&mut self, now: Instant, welcome: Welcome) {
        let asked = Duration::from_millis(welcome.heartbeat_ms.into());
        self.heartbeat = asked.clamp(*HEARTBEAT_RANGE.start(), *HEARTBEAT_RANGE.end());
        self.phase = Phase::Open;
        self.timers.stop(&AgentTimer::Greeting);
        self.note_heard(now);
        self.note_said(now);
        let (session, desired_generation) = (welcome.session, welcome.desired_generation);
        self.events.push_back(AgentEvent::Welcomed { session, desired_generation });
        self.request_all_lanes(now);
    }

    fn send(&mut self, now: Instant, message: impl Into<AgentMessage>) {
        self.transmits.push_back(AgentTransmit::Message(message.into()));
        self.note_said(now);
    }

    fn note_said(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.timers.set(AgentTimer::Heartbeat, now + self.heartbeat);
        }
    }

    fn note_heard(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.timers.set(AgentTimer::PeerSilent, now + self.heartbeat * SILENT_HEARTBEATS);
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
        self.openings.clear();
        self.fetch_queue.clear();
        self.routes.clear();
        self.questions.clear();
        self.ahead_bytes = 0;
        self.transmits.retain(|transmit| matches!(transmit, AgentTransmit::Message(_)));
        let (code, reason) = (closed.code, closed.reason.clone());
        self.transmits.push_back(AgentTransmit::Close { code, reason });
        self.events.push_back(AgentEvent::Closed(closed));
    }
}
