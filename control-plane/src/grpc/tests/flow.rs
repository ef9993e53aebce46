//! What flows, as gRPC shows it.

use serde_json::{Value, json};
use tonic::Code;
use towpath_proto::admin::agents_client::AgentsClient;
use towpath_proto::admin::dead_letters_client::DeadLettersClient;
use towpath_proto::admin::events_client::EventsClient;
use towpath_proto::admin::fleet_client::FleetClient;
use towpath_proto::admin::routes_client::RoutesClient;
use towpath_proto::admin::sources_client::SourcesClient;
use towpath_proto::admin::streams_client::StreamsClient;
use towpath_proto::admin::tokens_client::TokensClient;
use towpath_proto::admin::{
    CheckSourceRequest, CreateTokenRequest, DeadLetterRequest, FollowEventsRequest, GetStatusRequest,
    ListEventsRequest, ListTokensRequest, ReadStreamRequest, RevokeAgentRequest, RevokeTokenRequest,
    RouteOrderRequest, WatchStatusRequest,
};

use super::caller::{admin, reason};
use crate::api::tests::fixture::Fixture;
use crate::grpc::value;
use crate::service::plane::Snapshot;

fn json_of(carried: prost_types::Struct) -> Value {
    Value::Object(value::from_struct(carried))
}

fn order(value: Value) -> Option<prost_types::Struct> {
    let Value::Object(members) = value else { panic!("{value}") };
    Some(value::to_struct(members))
}

#[tokio::test]
async fn a_route_is_replayed_and_compared_as_ordered() {
    let (fixture, _) = Fixture::furnished().await;
    let mut routes = RoutesClient::new(admin(&fixture));
    let replay = RouteOrderRequest { name: "orders".into(), order: order(json!({ "from": "earliest" })) };
    let replayed = json_of(routes.replay(replay).await.unwrap().into_inner());
    assert_eq!((&replayed["route"], &replayed["replay"]), (&json!("orders"), &json!(1)));
    let wrong = RouteOrderRequest { name: "orders".into(), order: order(json!({ "form": "earliest" })) };
    let refused = routes.replay(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("did you mean `from`?"), "{refused}");

    let compare = RouteOrderRequest { name: "orders".into(), order: order(json!({ "limit": 7 })) };
    let mut lines = routes.compare(compare).await.unwrap().into_inner();
    let first = json_of(lines.message().await.unwrap().unwrap());
    assert_eq!(first, json!({ "error": "limit 7" }));
    let unknown = RouteOrderRequest { name: "order".into(), order: None };
    let refused = routes.compare(unknown).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "not-found"));
}

#[tokio::test]
async fn records_flow_up_to_the_limit_and_a_loss_is_told_at_the_end() {
    let fixture = Fixture::new();
    *fixture.plane.snapshot.lock() = Snapshot {
        streams: [(
            towpath_record::StreamName::new("erp.orders").unwrap(),
            crate::service::plane::StreamFlow::default(),
        )]
        .into(),
        ..Snapshot::default()
    };
    let mut streams = StreamsClient::new(admin(&fixture));
    let reading =
        |limit| ReadStreamRequest { stream: "erp.orders".into(), limit, ..ReadStreamRequest::default() };
    let mut records = streams.read(reading(3)).await.unwrap().into_inner();
    for row in 0..3 {
        assert_eq!(json_of(records.message().await.unwrap().unwrap())["row"], row);
    }
    assert!(records.message().await.unwrap().is_none());
    let mut records = streams.read(reading(1_000)).await.unwrap().into_inner();
    for _ in 0..150 {
        records.message().await.unwrap().unwrap();
    }
    let lost = records.message().await.unwrap_err();
    assert!(lost.code() == Code::Unavailable && lost.message().contains("frame 8 is lost"), "{lost}");
}

#[tokio::test]
async fn tokens_are_made_listed_and_taken_back() {
    let (fixture, _) = Fixture::furnished().await;
    let mut tokens = TokensClient::new(admin(&fixture));
    let created =
        tokens.create(CreateTokenRequest { order: order(json!({ "site": "plant" })) }).await.unwrap();
    let created = json_of(created.into_inner());
    let id = created["id"].as_str().unwrap().to_owned();
    assert!(created["token"].as_str().unwrap().len() > 30);
    tokens.revoke(RevokeTokenRequest { id: id.clone() }).await.unwrap();
    let mut listed = tokens.list(ListTokensRequest {}).await.unwrap().into_inner();
    while let Some(token) = listed.message().await.unwrap() {
        assert!(token.fields["id"] != prost_types::Value::from(id.clone()));
    }
    assert_eq!(tokens.revoke(RevokeTokenRequest { id }).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_agent_is_cut_off_and_its_source_checked() {
    let (fixture, agent) = Fixture::furnished().await;
    let mut sources = SourcesClient::new(admin(&fixture));
    let check = sources.check(CheckSourceRequest { name: "erp".into() }).await.unwrap().into_inner();
    assert_eq!(json_of(check)["findings"][0]["subject"], "wal_level");
    let mut agents = AgentsClient::new(admin(&fixture));
    let revoked = agents.revoke(RevokeAgentRequest { name: "plant-1".into() }).await.unwrap().into_inner();
    assert_eq!(json_of(revoked.status.unwrap())["revoked"], true);
    assert!(!fixture.catalog.state().admits(agent));
}

#[tokio::test]
async fn the_status_comes_once_or_again_and_again() {
    let (fixture, _) = Fixture::furnished().await;
    let mut fleet = FleetClient::new(admin(&fixture));
    let once = json_of(fleet.get_status(GetStatusRequest {}).await.unwrap().into_inner());
    assert_eq!(once["agents"][0]["name"], "plant-1");
    let mut pulse = fleet.watch_status(WatchStatusRequest { every_seconds: 1 }).await.unwrap().into_inner();
    let mut next = async || json_of(pulse.message().await.unwrap().unwrap());
    let (first, second) = (next().await, next().await);
    assert_eq!(first["agents"], once["agents"]);
    assert!(first["at"].as_str() < second["at"].as_str());
}

#[tokio::test]
async fn events_are_listed_and_followed_without_hashes_of_secrets() {
    let (fixture, _) = Fixture::furnished().await;
    let mut events = EventsClient::new(admin(&fixture));
    let mut listed = events.list(ListEventsRequest { after: 0, limit: 3 }).await.unwrap().into_inner();
    for seq in 1..=3 {
        let event = json_of(listed.message().await.unwrap().unwrap());
        assert_eq!(event["seq"], seq);
        assert!(event.get("hash").is_none(), "{event}");
    }
    assert!(listed.message().await.unwrap().is_none());
    let newest = fixture.catalog.state().seq;
    let mut followed = events.follow(FollowEventsRequest { after: None }).await.unwrap().into_inner();
    fixture.delete("/v1/routes/orders").await;
    let event = json_of(followed.message().await.unwrap().unwrap());
    assert_eq!((&event["seq"], &event["event"]), (&json!(newest + 1), &json!("resource_deleted")));
}

#[tokio::test]
async fn a_dead_letter_that_is_not_there_is_not_replayed() {
    let fixture = Fixture::new();
    let mut letters = DeadLettersClient::new(admin(&fixture));
    let refused = letters.replay(DeadLetterRequest { id: "none".into() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains("there is no dead letter none"));
}
