//! What flows, as the API shows it.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use jiff::Timestamp;
use serde_json::json;
use tower::ServiceExt;
use towpath_record::{AgentId, SourceId, StreamName};
use towpath_resource::api::fleet::{BreakerState, Lag};
use towpath_resource::observed::{
    Backlog, Condition, Observed, ObservedSink, ObservedSource, SinkGuarantee, Trouble,
};

use super::fixture::{Fixture, TOKEN, name};
use crate::service::plane::{AgentPresence, Letter, RouteFlow, Snapshot, SourceFlow, StreamFlow};

fn stream(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

/// The agent is here and all is well.
fn all_well(fixture: &Fixture, agent: AgentId) -> Snapshot {
    let state = fixture.catalog.state();
    let (source, sink, route) =
        (state.sources[&name("erp")].id, state.sinks[&name("crm")].id, state.routes[&name("orders")].id);
    let observed = Observed {
        generation: state.desired_generation(agent),
        version: "0.1.0".into(),
        sources: vec![ObservedSource {
            id: source,
            condition: Condition::Running,
            trouble: None,
            records: 10,
            bytes: 900,
            dead_letters: 2,
            last_record_at: None,
            backlog: Backlog { frames: 1, records: 3, bytes: 200, oldest_at: Some(Timestamp::UNIX_EPOCH) },
        }],
        sinks: vec![ObservedSink {
            id: sink,
            condition: Condition::Running,
            trouble: None,
            guarantee: SinkGuarantee::ExactlyOnce,
            routes: Vec::new(),
        }],
        ..Observed::default()
    };
    let mut snapshot = Snapshot::default();
    let now = Timestamp::now();
    let presence =
        AgentPresence { connected_since: Some(now), address: None, observed: Some((now, observed)) };
    snapshot.agents.insert(agent, presence);
    snapshot.sources.insert(source, SourceFlow { records: 7, bytes: 700, ..SourceFlow::default() });
    let lag = Lag { records: 4, bytes: 400, seconds: 1.5 };
    snapshot.routes.insert(route, RouteFlow { records: 3, bytes: 300, lag, ..RouteFlow::default() });
    let flow = StreamFlow { records: 7, sources: BTreeSet::from([source]), ..StreamFlow::default() };
    snapshot.streams.insert(stream("erp.orders"), flow);
    snapshot.streams.insert(stream("hr.people"), StreamFlow::default());
    snapshot
}

#[tokio::test]
async fn a_route_is_described_from_end_to_end() {
    let (fixture, agent) = Fixture::furnished().await;
    *fixture.plane.snapshot.lock() = all_well(&fixture, agent);
    let described = fixture.get("/v1/routes/orders/describe").await.json();
    assert_eq!(described["streams"].as_array().unwrap().len(), 1);
    assert_eq!(described["streams"][0]["feeders"], json!([{ "source": "erp", "agent": "plant-1" }]));
    assert_eq!(described["sources"][0]["backlog"]["records"], 3);
    assert_eq!(described["guarantee"], "exactly_once");
    assert!(described["guarantee_text"][1].as_str().unwrap().contains("erp is released when spooled"));
    assert_eq!(described["status"]["lag"], json!({ "records": 4, "bytes": 400, "seconds": 1.5 }));
    assert_eq!(described["status"]["condition"], "running");
}

#[tokio::test]
async fn what_is_wrong_is_shown_where_it_is_and_where_it_matters() {
    let (fixture, agent) = Fixture::furnished().await;
    let status = fixture.get("/v1/status").await.json();
    assert_eq!(status["agents"][0]["connected"], false);
    for part in ["sources", "sinks", "routes"] {
        let said = status[part][0]["trouble"]["message"].as_str().unwrap();
        assert_eq!(said, "agent plant-1 is not connected", "{part}");
    }

    let mut snapshot = all_well(&fixture, agent);
    let trouble =
        Trouble { message: "sink crm: database is locked".into(), remedy: "close it".into(), since: None };
    for flow in snapshot.routes.values_mut() {
        (flow.breaker, flow.failures, flow.trouble) = (BreakerState::Open, 5, Some(trouble.clone()));
    }
    *fixture.plane.snapshot.lock() = snapshot;
    let status = fixture.get("/v1/status").await.json();
    assert_eq!(status["sources"][0]["condition"], "running");
    assert_eq!(status["routes"][0]["condition"], "waiting");
    assert_eq!(status["routes"][0]["breaker"], "open");
    assert_eq!(status["routes"][0]["trouble"]["remedy"], "close it");

    fixture.post("/v1/agents/plant-1/revoke", "").await;
    let status = fixture.get("/v1/status").await.json();
    assert_eq!(status["agents"][0]["condition"], "failed");
    assert!(status["sources"][0]["trouble"]["message"].as_str().unwrap().contains("is revoked"));
}

#[tokio::test]
async fn a_replay_is_ordered_and_counted() {
    let (fixture, _) = Fixture::furnished().await;
    let replayed = fixture.post("/v1/routes/orders/replay", r#"{"from": {"offset": 12}}"#).await.json();
    assert_eq!(replayed, json!({ "route": "orders", "from": { "offset": 12 }, "replay": 1 }));
    assert!(
        fixture
            .post("/v1/routes/orders/replay", r#"{"from": "erliest"}"#)
            .await
            .problem(422)
            .contains("`earliest`?")
    );
    assert!(
        fixture
            .post("/v1/routes/order/replay", r#"{"from": "latest"}"#)
            .await
            .problem(404)
            .contains("`orders`?")
    );
}

#[tokio::test]
async fn a_stream_is_read_as_lines_up_to_the_limit_and_an_early_end_is_explained() {
    let (fixture, agent) = Fixture::furnished().await;
    *fixture.plane.snapshot.lock() = all_well(&fixture, agent);
    let listed = fixture.get("/v1/streams").await.json();
    assert_eq!(listed["items"][0]["routes"], json!(["orders"]));
    assert_eq!(listed["items"][1]["routes"], json!([]));
    let lines = |text: &str| {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let first = fixture.get("/v1/streams/erp.orders/records").await;
    assert_eq!((first.content_type.as_str(), lines(&first.text).len()), ("application/x-ndjson", 100));
    let all = lines(&fixture.get("/v1/streams/erp.orders/records?from=earliest&limit=1000").await.text);
    assert_eq!((all.len(), all[149]["record"]["id"].as_u64()), (151, Some(149)));
    assert_eq!(all[150]["error"], "frame 8 is lost");
    let unknown = fixture.get("/v1/streams/erp.order/records").await.problem(404);
    assert!(unknown.contains("did you mean `erp.orders`?"));
    assert!(
        fixture
            .get("/v1/streams/erp.orders/records?from=never")
            .await
            .problem(422)
            .contains("`earliest`, `latest`")
    );
}

#[tokio::test]
async fn forgotten_followers_do_not_pile_up() {
    let fixture = Fixture::new();
    let follow = || {
        let request = Request::get("/v1/streams/erp.orders/records?follow=true");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        fixture.router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(follow().await.unwrap());
    }
    assert!(open.iter().all(|response| response.status().is_success()));
    assert_eq!(follow().await.unwrap().status().as_u16(), 429);
    open.pop();
    assert!(follow().await.unwrap().status().is_success(), "one that ended makes room");
}

fn letter(id: &str, refused_by_sink: bool, fixture: &Fixture) -> Letter {
    let route = fixture.catalog.state().routes[&name("orders")].id;
    Letter {
        id: id.into(),
        stream: stream(if refused_by_sink { "erp.orders" } else { "hr.people" }),
        source: SourceId::from_bytes([9; 16]),
        route: refused_by_sink.then_some(route),
        resource: "/srv/erp/a.csv".into(),
        line: 12,
        column: Some("total".into()),
        reason: "is no number".into(),
        refused_at: Timestamp::UNIX_EPOCH,
        replayed: false,
        record: refused_by_sink.then(|| json!({ "id": 1 })),
        raw: (!refused_by_sink).then(|| b"1;x\xff".to_vec()),
        raw_truncated: false,
    }
}

#[tokio::test]
async fn dead_letters_are_listed_inspected_and_replayed_once() {
    let (fixture, _) = Fixture::furnished().await;
    *fixture.plane.letters.lock() = vec![letter("aa", true, &fixture), letter("bb", false, &fixture)];
    assert_eq!(fixture.get("/v1/deadletters").await.json()["items"].as_array().unwrap().len(), 2);
    let of_stream = fixture.get("/v1/deadletters?stream=hr.people").await.json();
    assert_eq!(of_stream["items"][0]["raw"], "1;x\\xff");
    assert_eq!(fixture.get("/v1/deadletters/aa").await.json()["route"], "orders");
    assert!(fixture.get("/v1/deadletters/zz").await.problem(404).contains("zz"));
    assert!(fixture.get("/v1/deadletters?route=nope").await.problem(404).contains("there is no route"));

    assert_eq!(fixture.post("/v1/deadletters/aa/replay", "").await.json()["state"], "replayed");
    assert!(fixture.post("/v1/deadletters/aa/replay", "").await.problem(409).contains("already"));
    assert!(
        fixture.post("/v1/deadletters/bb/replay", "").await.problem(409).contains("correct /srv/erp/a.csv")
    );
}

#[tokio::test]
async fn the_metrics_page_has_every_stage_and_each_metric_once() {
    let (fixture, agent) = Fixture::furnished().await;
    *fixture.plane.snapshot.lock() = all_well(&fixture, agent);
    let page = fixture.send(Method::GET, "/metrics", None, Body::empty()).await.text;
    assert!(page.starts_with("towpath_process_up 1\n"));
    for line in [
        "towpath_agent_connected{agent=\"plant-1\"} 1",
        "towpath_source_lag_records{source=\"erp\",agent=\"plant-1\"} 3",
        "towpath_route_lag_seconds{route=\"orders\",sink=\"crm\"} 1.5",
        "towpath_route_records_total{route=\"orders\",sink=\"crm\"} 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
    let types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(types.len(), types.iter().collect::<BTreeSet<_>>().len());
}

#[tokio::test]
async fn a_check_of_a_source_says_what_is_wrong_and_what_would_mend_it() {
    let (fixture, _) = Fixture::furnished().await;
    let check = fixture.post("/v1/sources/erp/check", "").await.json();
    assert_eq!(check["source"], "erp");
    assert_eq!(check["findings"][0]["verdict"], "failed");
    assert_eq!(check["findings"][0]["remedy"], "ALTER SYSTEM SET wal_level = logical;");
    let refused = fixture.post("/v1/sources/epr/check", "").await.problem(404);
    assert!(refused.contains("did you mean `erp`?"), "{refused}");
}

#[tokio::test]
async fn the_log_of_an_agent_is_read_page_by_page() {
    let (fixture, _) = Fixture::furnished().await;
    let first = fixture.get("/v1/agents/plant-1/logs").await.json();
    assert_eq!((&first["agent"], &first["cursor"]), (&"plant-1".into(), &"c-1".into()));
    assert_eq!(first["lines"][0]["message"], "100 lines after None");
    let next = fixture.get("/v1/agents/plant-1/logs?after=c-1&limit=2000").await.json();
    assert_eq!(next["lines"][0]["message"], "2000 lines after Some(\"c-1\")");
    let many = fixture.get("/v1/agents/plant-1/logs?limit=2001").await.problem(422);
    assert!(many.contains("1 to 2000"), "{many}");
    fixture.get("/v1/agents/plant-9/logs").await.problem(404);
}

#[tokio::test]
async fn a_comparison_is_told_line_by_line() {
    let (fixture, _) = Fixture::furnished().await;
    let answer = fixture.post("/v1/routes/orders/compare", "{}").await;
    assert_eq!(answer.content_type, "application/x-ndjson");
    assert_eq!(answer.text, "{\"error\":\"limit 1000\"}\n{\"error\":\"and so on\"}\n");
    let refused = fixture.post("/v1/routes/orders/compare", r#"{"limit": 0}"#).await.problem(422);
    assert!(refused.contains("at least 1"), "{refused}");
    let refused = fixture.post("/v1/routes/orders/compare", r#"{"repare": true}"#).await.problem(422);
    assert!(refused.contains("did you mean `repair`?"), "{refused}");
}
