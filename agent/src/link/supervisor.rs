//! Keeps the link up: dials, drives the connection, waits, dials again. What must outlive a connection is here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_record::{LaneId, Link};
use towpath_session::limits::ROUTE_WINDOW_BYTES;
use towpath_session::{AgentConfig, Backoff, BackoffConfig, Chain, Closed, LaneGrant, Retry};

use super::connection;
use super::dial::{DialError, Dialed, Dialer};
use super::frames::{LaneFrames, SchemaSource};
use super::lane::{LaneEvent, LaneHandle, Mailbox};
use super::question::Asked;
use super::route::RouteHandle;

/// What the agent says of itself, and how it behaves.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The agent's version, such as `0.1.0`.
    pub agent_version: String,
    /// The adapters built into it.
    pub adapters: Vec<String>,
    /// How it waits between attempts.
    pub backoff: BackoffConfig,
    /// What its waits are drawn from; two machines must not have the same.
    pub seed: u64,
}

/// What the control plane wants, and how the link does.
pub enum LinkEvent {
    /// The control plane welcomed the agent.
    Connected {
        /// The session's identity, for logs.
        session: Bytes,
        /// The newest generation of desired state.
        desired_generation: u64,
    },
    /// The control plane cannot be reached.
    DialFailed {
        /// Why.
        error: DialError,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// The link was lost. All routes of it have ended.
    Disconnected {
        /// Why.
        closed: Closed,
        /// When it is dialed again; never when a person must act first.
        retry_in: Option<Duration>,
    },
    /// The agent shall become this.
    Desired {
        /// The generation.
        generation: u64,
        /// The state, JSON.
        state: Bytes,
    },
    /// Take a route's frames to a sink. Answer through its reporter.
    RouteBound(RouteHandle),
    /// The control plane asks for something beside the flow of frames.
    Asked(Asked),
    /// A new certificate, leaf first, DER.
    Renewed {
        /// The chain.
        chain: Vec<Bytes>,
    },
    /// The certificate was not renewed.
    RenewalRefused {
        /// Why.
        reason: String,
    },
}

/// What the owner wants of the link.
pub(super) enum Command {
    OpenLane { lane: LaneId, frames: Arc<dyn LaneFrames>, mailbox: Arc<Mailbox>, want_marks: bool },
    BeginAnew { lane: LaneId, want_marks: bool },
    CloseLane { lane: LaneId, mailbox: Arc<Mailbox> },
    Observe { generation: u64, status: Bytes },
    Renew { csr_der: Bytes },
    Rebind,
}

/// The agent's way to the control plane. Cheap to clone.
#[derive(Clone)]
pub struct LinkHandle {
    // Unbounded, but commands follow what an admin or the clock does, not data.
    commands: mpsc::UnboundedSender<Command>,
}

impl LinkHandle {
    /// Keeps a lane open: what `frames` holds is shipped, now and as it grows. When it holds nothing, a new epoch
    /// is asked for. Every mark of the lane comes with the grant when `want_marks`.
    ///
    /// A lane that is open already is closed first: its older handle ends.
    pub fn open_lane(&self, lane: LaneId, frames: Arc<dyn LaneFrames>, want_marks: bool) -> LaneHandle {
        let mailbox = Arc::<Mailbox>::default();
        let handle = LaneHandle::new(lane.clone(), mailbox.clone(), self.commands.clone());
        self.command(Command::OpenLane { lane, frames, mailbox, want_marks });
        handle
    }

    /// Says what the agent observes of itself, as JSON: now, and at the beginning of every connection.
    /// `generation` is the desired state that it runs.
    pub fn observe(&self, generation: u64, status: Bytes) {
        self.command(Command::Observe { generation, status });
    }

    /// Asks for a new certificate on the connection there is. The answer is an event; when the link is lost, there
    /// is none.
    pub fn renew(&self, csr_der: Bytes) {
        self.command(Command::Renew { csr_der });
    }

    /// Goes on from another socket, as after a change of network. The connection survives it.
    pub fn rebind(&self) {
        self.command(Command::Rebind);
    }

    fn command(&self, command: Command) {
        // A link that is shut down does nothing more.
        let _ = self.commands.send(command);
    }
}

/// What outlives connections.
pub(super) struct State {
    pub(super) lanes: BTreeMap<LaneId, LaneEntry>,
    pub(super) schemas: Arc<dyn SchemaSource>,
    /// The last that the agent observed of itself, with the generation that it runs.
    pub(super) observed: Option<(u64, Bytes)>,
    // Unbounded, but events follow what the control plane's admin does, not data.
    events: mpsc::UnboundedSender<LinkEvent>,
}

/// A lane that shall be open.
pub(super) struct LaneEntry {
    pub(super) frames: Arc<dyn LaneFrames>,
    mailbox: Arc<Mailbox>,
    pub(super) want_marks: bool,
    /// What the next frame follows when none is held; none while a new epoch is needed.
    pub(super) behind: Option<Chain>,
    /// Whether the owner must reset the spool before the lane is opened again.
    pub(super) broken: bool,
    /// The newest survey of the lane; what older ones find is out of date.
    pub(super) survey: u64,
}

impl LaneEntry {
    pub(super) fn granted(&mut self, grant: &LaneGrant) {
        self.want_marks = false;
        if grant.fresh || self.behind.is_none() {
            self.behind = Some(Chain::granted(grant.epoch, grant.last));
        }
    }

    pub(super) fn acknowledged(&mut self, link: Link) {
        if let Some(behind) = &mut self.behind {
            *behind = Chain::granted(behind.epoch, Some(link));
        }
    }
}

impl State {
    /// Notes what a command changes for the connections to come.
    pub(super) fn note(&mut self, command: Command) {
        match command {
            Command::OpenLane { lane, frames, mailbox, want_marks } => {
                let entry = LaneEntry { frames, mailbox, want_marks, behind: None, broken: false, survey: 0 };
                if let Some(older) = self.lanes.insert(lane, entry) {
                    older.mailbox.close();
                }
            }
            Command::BeginAnew { lane, want_marks } => {
                if let Some(entry) = self.lanes.get_mut(&lane) {
                    (entry.behind, entry.broken, entry.want_marks) = (None, false, want_marks);
                }
            }
            Command::CloseLane { lane, mailbox } => {
                // The handle that was dropped may be older than the one that counts.
                if self.lanes.get(&lane).is_some_and(|entry| Arc::ptr_eq(&entry.mailbox, &mailbox)) {
                    self.lanes.remove(&lane);
                }
            }
            Command::Observe { generation, status } => self.observed = Some((generation, status)),
            Command::Renew { .. } | Command::Rebind => {}
        }
    }

    pub(super) fn is_current(&self, lane: &LaneId, mailbox: &Arc<Mailbox>) -> bool {
        self.lanes.get(lane).is_some_and(|entry| Arc::ptr_eq(&entry.mailbox, mailbox))
    }

    pub(super) fn tell(&self, event: LinkEvent) {
        // An agent that no longer listens is stopping.
        let _ = self.events.send(event);
    }

    pub(super) fn post(&self, lane: &LaneId, event: LaneEvent) {
        if let Some(entry) = self.lanes.get(lane) {
            entry.mailbox.post(event);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.lanes.values().for_each(|entry| entry.mailbox.close());
    }
}

/// Starts the link. It ends when `stop` is cancelled, after it has said goodbye, or when no handle is left.
pub fn start(
    dialer: Dialer,
    config: LinkConfig,
    schemas: Arc<dyn SchemaSource>,
    stop: CancellationToken,
) -> (LinkHandle, mpsc::UnboundedReceiver<LinkEvent>, JoinHandle<()>) {
    let (commands, commanded) = mpsc::unbounded_channel();
    let (events, happened) = mpsc::unbounded_channel();
    let state = State { lanes: BTreeMap::new(), schemas, observed: None, events };
    let backoff = Backoff::new(config.backoff, config.seed);
    let supervisor = Supervisor { dialer, config, backoff, state, commands: commanded, stop, connections: 0 };
    (LinkHandle { commands }, happened, tokio::spawn(supervisor.run()))
}

struct Supervisor {
    dialer: Dialer,
    config: LinkConfig,
    backoff: Backoff,
    state: State,
    commands: mpsc::UnboundedReceiver<Command>,
    stop: CancellationToken,
    connections: u64,
}

impl Supervisor {
    async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let dialer = self.dialer.clone();
            let wait = match self.meanwhile(async move { dialer.dial().await }).await {
                None => return,
                Some(Ok(dialed)) => self.connected(dialed).await,
                Some(Err(error)) => {
                    let retry_in = self.backoff.handle_failure(Instant::now());
                    self.state.tell(LinkEvent::DialFailed { error, retry_in });
                    Some(retry_in)
                }
            };
            let waited = match wait {
                Some(wait) => self.meanwhile(tokio::time::sleep(wait)).await,
                None => self.meanwhile(std::future::pending()).await,
            };
            if waited.is_none() {
                return;
            }
        }
    }

    /// Drives a connection to its end; how long to wait then.
    async fn connected(&mut self, dialed: Dialed) -> Option<Duration> {
        self.connections += 1;
        self.backoff.handle_success(Instant::now());
        let config = AgentConfig {
            agent_version: self.config.agent_version.clone(),
            applied_generation: self.state.observed.as_ref().map_or(0, |(generation, _)| *generation),
            adapters: self.config.adapters.clone(),
            route_window_bytes: ROUTE_WINDOW_BYTES,
            backoff: self.config.backoff,
            seed: self.config.seed ^ self.connections,
            ..AgentConfig::default()
        };
        let closed = connection::drive(dialed, config, &mut self.state, &mut self.commands, &self.stop).await;
        let retry_in = match closed.retry() {
            Retry::Backoff => Some(self.backoff.handle_failure(Instant::now())),
            Retry::After(pause) => Some(pause),
            Retry::Never => None,
        };
        self.state.tell(LinkEvent::Disconnected { closed, retry_in });
        retry_in
    }

    /// Waits for something while commands are noted; none when the link shall end.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return Some(done),
                command = self.commands.recv() => self.state.note(command?),
                () = self.stop.cancelled() => return None,
            }
        }
    }
}
