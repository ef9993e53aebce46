//! What one side may not do, and how the other takes it.

mod questions;

use std::time::{Duration, Instant};

use bytes::Bytes;
use towpath_proto::ids;
use towpath_proto::link::cell_message::Kind;
use towpath_proto::link::{
    Ack, AgentMessage, CellMessage, CloseLane, Desired, Goodbye, Heartbeat, Hello, LaneOpened, OpenLane,
    RouteCredit, Schema, Welcome,
};
use towpath_record::{
    Column, ColumnType, LaneId, Link, LogId, LogOffset, Position, RegionName, RouteId, SchemaHash, SinkId,
    SourceId, StreamName, StreamSchema,
};
use towpath_session::limits::{HEARTBEAT, MAX_LANES, SILENT_HEARTBEATS};
use towpath_session::{
    AgentConfig, AgentEvent, AgentSession, AgentTransmit, Cast, CastOrder, CellConfig, CellEvent,
    CellSession, CellTransmit, Chain, Closed, Frame, GoodbyeCode, Inconsistency, LaneFault, Party,
};

#[derive(Clone, PartialEq, Debug)]
struct Sealed {
    lane: LaneId,
    link: Link,
    prev_crc: u32,
    bytes: u64,
}

impl Frame for Sealed {
    fn lane(&self) -> &LaneId {
        &self.lane
    }
    fn link(&self) -> Link {
        self.link
    }
    fn prev_crc(&self) -> u32 {
        self.prev_crc
    }
    fn schema(&self) -> SchemaHash {
        SchemaHash([7; 32])
    }
    fn wire_bytes(&self) -> u64 {
        self.bytes
    }
}

fn lane(n: u32) -> LaneId {
    let mut source = [0; 16];
    source[..4].copy_from_slice(&n.to_le_bytes());
    LaneId { source: SourceId::from_bytes(source), region: RegionName::main() }
}

/// The checksum of a frame is its number times ten.
fn frame(of: u32, epoch: u64, seq: u64, bytes: u64) -> Sealed {
    let crc = |seq: u64| seq as u32 * 10;
    Sealed { lane: lane(of), link: Link { epoch, seq, crc: crc(seq) }, prev_crc: crc(seq - 1), bytes }
}

fn open(opening: u32, of: u32) -> OpenLane {
    OpenLane {
        opening,
        source: ids::to_bytes(lane(of).source.as_bytes()),
        region: "main".into(),
        chain: None,
        want_marks: false,
    }
}

struct Cell {
    now: Instant,
    machine: CellSession<Sealed>,
}

impl Cell {
    /// A cell whose agent was not heard yet.
    fn listening() -> Self {
        let now = Instant::now();
        let config = CellConfig { lane_window_bytes: 10_000, ..CellConfig::default() };
        Self { now, machine: CellSession::new(config, now) }
    }

    fn open() -> Self {
        let mut cell = Self::listening();
        cell.say(Hello { protocol_version: 1, ..Hello::default() });
        cell.machine.welcome(cell.now, 0);
        cell.drain();
        cell
    }

    /// A cell with lane 1 in opening 1.
    fn with_lane() -> Self {
        let mut cell = Self::open();
        cell.say(open(1, 1));
        cell.machine.handle_lane_opened(cell.now, 1, 1, None, Position::default(), false);
        cell.say(Schema { hash: ids::to_bytes(&[7; 32]), canonical: Bytes::new() });
        cell.machine.handle_schema_stored(cell.now, SchemaHash([7; 32]));
        cell.drain();
        cell
    }

    fn say(&mut self, message: impl Into<AgentMessage>) {
        self.machine.handle_message(self.now, message.into());
    }

    fn drain(&mut self) -> Vec<CellEvent<Sealed>> {
        while self.machine.poll_transmit().is_some() {}
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    /// How the session ended, which it must have.
    fn closed(&mut self) -> Closed {
        let transmits: Vec<_> = std::iter::from_fn(|| self.machine.poll_transmit()).collect();
        assert!(matches!(transmits.last(), Some(CellTransmit::Close { .. })), "{transmits:?}");
        match self.drain().pop() {
            Some(CellEvent::Closed(closed)) => closed,
            other => panic!("{other:?} instead of an end"),
        }
    }

    #[track_caller]
    fn assert_violated(&mut self, naming: &str) {
        let closed = self.closed();
        assert_eq!((closed.by, closed.code), (Party::Us, GoodbyeCode::Violation));
        assert!(closed.reason.contains(naming), "{}", closed.reason);
    }
}

#[test]
fn an_agent_that_does_not_greet_first_is_cut_off() {
    let mut cell = Cell::listening();
    cell.say(open(1, 1));
    cell.assert_violated("before Welcome");
}

#[test]
fn an_agent_that_greets_twice_is_cut_off() {
    let mut cell = Cell::open();
    cell.say(Hello { protocol_version: 1, ..Hello::default() });
    cell.assert_violated("a second time");
}

#[test]
fn an_agent_of_another_protocol_is_told_to_upgrade() {
    let mut cell = Cell::listening();
    cell.say(Hello { protocol_version: 2, ..Hello::default() });
    let closed = cell.closed();
    assert_eq!(closed.code, GoodbyeCode::Version);
    assert!(closed.remedy.contains("upgrade"));
}

#[test]
fn an_agent_that_never_greets_is_given_up() {
    let mut cell = Cell::listening();
    let due = cell.machine.poll_timeout().expect("it waits for the hello");
    cell.machine.handle_timeout(due);
    assert_eq!(cell.closed().code, GoodbyeCode::Silent);
}

#[test]
fn frames_of_a_lane_that_was_never_agreed_cut_the_agent_off() {
    let mut cell = Cell::with_lane();
    cell.machine.handle_frame(cell.now, 2, frame(1, 1, 1, 10));
    cell.assert_violated("opening 2 was never agreed");
}

#[test]
fn frames_before_the_lane_is_granted_cut_the_agent_off() {
    let mut cell = Cell::open();
    cell.say(open(1, 1));
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 10));
    cell.assert_violated("before it was opened");
}

#[test]
fn a_frame_of_another_source_cuts_the_agent_off() {
    let mut cell = Cell::with_lane();
    cell.machine.handle_frame(cell.now, 1, frame(2, 1, 1, 10));
    cell.assert_violated(&lane(2).to_string());
}

#[test]
fn a_frame_out_of_order_cuts_the_agent_off() {
    let mut cell = Cell::with_lane();
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 10));
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 3, 10));
    cell.assert_violated("frame 3");
}

#[test]
fn an_agent_that_exceeds_its_window_is_cut_off_and_the_window_is_named() {
    let mut cell = Cell::with_lane();
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 8_000));
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 2, 8_000));
    cell.assert_violated("its window is 10000");
}

#[test]
fn one_frame_larger_than_the_window_may_travel_alone() {
    let mut cell = Cell::with_lane();
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 80_000));
    assert_eq!(cell.drain(), [CellEvent::Append { opening: 1, frame: frame(1, 1, 1, 80_000) }]);
    cell.machine.handle_durable(cell.now, 1, frame(1, 1, 1, 0).link);
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 2, 80_000));
    assert_eq!(cell.drain().len(), 1);
}

#[test]
fn an_opening_is_numbered_anew_each_time() {
    let mut cell = Cell::with_lane();
    cell.say(open(1, 2));
    cell.assert_violated("opening 1 was used before");
}

#[test]
fn a_lane_is_not_open_twice_at_once() {
    let mut cell = Cell::with_lane();
    cell.say(open(2, 1));
    cell.assert_violated("is open already");
}

#[test]
fn one_lane_too_many_is_refused_and_the_others_stay() {
    let mut cell = Cell::open();
    for n in 1..=MAX_LANES as u32 + 1 {
        cell.say(open(n, n));
    }
    let refused: Vec<_> = std::iter::from_fn(|| cell.machine.poll_transmit())
        .filter_map(|transmit| match transmit {
            CellTransmit::Message(CellMessage { kind: Some(Kind::LaneRefused(refused)) }) => Some(refused),
            _ => None,
        })
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].opening, refused[0].fault()), (MAX_LANES as u32 + 1, LaneFault::Limit));
    let requested = cell.drain().len();
    assert_eq!(requested, MAX_LANES);
}

#[test]
fn what_is_said_of_a_lane_that_just_ended_is_ignored() {
    let mut cell = Cell::with_lane();
    cell.machine.refuse_lane(cell.now, 1, LaneFault::Gap, "a frame is missing", "");
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 10));
    cell.say(CloseLane { opening: 1 });
    assert_eq!(cell.drain(), []);
    cell.say(open(2, 1));
    assert_eq!(cell.drain().len(), 1);
}

#[test]
fn a_frame_waits_for_its_schema_and_a_schema_that_never_comes_cuts_the_agent_off() {
    let mut cell = Cell::open();
    cell.say(open(1, 1));
    cell.machine.handle_lane_opened(cell.now, 1, 1, None, Position::default(), false);
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 10));
    let appends = |events: &[CellEvent<Sealed>]| {
        events.iter().filter(|event| matches!(event, CellEvent::Append { .. })).count()
    };
    assert_eq!(appends(&cell.drain()), 0);
    let mut late = cell.now;
    for n in 0..10 {
        late += HEARTBEAT;
        cell.machine.handle_message(late, Heartbeat { n }.into());
        cell.machine.handle_timeout(late);
    }
    cell.assert_violated("was used and never said");
}

#[test]
fn a_refused_schema_refuses_the_lanes_that_use_it() {
    let mut cell = Cell::open();
    cell.say(open(1, 1));
    cell.machine.handle_lane_opened(cell.now, 1, 1, None, Position::default(), false);
    cell.machine.handle_frame(cell.now, 1, frame(1, 1, 1, 10));
    cell.say(Schema { hash: ids::to_bytes(&[7; 32]), canonical: Bytes::new() });
    cell.drain();
    cell.machine.handle_schema_refused(cell.now, SchemaHash([7; 32]), "a key column is gone", "declare it");
    let Some(CellTransmit::Message(CellMessage { kind: Some(Kind::LaneRefused(refused)) })) =
        std::iter::from_fn(|| cell.machine.poll_transmit()).find(|it| matches!(it, CellTransmit::Message(_)))
    else {
        panic!("the lane was not refused")
    };
    assert_eq!((refused.fault(), &*refused.remedy), (LaneFault::Schema, "declare it"));
}

#[test]
fn credit_that_was_never_used_cannot_be_given_back() {
    let mut cell = Cell::open();
    let (route, sink, log) = ([1; 16], [2; 16], [3; 16]);
    let binding = cell
        .machine
        .bind_route(
            cell.now,
            RouteId::from_bytes(route),
            0,
            SinkId::from_bytes(sink),
            LogId::from_bytes(log),
            &[],
        )
        .expect("the session is open");
    let window_bytes = 1_000;
    cell.say(towpath_proto::link::RouteReady { binding, checkpoint: None, window_bytes });
    cell.say(RouteCredit { binding, bytes: 1 });
    cell.assert_violated("1 bytes where 0 were used");
}

#[test]
fn a_kind_of_message_from_a_later_version_is_ignored() {
    let mut cell = Cell::open();
    cell.machine.handle_message(cell.now, AgentMessage { kind: None });
    assert_eq!(cell.drain(), []);
}

struct Agent {
    now: Instant,
    machine: AgentSession<Sealed>,
}

impl Agent {
    fn greeting() -> Self {
        let now = Instant::now();
        Self { now, machine: AgentSession::new(AgentConfig::default(), now) }
    }

    fn open() -> Self {
        let mut agent = Self::greeting();
        agent.hear(Welcome { heartbeat_ms: 5_000, ..Welcome::default() });
        agent.drain();
        agent
    }

    /// An agent that holds frames 1 to 9 of lane 1, and asked for it as opening 1.
    fn with_lane() -> Self {
        let mut agent = Self::open();
        let chain = Chain { epoch: 1, first: 1, prev_crc: 0, tail: Some(frame(1, 1, 9, 0).link) };
        agent.machine.open_lane(agent.now, &lane(1), Some(chain), false);
        agent.drain();
        agent
    }

    fn hear(&mut self, message: impl Into<CellMessage>) {
        self.machine.handle_message(self.now, message.into());
    }

    fn opened(&mut self, last: Option<Link>) {
        let (last, window_bytes) = (last.map(Into::into), 10_000);
        self.hear(LaneOpened { opening: 1, epoch: 1, last, window_bytes, ..LaneOpened::default() });
    }

    fn drain(&mut self) -> Vec<AgentEvent<Sealed>> {
        while self.machine.poll_transmit().is_some() {}
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    #[track_caller]
    fn assert_violated(&mut self, naming: &str) {
        let transmits: Vec<_> = std::iter::from_fn(|| self.machine.poll_transmit()).collect();
        assert!(matches!(transmits.last(), Some(AgentTransmit::Close { .. })), "{transmits:?}");
        match self.drain().pop() {
            Some(AgentEvent::Closed(closed)) => {
                assert_eq!(closed.code, GoodbyeCode::Violation);
                assert!(closed.reason.contains(naming), "{}", closed.reason);
            }
            other => panic!("{other:?} instead of an end"),
        }
    }
}

#[test]
fn a_cell_that_does_not_welcome_first_is_left() {
    let mut agent = Agent::greeting();
    agent.hear(Desired::default());
    agent.assert_violated("before Welcome");
}

#[test]
fn a_cell_that_acknowledges_what_was_never_sent_is_left() {
    let mut agent = Agent::with_lane();
    agent.opened(None);
    agent.hear(Ack { opening: 1, through: 5, last: None });
    agent.assert_violated("frame 5 of opening 1 was acknowledged and never sent");
}

#[test]
fn a_cell_that_speaks_of_an_opening_that_was_never_asked_for_is_left() {
    let mut agent = Agent::with_lane();
    agent.hear(Ack { opening: 2, through: 0, last: None });
    agent.assert_violated("opening 2 was never agreed");
}

#[test]
fn a_delivery_before_the_sink_is_open_or_out_of_order_is_not_taken() {
    let bind = || towpath_proto::link::BindRoute {
        binding: 1,
        route: ids::to_bytes(&[1; 16]),
        replay: 0,
        sink: ids::to_bytes(&[2; 16]),
        log: ids::to_bytes(&[3; 16]),
        casts: Vec::new(),
    };
    let mut early = Agent::open();
    early.hear(bind());
    early.machine.handle_delivery(early.now, 1, LogOffset(1), frame(1, 1, 1, 10));
    early.assert_violated("before the route was ready");

    let mut backwards = Agent::open();
    backwards.hear(bind());
    let checkpoint = Some((LogId::from_bytes([3; 16]), LogOffset(8)));
    backwards.machine.route_ready(backwards.now, 1, checkpoint);
    backwards.machine.handle_delivery(backwards.now, 1, LogOffset(8), frame(1, 1, 1, 10));
    backwards.assert_violated("offset 8 came on binding 1 after offset 8");
}

#[test]
fn nothing_is_trimmed_for_a_log_that_only_says_it_has_our_frames() {
    let mut agent = Agent::with_lane();
    let others = Link { crc: 999, ..frame(1, 1, 4, 0).link };
    agent.opened(Some(others));
    let events = agent.drain();
    assert!(!events.iter().any(|event| matches!(event, AgentEvent::Acknowledged { .. })), "{events:?}");
    agent.machine.handle_frame(agent.now, 1, frame(1, 1, 5, 10));
    let cause = Inconsistency::Diverged { seq: 4 };
    assert_eq!(agent.drain(), [AgentEvent::LaneBroken { lane: lane(1), cause }]);
}

#[test]
fn what_the_log_had_before_is_trimmed_once_the_next_frame_proves_it_is_ours() {
    let mut agent = Agent::with_lane();
    agent.opened(Some(frame(1, 1, 4, 0).link));
    agent.drain();
    agent.machine.handle_frame(agent.now, 1, frame(1, 1, 5, 10));
    let proved = AgentEvent::Acknowledged { lane: lane(1), link: frame(1, 1, 4, 0).link };
    assert!(agent.drain().contains(&proved));
}

#[test]
fn an_acknowledgement_with_another_checksum_breaks_the_lane_instead_of_trimming_it() {
    let mut agent = Agent::with_lane();
    agent.opened(None);
    agent.drain();
    agent.machine.handle_frame(agent.now, 1, frame(1, 1, 1, 10));
    agent.machine.handle_schema(agent.now, SchemaHash([7; 32]), Some(Bytes::new()));
    agent.drain();
    let other = Link { crc: 999, ..frame(1, 1, 1, 0).link };
    agent.hear(Ack { opening: 1, through: 1, last: Some(other.into()) });
    let cause = Inconsistency::Diverged { seq: 1 };
    assert!(agent.drain().contains(&AgentEvent::LaneBroken { lane: lane(1), cause }));
}

#[test]
fn a_lane_whose_schema_is_lost_is_broken_and_named() {
    let mut agent = Agent::with_lane();
    agent.opened(None);
    agent.machine.handle_frame(agent.now, 1, frame(1, 1, 1, 10));
    agent.drain();
    agent.machine.handle_schema(agent.now, SchemaHash([7; 32]), None);
    let events = agent.drain();
    let lost = |event: &AgentEvent<Sealed>| {
        matches!(event, AgentEvent::LaneBroken { cause: Inconsistency::SchemaLost { seq: 1, .. }, .. })
    };
    assert!(events.iter().any(lost), "{events:?}");
}

#[test]
fn a_silent_peer_is_given_up_and_a_quiet_one_that_beats_is_not() {
    let (mut agent, mut cell) = (Agent::open(), Cell::open());
    let mut now = agent.now.max(cell.now);
    for n in 0..20 {
        now += HEARTBEAT;
        agent.machine.handle_message(now, Heartbeat { n }.into());
        cell.machine.handle_message(now, Heartbeat { n }.into());
        agent.machine.handle_timeout(now);
        cell.machine.handle_timeout(now);
        let beats = std::iter::from_fn(|| agent.machine.poll_transmit()).count();
        assert_eq!((beats, std::iter::from_fn(|| cell.machine.poll_transmit()).count()), (1, 1));
    }
    now += HEARTBEAT * SILENT_HEARTBEATS + Duration::from_millis(1);
    agent.machine.handle_timeout(now);
    cell.machine.handle_timeout(now);
    assert_eq!(cell.closed().code, GoodbyeCode::Silent);
    let silent = |event: &AgentEvent<Sealed>| {
        matches!(event, AgentEvent::Closed(Closed { code: GoodbyeCode::Silent, .. }))
    };
    assert!(agent.drain().iter().any(silent));
}

#[test]
fn after_a_goodbye_nothing_more_is_said_or_heard() {
    let mut agent = Agent::with_lane();
    agent.hear(Goodbye { code: GoodbyeCode::Revoked.into(), ..Goodbye::default() });
    let transmits: Vec<_> = std::iter::from_fn(|| agent.machine.poll_transmit()).collect();
    assert!(
        matches!(transmits[..], [AgentTransmit::Close { code: GoodbyeCode::Revoked, .. }]),
        "{transmits:?}"
    );
    assert_eq!(agent.drain().len(), 1);
    agent.hear(Desired::default());
    agent.machine.observe(agent.now, 1, Bytes::new());
    assert_eq!((agent.drain(), agent.machine.poll_timeout()), (vec![], None));
}

fn columns_of(name: &str) -> StreamSchema {
    StreamSchema::new(vec![Column::nullable(name, ColumnType::Int64)], Vec::new()).expect("the name is plain")
}

fn order(to: &StreamSchema) -> CastOrder {
    let stream = StreamName::new("erp.orders").expect("the name is plain");
    CastOrder { source: SourceId::from_bytes([5; 16]), stream, from: SchemaHash([9; 32]), to: to.clone() }
}

#[test]
fn a_schema_that_is_cast_to_is_said_once_and_before_the_route_is_bound() {
    let mut cell = Cell::open();
    let mut bind = |casts: &[CastOrder]| {
        let (route, sink) = (RouteId::from_bytes([1; 16]), SinkId::from_bytes([2; 16]));
        cell.machine
            .bind_route(cell.now, route, 0, sink, LogId::from_bytes([3; 16]), casts)
            .expect("it is open");
        let mut said = Vec::new();
        while let Some(transmit) = cell.machine.poll_transmit() {
            if let CellTransmit::Message(message) = transmit {
                said.push(message);
            }
        }
        said
    };
    let to = columns_of("n");
    let first = bind(&[order(&to), order(&to)]);
    let again = bind(&[order(&to)]);
    assert_eq!((first.len(), again.len()), (2, 1), "{first:?} {again:?}");

    let mut agent = Agent::open();
    for message in first {
        agent.machine.handle_message(agent.now, message);
    }
    let mut events = std::iter::from_fn(|| agent.machine.poll_event());
    let bound = events.find_map(|event| match event {
        AgentEvent::RouteBound { casts, .. } => Some(casts),
        _ => None,
    });
    let CastOrder { source, stream, from, .. } = order(&to);
    assert_eq!(bound, Some(vec![Cast { source, stream, from, to: to.hash() }; 2]));
}

#[test]
fn a_cast_to_a_schema_that_was_never_said_is_not_taken() {
    let mut agent = Agent::open();
    let cast = towpath_proto::link::Cast {
        source: ids::to_bytes(&[5; 16]),
        stream: "erp.orders".to_owned(),
        from: ids::to_bytes(&[9; 32]),
        to: ids::to_bytes(&[8; 32]),
    };
    agent.hear(towpath_proto::link::BindRoute {
        binding: 1,
        route: ids::to_bytes(&[1; 16]),
        replay: 0,
        sink: ids::to_bytes(&[2; 16]),
        log: ids::to_bytes(&[3; 16]),
        casts: vec![cast],
    });
    agent.assert_violated("was used and never said");
}
