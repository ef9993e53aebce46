//! The link against a small cell on loopback: real QUIC, real TLS, frames and log in memory.

mod cell;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use towpath_record::{LogId, LogOffset};
use towpath_session::{BackoffConfig, GoodbyeCode, Inconsistency};

use super::{Dialer, LaneEvent, LaneHandle, LinkConfig, LinkEvent, LinkHandle, start};
use cell::TestCell;
use memory::{MemoryFrames, OneSchema, lane};

const PATIENCE: Duration = Duration::from_secs(20);

struct Agent {
    link: LinkHandle,
    events: mpsc::UnboundedReceiver<LinkEvent>,
    stop: CancellationToken,
}

fn agent(cell: &TestCell) -> Agent {
    let tls = cell.agent_tls();
    let dialer = Dialer::new(cell.address(), cell::SERVER_NAME, move || tls.clone());
    let backoff = BackoffConfig {
        first: Duration::from_millis(5),
        max: Duration::from_millis(20),
        ..Default::default()
    };
    let config =
        LinkConfig { agent_version: "0.0.1".into(), adapters: vec!["file".into()], backoff, seed: 7 };
    let stop = CancellationToken::new();
    let (link, events, _) = start(dialer, config, Arc::new(OneSchema), stop.clone());
    Agent { link, events, stop }
}

impl Agent {
    async fn event(&mut self) -> LinkEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the link lives")
    }

    async fn disconnected(&mut self) -> (GoodbyeCode, Option<Duration>) {
        loop {
            if let LinkEvent::Disconnected { closed, retry_in } = self.event().await {
                return (closed.code, retry_in);
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn next(lane: &mut LaneHandle) -> LaneEvent {
    timeout(PATIENCE, lane.next()).await.expect("a lane event in time").expect("the link lives")
}

async fn acknowledged_through(lane: &mut LaneHandle, frames: &MemoryFrames, seq: u64) {
    loop {
        if let LaneEvent::Acknowledged(link) = next(lane).await {
            frames.trim_through(link.seq);
            if link.seq == seq {
                return;
            }
        }
    }
}

/// Opens a lane that holds nothing yet and lets it begin.
async fn begin(agent: &Agent, frames: &Arc<MemoryFrames>) -> LaneHandle {
    let mut lane = agent.link.open_lane(lane(), frames.clone(), false);
    match next(&mut lane).await {
        LaneEvent::Granted(grant) => frames.begin(grant.epoch, grant.last),
        other => panic!("{other:?} came before a grant"),
    }
    lane
}

#[tokio::test]
async fn a_thousand_frames_arrive_in_order_and_are_acknowledged() {
    let cell = TestCell::start();
    let agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    frames.seal(1_000, 3_000);
    acknowledged_through(&mut lane, &frames, 1_000).await;
    assert_eq!(cell.sequence(), (1..=1_000).collect::<Vec<u64>>());
}

#[tokio::test]
async fn frames_larger_than_the_window_pass_one_by_one() {
    let cell = TestCell::start();
    let agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    frames.seal(3, 9 << 20);
    acknowledged_through(&mut lane, &frames, 3).await;
    assert_eq!(cell.sequence(), [1, 2, 3]);
}

#[tokio::test]
async fn a_transfer_survives_a_change_of_address_without_a_new_session() {
    let cell = TestCell::start();
    let agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    let before = cell.peer_addresses();
    for _ in 0..5 {
        frames.seal(100, 20_000);
        agent.link.rebind();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    acknowledged_through(&mut lane, &frames, 500).await;
    assert_eq!(cell.sequence(), (1..=500).collect::<Vec<u64>>());
    assert_eq!(cell.sessions(), 1);
    assert_ne!(cell.peer_addresses(), before, "the address never changed, so nothing was shown");
}

#[tokio::test]
async fn after_a_lost_connection_a_lane_goes_on_behind_the_last_durable_frame() {
    let cell = TestCell::start();
    let agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    for round in 1..=5 {
        frames.seal(200, 5_000);
        tokio::time::sleep(Duration::from_millis(5)).await;
        cell.cut_all(GoodbyeCode::Unavailable);
        acknowledged_through(&mut lane, &frames, round * 200).await;
    }
    assert_eq!(cell.sequence(), (1..=1_000).collect::<Vec<u64>>());
    assert!(cell.sessions() > 1);
}

#[tokio::test]
async fn a_lane_that_is_closed_and_opened_again_at_once_is_granted_one_epoch() {
    let cell = TestCell::start();
    let agent = agent(&cell);
    for round in 1..=50 {
        drop(agent.link.open_lane(lane(), MemoryFrames::new(), false));
        let frames = MemoryFrames::new();
        let mut lane = begin(&agent, &frames).await;
        frames.seal(3, 1_000);
        acknowledged_through(&mut lane, &frames, 3 * round).await;
    }
    assert_eq!(cell.sequence(), (1..=150).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_lane_whose_log_lost_what_was_trimmed_is_broken_and_begins_anew() {
    let cell = TestCell::start();
    let agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    frames.seal(20, 1_000);
    acknowledged_through(&mut lane, &frames, 20).await;
    cell.lose_log();
    cell.cut_all(GoodbyeCode::Unavailable);
    let cause = loop {
        match next(&mut lane).await {
            LaneEvent::Broken(cause) => break cause,
            LaneEvent::Acknowledged(link) => assert!(link.seq <= 20),
            other => panic!("{other:?} came where the lane should break"),
        }
    };
    assert_eq!(cause, Inconsistency::Epoch { held: 1, granted: 0 });
    frames.reset();
    lane.begin_anew(true);
    let LaneEvent::Granted(grant) = next(&mut lane).await else { panic!("the lane was not granted") };
    assert_eq!((grant.fresh, grant.epoch, grant.last, grant.marks), (true, 1, None, Some(vec![])));
    frames.begin(grant.epoch, grant.last);
    frames.seal(5, 1_000);
    acknowledged_through(&mut lane, &frames, 5).await;
}

#[tokio::test]
async fn a_revoked_agent_is_cut_off_and_does_not_dial_again() {
    let cell = TestCell::start();
    let mut agent = agent(&cell);
    let frames = MemoryFrames::new();
    let _lane = begin(&agent, &frames).await;
    cell.cut_all(GoodbyeCode::Revoked);
    assert_eq!(agent.disconnected().await, (GoodbyeCode::Revoked, None));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(cell.sessions(), 1);
}

#[tokio::test]
async fn a_superseded_agent_waits_before_it_dials_again() {
    let cell = TestCell::start();
    let mut agent = agent(&cell);
    assert!(matches!(agent.event().await, LinkEvent::Connected { .. }));
    cell.cut_all(GoodbyeCode::Superseded);
    let (code, retry_in) = agent.disconnected().await;
    assert_eq!(code, GoodbyeCode::Superseded);
    assert!(retry_in.expect("it tries again") >= Duration::from_secs(10));
}

#[tokio::test]
async fn a_route_brings_frames_in_order_and_rejections_wait_until_they_are_stored() {
    let cell = TestCell::start();
    let mut agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    frames.seal(50, 2_000);
    acknowledged_through(&mut lane, &frames, 50).await;
    cell.bind_route();
    let mut route = loop {
        if let LinkEvent::RouteBound(route) = agent.event().await {
            break route;
        }
    };
    let reporter = route.reporter();
    reporter.ready(Some((route.binding().log, LogOffset(10))));
    for offset in 11..=50 {
        let frame = timeout(PATIENCE, route.next()).await.expect("a frame in time").expect("the route lives");
        assert_eq!(frame.offset, LogOffset(offset));
        assert_eq!(frame.schema, *memory::schema());
        reporter.taken(frame.frame.bytes().len());
        if offset == 20 {
            let rows = vec![(0, "the amount is negative".to_owned())];
            let (lane, link) = (frame.frame.header().lane.clone(), frame.frame.link());
            reporter.reject(frame.offset, lane, link, rows).await.expect("they are stored");
            assert_eq!(cell.rejected(), [(LogOffset(20), 0)]);
        }
    }
    reporter.durable(LogOffset(50));
    cell.wait_until(|cell| cell.delivered() == Some(LogOffset(50))).await;
    cell.cut_all(GoodbyeCode::Unavailable);
    assert!(timeout(PATIENCE, route.next()).await.expect("the route ends in time").is_none());
}

#[tokio::test]
async fn a_route_begins_at_the_start_of_a_log_that_the_sink_does_not_know() {
    let cell = TestCell::start();
    let mut agent = agent(&cell);
    let frames = MemoryFrames::new();
    let mut lane = begin(&agent, &frames).await;
    frames.seal(3, 100);
    acknowledged_through(&mut lane, &frames, 3).await;
    cell.bind_route();
    let mut route = loop {
        if let LinkEvent::RouteBound(route) = agent.event().await {
            break route;
        }
    };
    route.reporter().ready(Some((LogId::from_bytes([0xee; 16]), LogOffset(1_000))));
    let first = timeout(PATIENCE, route.next()).await.expect("a frame in time").expect("the route lives");
    assert_eq!(first.offset, LogOffset(1));
}

#[tokio::test]
async fn what_the_agent_observes_is_said_again_on_every_connection() {
    let cell = TestCell::start();
    let mut agent = agent(&cell);
    agent.link.observe(4, Bytes::from_static(b"{}"));
    assert!(matches!(agent.event().await, LinkEvent::Connected { .. }));
    cell.wait_until(|cell| cell.observed() == [4]).await;
    cell.cut_all(GoodbyeCode::Unavailable);
    cell.wait_until(|cell| cell.observed() == [4, 4]).await;
}

#[tokio::test]
async fn an_agent_that_stops_says_goodbye() {
    let cell = TestCell::start();
    let mut agent = agent(&cell);
    assert!(matches!(agent.event().await, LinkEvent::Connected { .. }));
    agent.stop.cancel();
    cell.wait_until(|cell| cell.farewells() == [GoodbyeCode::Shutdown]).await;
}
