//! An agent's session that a test drives by hand, message by message.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use towpath_proto::ids;
use towpath_proto::link::cell_message::Kind;
use towpath_proto::link::{
    AgentMessage, BindRoute, CellMessage, CloseLane, Delivered, Hello, LaneRefused, OpenLane, Rejected,
    RejectedRow, RouteReady, Schema,
};
use towpath_record::{AgentId, LaneId, LogOffset, SealedFrame, StreamSchema};
use towpath_session::{CellConfig, CellSession, CellTransmit};

use super::{Bench, PATIENCE};
use crate::link::connection::Request;
use crate::link::{Owner, SessionHandle};

/// Bytes that a sink takes before it says so.
const WINDOW_BYTES: u64 = 1 << 20;

/// A session with the machine of a real one and no connection.
pub(super) struct Hand {
    machine: CellSession<SealedFrame>,
    owner: Box<dyn Owner>,
    requests: mpsc::UnboundedReceiver<Request>,
    opening: u32,
    heard: Vec<Kind>,
    delivered: Vec<(LogOffset, SealedFrame)>,
    /// How many of them the test has looked at.
    taken: usize,
}

impl Hand {
    /// An agent that is here.
    pub(super) async fn greeted(bench: &Bench, agent: AgentId) -> Self {
        let (session, requests) = SessionHandle::detached();
        let mut hand = Self {
            machine: CellSession::new(CellConfig::default(), Instant::now()),
            owner: bench.receive(agent, session),
            requests,
            opening: 0,
            heard: Vec::new(),
            delivered: Vec::new(),
            taken: 0,
        };
        hand.say(Hello { protocol_version: 1, ..Hello::default() });
        hand.hears(|kind| matches!(kind, Kind::Welcome(_)).then_some(())).await;
        hand
    }

    /// Opens a lane as an agent that has nothing does. Returns the epoch, and the number and checksum of the last frame.
    pub(super) async fn open(&mut self, lane: &LaneId) -> (u64, u64, u32) {
        self.opening += 1;
        self.say(OpenLane {
            opening: self.opening,
            source: ids::to_bytes(lane.source.as_bytes()),
            region: lane.region.to_string(),
            chain: None,
            want_marks: false,
        });
        let opening = self.opening;
        self.hears(|kind| match kind {
            Kind::LaneOpened(opened) if opened.opening == opening => {
                let last = opened.last.as_ref();
                Some((opened.epoch, last.map_or(0, |last| last.seq), last.map_or(0, |last| last.crc)))
            }
            _ => None,
        })
        .await
    }

    /// Sends a frame in the newest opening. Returns how it was refused, if it was not taken.
    pub(super) async fn send(&mut self, schema: &StreamSchema, frame: SealedFrame) -> Option<LaneRefused> {
        self.say(Schema { hash: ids::to_bytes(&schema.hash().0), canonical: schema.canonical().clone() });
        let (opening, seq) = (self.opening, frame.header().seq);
        self.machine.handle_frame(Instant::now(), opening, frame);
        self.hears(|kind| match kind {
            Kind::LaneRefused(refused) if refused.opening == opening => Some(Some(refused.clone())),
            Kind::Ack(ack) if ack.opening == opening && ack.through >= seq => Some(None),
            _ => None,
        })
        .await
    }

    /// Ends the newest opening.
    pub(super) fn close(&mut self) {
        self.say(CloseLane { opening: self.opening });
    }

    /// Takes on the next route that the cell binds, with what the sink has of it.
    pub(super) async fn bound(&mut self) -> BindRoute {
        let bound = self.hears(|kind| match kind {
            Kind::BindRoute(bound) => Some(bound.clone()),
            _ => None,
        });
        let bound = bound.await;
        let checkpoint =
            self.taken.checked_sub(1).map(|last| &self.delivered[last]).map(|(offset, _)| {
                towpath_proto::link::Checkpoint { log: bound.log.clone(), offset: offset.0 }
            });
        let binding = bound.binding;
        self.say(RouteReady { binding, checkpoint, window_bytes: WINDOW_BYTES });
        bound
    }

    /// The next frame that comes along a route, which is durable at once.
    pub(super) async fn delivery(&mut self, bound: &BindRoute) -> SealedFrame {
        let (offset, frame) = self.next_delivery().await;
        self.say(Delivered { binding: bound.binding, offset: offset.0 });
        frame
    }

    /// The next frame that comes along a route, whose first row the sink refuses for good.
    pub(super) async fn rejects_next(&mut self, bound: &BindRoute) {
        let (offset, frame) = self.next_delivery().await;
        let (header, link) = (frame.header(), frame.link());
        self.say(Rejected {
            binding: bound.binding,
            offset: offset.0,
            source: ids::to_bytes(header.lane.source.as_bytes()),
            region: header.lane.region.to_string(),
            link: Some(link.into()),
            rows: vec![RejectedRow { row: 0, reason: "it is not wanted".to_owned() }],
            more: false,
        });
    }

    /// What came along routes so far.
    pub(super) fn delivered(&self) -> impl Iterator<Item = &SealedFrame> {
        self.delivered.iter().map(|(_, frame)| frame)
    }

    /// Lets the cell do what it wants until something holds.
    pub(super) async fn until(&mut self, holds: impl Fn() -> bool) {
        let waited = async {
            while !holds() {
                self.turn();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("it comes to hold");
    }

    async fn next_delivery(&mut self) -> (LogOffset, SealedFrame) {
        let (before, begun) = (self.taken, Instant::now());
        while self.delivered.len() == before {
            assert!(begun.elapsed() < PATIENCE, "nothing comes");
            self.step().await;
        }
        self.taken += 1;
        self.delivered[before].clone()
    }

    fn say(&mut self, message: impl Into<AgentMessage>) {
        self.machine.handle_message(Instant::now(), message.into());
        self.turn();
    }

    /// Waits until the cell says something, and forgets what it said before.
    async fn hears<T>(&mut self, wanted: impl Fn(&Kind) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "the cell does not say it; it said {:?}", self.heard);
            if let Some((at, found)) =
                self.heard.iter().enumerate().find_map(|(at, kind)| Some((at, wanted(kind)?)))
            {
                self.heard.drain(..=at);
                return found;
            }
            self.step().await;
        }
    }

    async fn step(&mut self) {
        self.turn();
        let request = tokio::time::timeout(Duration::from_millis(10), self.requests.recv());
        if let Ok(Some(request)) = request.await {
            request(&mut self.machine, Instant::now());
        }
        self.turn();
    }

    fn turn(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            request(&mut self.machine, Instant::now());
        }
        loop {
            let mut idle = true;
            while let Some(event) = self.machine.poll_event() {
                self.owner.handle(event);
                idle = false;
            }
            while let Some(transmit) = self.machine.poll_transmit() {
                self.transmit(transmit);
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    fn transmit(&mut self, transmit: CellTransmit<SealedFrame>) {
        match transmit {
            CellTransmit::Message(CellMessage { kind }) => self.heard.extend(kind),
            CellTransmit::Delivery { binding, offset, frame } => {
                self.machine.handle_written(Instant::now(), binding);
                self.delivered.push((offset, frame));
            }
            CellTransmit::EndLane { .. } | CellTransmit::EndRoute { .. } => {}
            CellTransmit::Close { reason, .. } => panic!("the cell ends the session: {reason}"),
        }
    }
}
