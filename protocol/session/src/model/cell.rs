//! The cell's process: the log on disk, and the sessions in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use towpath_proto::link::{GoodbyeCode, LaneFault};
use towpath_record::{LogOffset, Position, RouteId, SchemaHash, SinkId};

use super::frame::SimFrame;
use super::log::{Appended, Log};
use super::network::{Stream, ToAgent, ToCell};
use super::world::{Action, LOG, World, mark_of, offset_after};
use crate::cell::{CellEvent, CellSession, CellTransmit};
use crate::frame::Frame;

#[derive(Default)]
pub(super) struct CellProcess {
    pub(super) up: bool,
    pub(super) log: Log,
    pub(super) sessions: BTreeMap<u32, CellSession<SimFrame>>,
    /// The session that counts, of the one agent there is.
    current: Option<u32>,
    /// Frames that are written and not synced: who waits for them.
    waiting: Vec<(u32, u32, usize)>,
    sync_planned: bool,
    /// Where each bound route reads next, and whether it waits for the log to grow.
    cursors: BTreeMap<(u32, u32), (LogOffset, bool)>,
    wakes: BTreeMap<u32, Duration>,
}

impl World {
    pub(super) fn crash_cell(&mut self) {
        if !self.cell.up {
            return;
        }
        self.cell.up = false;
        self.cell.log.crash();
        self.cell.waiting.clear();
        self.cell.cursors.clear();
        self.cell.wakes.clear();
        self.cell.current = None;
        let sessions: Vec<u32> = std::mem::take(&mut self.cell.sessions).into_keys().collect();
        sessions.into_iter().for_each(|conn| self.cut(conn));
        self.in_ms(10..3_000, Action::StartCell);
    }

    pub(super) fn cell_receives(&mut self, conn: u32, packet: ToCell) {
        let now = self.instant();
        self.with_cell(conn, |session| match packet {
            ToCell::Message(message) => session.handle_message(now, message),
            ToCell::Frame { opening, frame } => session.handle_frame(now, opening, frame),
            ToCell::Close { code } => session.handle_closed(code, "closed"),
        });
    }

    pub(super) fn wake_cell(&mut self, conn: u32) {
        let now = self.instant();
        self.cell.wakes.remove(&conn);
        self.with_cell(conn, |session| session.handle_timeout(now));
    }

    pub(super) fn cell_lost(&mut self, conn: u32) {
        self.with_cell(conn, |session| session.handle_lost("cut"));
    }

    pub(super) fn grant(&mut self, conn: u32, opening: u32, lane: usize, fresh: bool, marks: bool) {
        if !self.cell.sessions.contains_key(&conn) {
            return;
        }
        // A log that grants without syncing first lets frames of the old epoch become durable behind the grant.
        if self.chance(50) {
            self.log_sync();
        }
        let (now, id) = (self.instant(), self.lanes[lane].clone());
        let epoch = self.cell.log.grant(&id, fresh);
        let last = self.cell.log.last(&id);
        let position = last.map_or(Bytes::new(), |f| Bytes::copy_from_slice(&f.records().end.to_le_bytes()));
        let last = last.map(Frame::link);
        self.with_cell(conn, |session| {
            session.handle_lane_opened(now, opening, epoch, last, Position(position), marks);
        });
    }

    pub(super) fn read_marks(&mut self, conn: u32, opening: u32, lane: usize, after: usize) {
        let now = self.instant();
        let id = self.lanes[lane].clone();
        let mut rest: Vec<_> = self.cell.log.lane(&id).filter_map(mark_of).skip(after).collect();
        let last = rest.len() <= 2;
        rest.truncate(2);
        self.with_cell(conn, |session| session.handle_marks(now, opening, rest, last));
    }

    pub(super) fn schema_stored(&mut self, conn: u32, hash: SchemaHash) {
        let now = self.instant();
        self.with_cell(conn, |session| session.handle_schema_stored(now, hash));
    }

    pub(super) fn schema_read(&mut self, conn: u32, hash: SchemaHash) {
        let now = self.instant();
        self.with_cell(conn, |session| {
            session.handle_schema(now, hash, Some(Bytes::new()));
        });
    }

    pub(super) fn delivery_written(&mut self, conn: u32, binding: u32) {
        let now = self.instant();
        self.with_cell(conn, |session| session.handle_written(now, binding));
    }

    pub(super) fn log_sync(&mut self) {
        self.cell.sync_planned = false;
        if !self.cell.up {
            return;
        }
        self.cell.log.sync();
        let now = self.instant();
        for (conn, opening, lane) in std::mem::take(&mut self.cell.waiting) {
            if let Some(last) = self.cell.log.last(&self.lanes[lane]).map(Frame::link) {
                self.with_cell(conn, |session| session.handle_durable(now, opening, last));
            }
        }
        let hungry: Vec<_> =
            self.cell.cursors.iter().filter(|(_, (_, waits))| *waits).map(|(key, _)| *key).collect();
        hungry.into_iter().for_each(|(conn, binding)| self.deliver(conn, binding));
    }

    /// Hands over the next frame of a route, or notes that it waits for one.
    fn deliver(&mut self, conn: u32, binding: u32) {
        let now = self.instant();
        let Some((cursor, waits)) = self.cell.cursors.get_mut(&(conn, binding)) else { return };
        let Some(frame) = self.cell.log.at(*cursor).cloned() else {
            *waits = true;
            return;
        };
        let offset = *cursor;
        (*cursor, *waits) = (cursor.next(), false);
        self.with_cell(conn, |session| session.handle_delivery(now, binding, offset, frame));
    }

    fn with_cell(&mut self, conn: u32, act: impl FnOnce(&mut CellSession<SimFrame>)) {
        if let Some(session) = self.cell.sessions.get_mut(&conn) {
            act(session);
            self.drain_cell(conn);
        }
    }

    pub(super) fn drain_cell(&mut self, conn: u32) {
        while let Some(session) = self.cell.sessions.get_mut(&conn) {
            if let Some(transmit) = session.poll_transmit() {
                self.cell_transmits(conn, transmit);
            } else if let Some(event) = session.poll_event() {
                self.cell_event(conn, event);
            } else {
                let wait = session.poll_timeout().map(|at| at.saturating_duration_since(self.instant()));
                let wake = wait.map(|wait| self.now + wait);
                let known = self.cell.wakes.get(&conn).copied();
                if let Some(at) = wake.filter(|at| known.is_none_or(|known| *at < known)) {
                    self.cell.wakes.insert(conn, at);
                    self.at(at, Action::WakeCell { conn });
                }
                return;
            }
        }
    }

    fn cell_transmits(&mut self, conn: u32, transmit: CellTransmit<SimFrame>) {
        match transmit {
            CellTransmit::Message(message) => self.send(conn, Stream::Control, ToAgent::Message(message)),
            CellTransmit::Delivery { binding, offset, frame } => {
                self.send(conn, Stream::Data(binding), ToAgent::Delivery { binding, offset, frame });
                self.in_ms(0..20, Action::DeliveryWritten { conn, binding });
            }
            CellTransmit::Close { code, .. } => self.send(conn, Stream::Close, ToAgent::Close { code }),
            CellTransmit::EndLane { .. } | CellTransmit::EndRoute { .. } => {}
        }
    }

    fn cell_event(&mut self, conn: u32, event: CellEvent<SimFrame>) {
        let now = self.instant();
        match event {
            CellEvent::Greeted(_) => {
                if let Some(older) = self.cell.current.replace(conn) {
                    self.with_cell(older, |it| it.goodbye(now, GoodbyeCode::Superseded, "newer", ""));
                }
                let Some(session) = self.cell.sessions.get_mut(&conn) else { return };
                session.welcome(now, 0);
                let (route, sink) = (RouteId::from_bytes([1; 16]), SinkId::from_bytes([2; 16]));
                session.bind_route(now, route, 0, sink, LOG, &[]);
            }
            CellEvent::LaneRequested(asked) => {
                if self.chance(5) {
                    return self.with_cell(conn, |session| {
                        session.refuse_lane(now, asked.opening, LaneFault::Unavailable, "busy", "wait");
                    });
                }
                let lane = usize::from(asked.lane.source.as_bytes()[0]);
                let (opening, fresh, marks) = (asked.opening, asked.chain.is_none(), asked.want_marks);
                self.in_ms(0..100, Action::Grant { conn, opening, lane, fresh, marks });
            }
            CellEvent::MarksWanted { opening, lane, after } => {
                let lane = usize::from(lane.source.as_bytes()[0]);
                self.in_ms(0..10, Action::Marks { conn, opening, lane, after });
            }
            CellEvent::SchemaOffered { hash, .. } => self.in_ms(0..100, Action::SchemaStored { conn, hash }),
            CellEvent::SchemaWanted { hash } => self.in_ms(0..10, Action::SchemaRead { conn, hash }),
            CellEvent::Append { opening, frame } => self.append(conn, opening, frame),
            CellEvent::RouteReady { binding, checkpoint } => {
                let cursor = offset_after(checkpoint.map(|(_, offset)| offset));
                self.cell.cursors.insert((conn, binding), (cursor, false));
            }
            CellEvent::DeliveryWanted { binding } => self.deliver(conn, binding),
            CellEvent::Closed(closed) => self.cell_closed(conn, closed.code, &closed.to_string()),
            CellEvent::LaneClosed { .. }
            | CellEvent::RouteRefused { .. }
            | CellEvent::Delivered { .. }
            | CellEvent::Rejected(_)
            | CellEvent::Observed { .. }
            | CellEvent::Answered { .. }
            | CellEvent::RenewalWanted { .. } => {}
        }
    }

    fn append(&mut self, conn: u32, opening: u32, frame: SimFrame) {
        let now = self.instant();
        let lane = usize::from(frame.lane().source.as_bytes()[0]);
        match self.cell.log.append(frame) {
            Appended::Taken => {
                self.cell.waiting.push((conn, opening, lane));
                if !std::mem::replace(&mut self.cell.sync_planned, true) {
                    self.in_ms(1..200, Action::LogSync);
                }
            }
            Appended::Refused(fault) => {
                self.with_cell(conn, |session| session.refuse_lane(now, opening, fault, "no", "reopen"));
            }
        }
    }

    fn cell_closed(&mut self, conn: u32, code: GoodbyeCode, text: &str) {
        if code == GoodbyeCode::Violation {
            self.fail(text);
        }
        while let Some(transmit) = self.cell.sessions.get_mut(&conn).and_then(CellSession::poll_transmit) {
            self.cell_transmits(conn, transmit);
        }
        self.cell.sessions.remove(&conn);
        self.cell.wakes.remove(&conn);
        self.cell.cursors.retain(|(of, _), _| *of != conn);
        if self.cell.current == Some(conn) {
            self.cell.current = None;
        }
    }
}
