//! One agent's connection: moves bytes between QUIC streams and the session's machine.
//!
//! One task owns the machine. Tasks beside it read and write the streams and tell it what happened; whoever has a
//! [`SessionHandle`] may ask it to do something. Memory is bounded by the windows that the machine grants.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, VarInt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::link::{AgentMessage, GoodbyeCode};
use towpath_record::{LogOffset, SealedFrame};
use towpath_session::{CellConfig, CellEvent, CellSession, CellTransmit};
use uuid::Uuid;

use super::endpoint::Reception;
use super::{control_stream, lane_stream, route_stream};
use crate::control::identity::PeerIdentity;

/// What streams may tell before they wait for the machine.
const INPUTS: usize = 64;

/// The machine of a session with an agent.
pub(crate) type Session = CellSession<SealedFrame>;

/// What a session's events are for. Called on the session's task: it must not block, and answers later through the
/// [`SessionHandle`].
pub(crate) trait Owner: Send {
    /// Something happened.
    fn handle(&mut self, event: CellEvent<SealedFrame>);

    /// This side ended the session, and whether the agent received the goodbye.
    fn parted(&mut self, code: GoodbyeCode, received: bool);
}

pub(crate) type Request = Box<dyn FnOnce(&mut Session, Instant) + Send>;

/// A way to a session's machine from other tasks. Requests to a session that is over are dropped.
#[derive(Clone)]
pub(crate) struct SessionHandle {
    id: Uuid,
    // Unbounded, but everything sent here answers an event or follows an admin's act, and events are bounded by
    // the windows and limits of the machine.
    requests: mpsc::UnboundedSender<Request>,
}

impl SessionHandle {
    /// The session's identity.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// A handle of a session that nobody drives, with what is requested of it.
    #[cfg(test)]
    pub(crate) fn detached() -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, requested) = mpsc::unbounded_channel();
        (Self { id: Uuid::now_v7(), requests }, requested)
    }

    /// Lets the machine do something.
    pub(crate) fn request(&self, work: impl FnOnce(&mut Session, Instant) + Send + 'static) {
        // A session that is over needs nothing any more.
        drop(self.requests.send(Box::new(work)));
    }

    /// Waits until the session is over.
    pub(crate) async fn closed(&self) {
        self.requests.closed().await;
    }
}

/// What the tasks beside the machine tell it.
pub(super) enum Input {
    Message(AgentMessage),
    Frame { opening: u32, frame: SealedFrame },
    LaneBegan { opening: u32, stream: quinn::RecvStream },
    Written { binding: u32 },
    Unreadable(String),
    Lost(ConnectionError),
}

/// Drives a connection until it ends.
pub(super) async fn drive(
    connection: Connection,
    peer: PeerIdentity,
    reception: &dyn Reception,
    stop: CancellationToken,
) {
    let id = Uuid::now_v7();
    let (requests, mut asked) = mpsc::unbounded_channel();
    let handle = SessionHandle { id, requests };
    let owner = reception.receive(peer, connection.remote_address(), handle);
    let (inputs, mut happened) = mpsc::channel(INPUTS);
    let config = CellConfig { session: Bytes::copy_from_slice(id.as_bytes()), ..CellConfig::default() };
    let mut driver = Driver {
        machine: CellSession::new(config, Instant::now()),
        owner,
        control: control_stream::start(connection.clone(), inputs.clone()),
        _acceptor: lane_stream::accept(connection.clone(), inputs.clone()),
        connection,
        inputs,
        lanes: BTreeMap::new(),
        routes: BTreeMap::new(),
        ending: false,
    };
    let mut stopping = false;
    while !driver.ending {
        let wake = driver.machine.poll_timeout();
        tokio::select! {
            Some(input) = happened.recv() => driver.take_in(input),
            Some(request) = asked.recv() => request(&mut driver.machine, Instant::now()),
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {
                driver.machine.handle_timeout(Instant::now());
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                driver.machine.goodbye(Instant::now(), GoodbyeCode::Shutdown, "the control plane is stopping", "");
            }
        }
        driver.drain().await;
    }
}

struct Driver {
    machine: Session,
    owner: Box<dyn Owner>,
    connection: Connection,
    control: control_stream::Writer,
    _acceptor: AbortOnDropHandle<()>,
    inputs: mpsc::Sender<Input>,
    lanes: BTreeMap<u32, AbortOnDropHandle<()>>,
    routes: BTreeMap<u32, route_stream::Writer>,
    ending: bool,
}

impl Driver {
    fn take_in(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Message(message) => self.machine.handle_message(now, message),
            Input::Frame { opening, frame } => self.machine.handle_frame(now, opening, frame),
            Input::LaneBegan { opening, stream } => {
                self.lanes.insert(opening, lane_stream::read(opening, stream, self.inputs.clone()));
            }
            Input::Written { binding } => self.machine.handle_written(now, binding),
            Input::Unreadable(reason) => self.machine.handle_unreadable(now, &reason),
            Input::Lost(ConnectionError::ApplicationClosed(close)) => {
                let code = i32::try_from(close.error_code.into_inner()).unwrap_or_default();
                let code = GoodbyeCode::try_from(code).unwrap_or_default();
                self.machine.handle_closed(code, &String::from_utf8_lossy(&close.reason));
            }
            Input::Lost(error) => self.machine.handle_lost(&error.to_string()),
        }
    }

    async fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Some(event) = self.machine.poll_event() {
                self.owner.handle(event);
                idle = false;
            }
            if let Some(transmit) = self.machine.poll_transmit() {
                self.transmit(transmit).await;
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    async fn transmit(&mut self, transmit: CellTransmit<SealedFrame>) {
        match transmit {
            CellTransmit::Message(message) => {
                if let Err(reason) = self.control.write(&message) {
                    self.machine.handle_lost(&reason);
                }
            }
            CellTransmit::Delivery { binding, offset, frame } => self.deliver(binding, offset, frame),
            CellTransmit::EndLane { opening } => drop(self.lanes.remove(&opening)),
            CellTransmit::EndRoute { binding } => drop(self.routes.remove(&binding)),
            CellTransmit::Close { code, reason } => {
                let received = self.control.flush().await;
                self.owner.parted(code, received);
                let code = VarInt::from_u32(u32::try_from(i32::from(code)).unwrap_or_default());
                self.connection.close(code, reason.as_bytes());
                self.ending = true;
            }
        }
    }

    fn deliver(&mut self, binding: u32, offset: LogOffset, frame: SealedFrame) {
        let writer = self
            .routes
            .entry(binding)
            .or_insert_with(|| route_stream::start(binding, self.connection.clone(), self.inputs.clone()));
        writer.write(offset, frame);
    }
}
