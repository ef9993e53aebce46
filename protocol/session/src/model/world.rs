//! The world: its clock, what happens next, and the two machines of every connection.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use towpath_record::{LaneId, LogId, LogOffset, Mark, RegionName, SchemaHash, SourceId};

use super::agent::Machine;
use super::cell::CellProcess;
use super::frame::SimFrame;
use super::network::{Connection, Stream, Time, ToAgent, ToCell};
use crate::agent::AgentConfig;
use crate::cell::{CellConfig, CellSession};

/// How many records each source has.
pub(super) const RECORDS: u64 = 24;
/// How many lanes each agent has.
pub(super) const LANES: usize = 2;

/// The one log there is.
pub(super) const LOG: LogId = LogId::from_bytes([3; 16]);

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Action {
    ToCell { conn: u32, stream: Stream, packet: ToCell },
    ToAgent { conn: u32, stream: Stream, packet: ToAgent },
    WakeAgent { conn: u32 },
    WakeCell { conn: u32 },
    AgentLost { conn: u32 },
    CellLost { conn: u32 },
    Dial { machine: usize, boot: u32 },
    Seal { machine: usize, boot: u32, lane: usize },
    SpoolSync { machine: usize, boot: u32 },
    Fetched { conn: u32, opening: u32, lane: usize, seq: u64 },
    Written { conn: u32, opening: u32 },
    SchemaFound { conn: u32, hash: SchemaHash },
    SinkReady { conn: u32, binding: u32 },
    Consumed { conn: u32, binding: u32, cost: u64 },
    SinkCommit { machine: usize, boot: u32 },
    Boot { machine: usize },
    Grant { conn: u32, opening: u32, lane: usize, fresh: bool, marks: bool },
    Marks { conn: u32, opening: u32, lane: usize, after: usize },
    SchemaStored { conn: u32, hash: SchemaHash },
    SchemaRead { conn: u32, hash: SchemaHash },
    DeliveryWritten { conn: u32, binding: u32 },
    LogSync,
    StartCell,
    Fault,
    Quiet,
}

/// Why a seed failed.
pub(super) type Broken = String;

pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) now: Time,
    /// Where the model's clock begins on the machines' clock.
    origin: Instant,
    queue: BinaryHeap<Reverse<(Time, u64, Slot)>>,
    scheduled: u64,
    pub(super) machines: Vec<Machine>,
    pub(super) cell: CellProcess,
    pub(super) connections: BTreeMap<u32, Connection>,
    pub(super) next_conn: u32,
    pub(super) lanes: Vec<LaneId>,
    /// Whether faults are over.
    pub(super) quiet: bool,
    pub(super) steps: u64,
    pub(super) broken: Option<Broken>,
}

/// An action in the queue, which orders by time and then by when it was scheduled.
struct Slot(Action);

impl PartialEq for Slot {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let lane = |n: u8| LaneId { source: SourceId::from_bytes([n; 16]), region: RegionName::main() };
        let mut world = Self {
            rng: fastrand::Rng::with_seed(seed),
            now: Time::ZERO,
            origin: Instant::now(),
            queue: BinaryHeap::new(),
            scheduled: 0,
            machines: Vec::new(),
            cell: CellProcess::default(),
            connections: BTreeMap::new(),
            next_conn: 0,
            lanes: (0..LANES as u8).map(lane).collect(),
            quiet: false,
            steps: 0,
            broken: None,
        };
        world.cell.up = true;
        world.add_machine();
        let chaos = Duration::from_millis(world.rng.u64(2_000..25_000));
        world.at(chaos, Action::Quiet);
        world.in_ms(20..4_000, Action::Fault);
        world
    }

    /// Runs until everything is where it belongs.
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        const TOO_LATE: Time = Duration::from_secs(600);
        while let Some(Reverse((at, _, Slot(action)))) = self.queue.pop() {
            self.now = at;
            self.steps += 1;
            self.act(action);
            if let Some(broken) = self.broken.take() {
                return Err(format!("after {:?}: {broken}", self.now));
            }
            if self.quiet && self.is_settled() {
                return self.check_end();
            }
            if at > TOO_LATE {
                return Err(format!("nothing fails any more, and still: {}", self.describe()));
            }
        }
        Err("nothing is left to happen".to_owned())
    }

    pub(super) fn instant(&self) -> Instant {
        self.origin + self.now
    }

    pub(super) fn at(&mut self, at: Time, action: Action) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled, Slot(action))));
    }

    pub(super) fn in_ms(&mut self, range: std::ops::Range<u64>, action: Action) {
        let at = self.now + Duration::from_micros(self.rng.u64(range.start * 1000..range.end * 1000));
        self.at(at, action);
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    pub(super) fn fail(&mut self, broken: impl Into<String>) {
        self.broken.get_or_insert(broken.into());
    }

    pub(super) fn send(&mut self, conn: u32, stream: Stream, packet: impl Into<Packet>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let packet = packet.into();
        let to_cell = matches!(packet, Packet::ToCell(_));
        let Some(arrival) = connection.send(&mut self.rng, self.now, to_cell, stream) else { return };
        self.at(
            arrival,
            match packet {
                Packet::ToCell(packet) => Action::ToCell { conn, stream, packet },
                Packet::ToAgent(packet) => Action::ToAgent { conn, stream, packet },
            },
        );
    }

    /// Makes the machines of a new connection.
    pub(super) fn connect(&mut self, machine: usize) {
        self.next_conn += 1;
        let conn = self.next_conn;
        self.connections.insert(conn, Connection::default());
        let agent = AgentConfig {
            route_window_bytes: self.rng.u64(1_000..9_000),
            ahead_bytes: self.rng.u64(1_000..9_000),
            seed: self.rng.u64(..),
            ..AgentConfig::default()
        };
        let lane_window_bytes = self.rng.u64(1_000..9_000);
        let session = Bytes::copy_from_slice(&conn.to_le_bytes());
        let cell = CellConfig { session, lane_window_bytes, ..CellConfig::default() };
        self.cell.sessions.insert(conn, CellSession::new(cell, self.instant()));
        self.agent_connected(machine, conn, agent);
        self.drain_cell(conn);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ToCell { conn, stream, packet } => {
                if self.delivers(conn, true, stream) {
                    self.cell_receives(conn, packet);
                }
            }
            Action::ToAgent { conn, stream, packet } => {
                if self.delivers(conn, false, stream) {
                    self.agent_receives(conn, packet);
                }
            }
            Action::WakeAgent { conn } => self.wake_agent(conn),
            Action::WakeCell { conn } => self.wake_cell(conn),
            Action::AgentLost { conn } => self.agent_lost(conn),
            Action::CellLost { conn } => self.cell_lost(conn),
            Action::Dial { machine, boot } => self.dial(machine, boot),
            Action::Seal { machine, boot, lane } => self.seal(machine, boot, lane),
            Action::SpoolSync { machine, boot } => self.spool_sync(machine, boot),
            Action::Fetched { conn, opening, lane, seq } => self.fetched(conn, opening, lane, seq),
            Action::Written { conn, opening } => self.written(conn, opening),
            Action::SchemaFound { conn, hash } => self.schema_found(conn, hash),
            Action::SinkReady { conn, binding } => self.sink_ready(conn, binding),
            Action::Consumed { conn, binding, cost } => self.consumed(conn, binding, cost),
            Action::SinkCommit { machine, boot } => self.sink_commit(machine, boot),
            Action::Boot { machine } => self.boot(machine),
            Action::Grant { conn, opening, lane, fresh, marks } => {
                self.grant(conn, opening, lane, fresh, marks);
            }
            Action::Marks { conn, opening, lane, after } => self.read_marks(conn, opening, lane, after),
            Action::SchemaStored { conn, hash } => self.schema_stored(conn, hash),
            Action::SchemaRead { conn, hash } => self.schema_read(conn, hash),
            Action::DeliveryWritten { conn, binding } => self.delivery_written(conn, binding),
            Action::LogSync => self.log_sync(),
            Action::StartCell => self.cell.up = true,
            Action::Fault => self.fault(),
            Action::Quiet => self.become_quiet(),
        }
    }

    fn delivers(&self, conn: u32, to_cell: bool, stream: Stream) -> bool {
        self.connections.get(&conn).is_some_and(|it| it.delivers(self.now, to_cell, stream))
    }
}

/// Something on its way in either direction.
pub(super) enum Packet {
    ToCell(ToCell),
    ToAgent(ToAgent),
}

impl From<ToCell> for Packet {
    fn from(packet: ToCell) -> Self {
        Self::ToCell(packet)
    }
}

impl From<ToAgent> for Packet {
    fn from(packet: ToAgent) -> Self {
        Self::ToAgent(packet)
    }
}

pub(super) fn mark_of(frame: &SimFrame) -> Option<Mark> {
    frame.mark().map(|seq| Mark(Bytes::copy_from_slice(&seq.to_le_bytes())))
}

pub(super) fn offset_after(offset: Option<LogOffset>) -> LogOffset {
    offset.unwrap_or_default().next()
}
