//! One connection: moves bytes between QUIC streams and the session's machine.
//!
//! One task owns the machine. Tasks beside it read and write the streams and the spool and tell it what happened.
//! Memory is bounded by the windows and by what the machine fetches ahead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, ConnectionError, Endpoint, TransportErrorCode, VarInt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::link::{CellMessage, Unanswered, answer, question};
use towpath_record::{LaneId, LogOffset, SchemaHash, SealedFrame, StreamSchema};
use towpath_session::{
    AgentConfig, AgentEvent, AgentSession, AgentTransmit, Cast, Chain, Closed, GoodbyeCode, Inconsistency,
    LaneGrant, RouteBinding,
};

use super::dial::{Dialed, socket_towards};
use super::frames::{FramesError, survey};
use super::lane::LaneEvent;
use super::question::{Asked, OpenQuestion};
use super::route::{RouteCast, RouteEntry, RouteFrame, RouteHandle};
use super::supervisor::{Command, LinkEvent, State};
use super::{control_stream, lane_stream, route_stream};

/// What the tasks beside the machine may tell before they wait for it.
const INPUTS: usize = 64;
/// How long the end of a connection may take to be told to the other side when the agent stops.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// The TLS alert for a certificate that was revoked.
const ALERT_CERTIFICATE_REVOKED: u8 = 44;

/// The machine of a connection.
pub(super) type Session = AgentSession<SealedFrame>;

type Request = Box<dyn FnOnce(&mut Session, Instant) + Send>;

/// A way to the session's machine from other tasks. Requests to a session that is over are dropped.
#[derive(Clone)]
pub(super) struct SessionHandle {
    // Unbounded, but everything sent here follows a frame that came, and those are bounded by the windows.
    requests: mpsc::UnboundedSender<Request>,
}

impl SessionHandle {
    /// Lets the machine do something.
    pub(super) fn request(&self, work: impl FnOnce(&mut Session, Instant) + Send + 'static) {
        // A session that is over needs nothing any more.
        let _ = self.requests.send(Box::new(work));
    }

    /// Waits until the session is over.
    pub(super) async fn closed(&self) {
        self.requests.closed().await;
    }
}

/// What the tasks beside the machine tell it.
pub(super) enum Input {
    Message(CellMessage),
    RouteBegan { binding: u32, stream: quinn::RecvStream },
    Delivery { binding: u32, offset: LogOffset, frame: SealedFrame },
    Written { opening: u32 },
    Surveyed { lane: LaneId, survey: u64, chain: Result<Option<Chain>, FramesError> },
    Spooled { lane: LaneId, newest: u64 },
    Fetched { opening: u32, frame: Result<SealedFrame, FramesError> },
    Schema { hash: SchemaHash, canonical: Option<Bytes> },
    Unreadable(String),
    Lost(ConnectionError),
}

/// Drives a connection until it ends; why it did.
pub(super) async fn drive(
    dialed: Dialed,
    config: AgentConfig,
    state: &mut State,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    stop: &CancellationToken,
) -> Closed {
    let (requests, mut asked) = mpsc::unbounded_channel();
    let (inputs, mut happened) = mpsc::channel(INPUTS);
    let Dialed { connection, endpoint } = dialed;
    let mut driver = Driver {
        machine: AgentSession::new(config, Instant::now()),
        state,
        handle: SessionHandle { requests },
        control: control_stream::start(connection.clone(), inputs.clone()),
        _acceptor: route_stream::accept(connection.clone(), inputs.clone()),
        connection,
        endpoint,
        inputs,
        openings: BTreeMap::new(),
        watches: BTreeMap::new(),
        routes: BTreeMap::new(),
        questions: BTreeMap::new(),
        schemas: BTreeMap::new(),
        surveys: 0,
        closed: None,
    };
    let lanes: Vec<LaneId> = driver.state.lanes.keys().cloned().collect();
    lanes.iter().for_each(|lane| driver.survey(lane));
    let mut stopping = false;
    loop {
        driver.drain().await;
        if let Some(closed) = driver.closed.take() {
            if stopping {
                // The process may end next: let the goodbye leave first.
                let _ = tokio::time::timeout(FAREWELL_TIMEOUT, driver.endpoint.wait_idle()).await;
            }
            return closed;
        }
        let wake = driver.machine.poll_timeout();
        tokio::select! {
            Some(input) = happened.recv() => driver.take_in(input),
            Some(request) = asked.recv() => request(&mut driver.machine, Instant::now()),
            command = commands.recv(), if !stopping => match command {
                Some(command) => driver.obey(command),
                None => {
                    stopping = true;
                    driver.machine.shut_down(Instant::now());
                }
            },
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {
                driver.machine.handle_timeout(Instant::now());
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                driver.machine.shut_down(Instant::now());
            }
        }
    }
}

struct Driver<'a> {
    machine: Session,
    state: &'a mut State,
    handle: SessionHandle,
    connection: Connection,
    endpoint: Endpoint,
    control: control_stream::Writer,
    _acceptor: AbortOnDropHandle<()>,
    inputs: mpsc::Sender<Input>,
    /// The streams of open lanes.
    openings: BTreeMap<u32, lane_stream::Writer>,
    /// The tasks that wait for a lane's spool to grow.
    watches: BTreeMap<LaneId, AbortOnDropHandle<()>>,
    routes: BTreeMap<u32, Route>,
    questions: BTreeMap<u32, OpenQuestion>,
    /// The schemas that the cell said.
    schemas: BTreeMap<SchemaHash, StreamSchema>,
    /// How many surveys of lanes were begun.
    surveys: u64,
    closed: Option<Closed>,
}

struct Route {
    entry: RouteEntry,
    stream: Option<AbortOnDropHandle<()>>,
}

impl Driver<'_> {
    fn take_in(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Message(message) => self.machine.handle_message(now, message),
            Input::RouteBegan { binding, stream } => {
                // A binding that is over needs nothing more: dropping its stream stops it.
                if let Some(route) = self.routes.get_mut(&binding) {
                    route.stream = Some(route_stream::read(binding, stream, self.inputs.clone()));
                }
            }
            Input::Delivery { binding, offset, frame } => {
                self.machine.handle_delivery(now, binding, offset, frame);
            }
            Input::Written { opening } => self.machine.handle_written(now, opening),
            Input::Surveyed { lane, survey, chain } => self.surveyed(&lane, survey, chain),
            Input::Spooled { lane, newest } => self.machine.handle_spooled(now, &lane, newest),
            Input::Fetched { opening, frame } => match frame {
                Ok(frame) => self.machine.handle_frame(now, opening, frame),
                Err(error) => self.machine.handle_fetch_failed(now, opening, &error.to_string()),
            },
            Input::Schema { hash, canonical } => self.machine.handle_schema(now, hash, canonical),
            Input::Unreadable(reason) => self.machine.handle_unreadable(now, &reason),
            Input::Lost(error) => self.lost(&error),
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match &command {
            Command::CloseLane { lane, mailbox } if self.state.is_current(lane, mailbox) => {
                self.watches.remove(lane);
                self.machine.close_lane(now, lane);
            }
            Command::Observe { generation, status } => {
                self.machine.observe(now, *generation, status.clone());
            }
            Command::Renew { csr_der } => self.machine.renew(now, csr_der.clone()),
            Command::Rebind => self.rebind(),
            Command::OpenLane { .. } | Command::BeginAnew { .. } | Command::CloseLane { .. } => {}
        }
        let opened = match &command {
            Command::OpenLane { lane, .. } | Command::BeginAnew { lane, .. } => Some(lane.clone()),
            _ => None,
        };
        self.state.note(command);
        if let Some(lane) = opened {
            self.survey(&lane);
        }
    }

    /// Finds out what is held of a lane, to open it.
    fn survey(&mut self, lane: &LaneId) {
        let Some(entry) = self.state.lanes.get_mut(lane).filter(|entry| !entry.broken) else { return };
        self.surveys += 1;
        entry.survey = self.surveys;
        let (frames, behind, number) = (entry.frames.clone(), entry.behind, entry.survey);
        let (inputs, lane) = (self.inputs.clone(), lane.clone());
        tokio::spawn(async move {
            let chain = survey(&*frames, behind).await;
            // A connection that is over opens no lanes.
            let _ = inputs.send(Input::Surveyed { lane, survey: number, chain }).await;
        });
    }

    fn surveyed(&mut self, lane: &LaneId, survey: u64, chain: Result<Option<Chain>, FramesError>) {
        let Some(entry) = self.state.lanes.get(lane).filter(|entry| !entry.broken) else { return };
        // The lane may have been closed and opened again meanwhile: an answer that is out of date would ask for a
        // second epoch and so fence the first, under which its owner seals already.
        if entry.survey != survey {
            return;
        }
        match chain {
            Ok(chain) => self.machine.open_lane(Instant::now(), lane, chain, entry.want_marks),
            Err(error) => {
                let seq = *entry.frames.newest().borrow();
                self.broken(lane, Inconsistency::Unreadable { seq, reason: error.to_string() });
            }
        }
    }

    async fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Some(event) = self.machine.poll_event() {
                self.handle(event);
                idle = false;
            }
            while let Some(transmit) = self.machine.poll_transmit() {
                self.transmit(transmit).await;
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    async fn transmit(&mut self, transmit: AgentTransmit<SealedFrame>) {
        match transmit {
            AgentTransmit::Message(message) => {
                if let Err(reason) = self.control.write(&message) {
                    self.machine.handle_lost(&reason);
                }
            }
            AgentTransmit::Frame { opening, frame } => {
                let writer = self.openings.entry(opening).or_insert_with(|| {
                    lane_stream::start(opening, self.connection.clone(), self.inputs.clone())
                });
                writer.write(frame);
            }
            AgentTransmit::EndLane { opening } => drop(self.openings.remove(&opening)),
            AgentTransmit::EndRoute { binding } => drop(self.routes.remove(&binding)),
            AgentTransmit::Close { code, reason } => {
                self.control.flush().await;
                let code = VarInt::from_u32(u32::try_from(i32::from(code)).unwrap_or_default());
                self.connection.close(code, reason.as_bytes());
            }
        }
    }

    fn handle(&mut self, event: AgentEvent<SealedFrame>) {
        match event {
            AgentEvent::Welcomed { session, desired_generation } => {
                if let Some((generation, status)) = self.state.observed.clone() {
                    self.machine.observe(Instant::now(), generation, status);
                }
                self.state.tell(LinkEvent::Connected { session, desired_generation });
            }
            AgentEvent::LaneGranted(grant) => self.granted(grant),
            AgentEvent::LaneRefused { lane, fault, reason, remedy, retry_in } => {
                self.watches.remove(&lane);
                self.state.post(&lane, LaneEvent::Refused { fault, reason, remedy, retry_in });
            }
            AgentEvent::ChainWanted { lane } => self.survey(&lane),
            AgentEvent::LaneBroken { lane, cause } => self.broken(&lane, cause),
            AgentEvent::FetchFrame { opening, lane, seq } => self.fetch(opening, &lane, seq),
            AgentEvent::SchemaWanted { hash } => {
                let (schemas, inputs) = (self.state.schemas.clone(), self.inputs.clone());
                tokio::spawn(async move {
                    let canonical = schemas.canonical(hash).await;
                    let _ = inputs.send(Input::Schema { hash, canonical }).await;
                });
            }
            AgentEvent::Acknowledged { lane, link } => {
                if let Some(entry) = self.state.lanes.get_mut(&lane) {
                    entry.acknowledged(link);
                }
                self.state.post(&lane, LaneEvent::Acknowledged(link));
            }
            AgentEvent::Desired { generation, state } => {
                self.state.tell(LinkEvent::Desired { generation, state });
            }
            AgentEvent::RouteBound { binding, casts } => self.bound(binding, casts),
            AgentEvent::RouteUnbound { binding, reason } => {
                tracing::info!(binding, reason, "a route was unbound");
                self.routes.remove(&binding);
            }
            AgentEvent::SchemaLearned { hash, canonical } => self.learn(hash, &canonical),
            AgentEvent::Delivery { binding, offset, frame } => self.deliver(binding, offset, frame),
            AgentEvent::RejectionsStored { binding, offset } => {
                if let Some(route) = self.routes.get(&binding) {
                    route.entry.stored(offset);
                }
            }
            AgentEvent::Asked { question, kind } => self.asked(question, kind),
            AgentEvent::Dismissed { question } => drop(self.questions.remove(&question)),
            AgentEvent::Renewed { chain } => self.state.tell(LinkEvent::Renewed { chain }),
            AgentEvent::RenewalRefused { reason } => self.state.tell(LinkEvent::RenewalRefused { reason }),
            AgentEvent::Closed(closed) => self.closed = Some(closed),
        }
    }

    fn granted(&mut self, grant: LaneGrant) {
        let Some(entry) = self.state.lanes.get_mut(&grant.lane) else { return };
        entry.granted(&grant);
        let (mut newest, inputs, lane) = (entry.frames.newest(), self.inputs.clone(), grant.lane.clone());
        // What was spooled since the lane was surveyed counts as a change, too.
        newest.mark_changed();
        let watch = tokio::spawn(async move {
            while newest.changed().await.is_ok() {
                let newest = *newest.borrow_and_update();
                if inputs.send(Input::Spooled { lane: lane.clone(), newest }).await.is_err() {
                    return;
                }
            }
        });
        self.watches.insert(grant.lane.clone(), AbortOnDropHandle::new(watch));
        self.state.post(&grant.lane.clone(), LaneEvent::Granted(grant));
    }

    fn broken(&mut self, lane: &LaneId, cause: Inconsistency) {
        self.watches.remove(lane);
        if let Some(entry) = self.state.lanes.get_mut(lane) {
            entry.broken = true;
        }
        self.state.post(lane, LaneEvent::Broken(cause));
    }

    fn fetch(&mut self, opening: u32, lane: &LaneId, seq: u64) {
        let frames = self.state.lanes.get(lane).map(|entry| entry.frames.clone());
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let frame = match frames {
                Some(frames) => frames.read(seq).await,
                None => Err(FramesError("the lane was closed".to_owned())),
            };
            let _ = inputs.send(Input::Fetched { opening, frame }).await;
        });
    }

    fn bound(&mut self, binding: RouteBinding, casts: Vec<Cast>) {
        let known = casts.into_iter().map(|Cast { source, stream, from, to }| {
            Some(RouteCast { source, stream, from, to: self.schemas.get(&to)?.clone() })
        });
        // One that was said and cannot be read has ended the session already.
        let Some(casts) = known.collect() else { return };
        let (handle, entry) = RouteHandle::new(binding, casts, self.handle.clone());
        self.routes.insert(binding.binding, Route { entry, stream: None });
        self.state.tell(LinkEvent::RouteBound(handle));
    }

    fn asked(&mut self, question: u32, kind: Option<question::Kind>) {
        let Some(kind) = kind else {
            let unknown = Unanswered {
                reason: "this agent is of a version that does not know the question".to_owned(),
                remedy: "upgrade the agent".to_owned(),
            };
            return self.machine.answer(Instant::now(), question, false, answer::Kind::Unanswered(unknown));
        };
        let (asked, open) = Asked::new(question, kind, self.handle.clone());
        self.questions.retain(|_, open| !open.is_answered());
        self.questions.insert(question, open);
        self.state.tell(LinkEvent::Asked(asked));
    }

    fn learn(&mut self, hash: SchemaHash, canonical: &Bytes) {
        match StreamSchema::from_canonical(canonical) {
            Ok(schema) if schema.hash() == hash => drop(self.schemas.insert(hash, schema)),
            Ok(_) => self.machine.handle_unreadable(Instant::now(), "a schema does not have its hash"),
            Err(error) => self.machine.handle_unreadable(Instant::now(), &error.to_string()),
        }
    }

    fn deliver(&mut self, binding: u32, offset: LogOffset, frame: SealedFrame) {
        let schema = self.schemas.get(&frame.header().schema).cloned();
        if let (Some(route), Some(schema)) = (self.routes.get(&binding), schema) {
            // A worker that has ended has said so, or the link is being lost.
            let _ = route.entry.frames.send(RouteFrame { offset, frame, schema });
        }
    }

    /// Goes on from another socket, as after a change of network. The connection survives by QUIC's migration.
    fn rebind(&self) {
        let moved =
            socket_towards(self.connection.remote_address()).and_then(|socket| self.endpoint.rebind(socket));
        if let Err(error) = moved {
            tracing::warn!(%error, "the link could not be moved to another socket; it stays where it is");
        }
    }

    fn lost(&mut self, error: &ConnectionError) {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                let code = i32::try_from(close.error_code.into_inner()).unwrap_or_default();
                let code = GoodbyeCode::try_from(code).unwrap_or_default();
                self.machine.handle_closed(code, &String::from_utf8_lossy(&close.reason));
            }
            ConnectionError::ConnectionClosed(close)
                if close.error_code == TransportErrorCode::crypto(ALERT_CERTIFICATE_REVOKED) =>
            {
                self.machine.handle_closed(GoodbyeCode::Revoked, "this agent's certificate was revoked");
            }
            error => self.machine.handle_lost(&error.to_string()),
        }
    }
}
