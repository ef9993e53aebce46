//! The schemas of streams, as the API shows them, and their acceptance.

use serde_json::json;
use towpath_record::{Column, ColumnType, LogOffset, SchemaHash, SourceId, StreamName, StreamSchema};

use super::fixture::{Fixture, name};
use crate::service::plane::{RouteFlow, RouteHold, SchemaVersion, StreamVersions};

fn schema(column_type: ColumnType) -> StreamSchema {
    let columns = vec![Column::required("id", ColumnType::Int64), Column::nullable("n", column_type)];
    StreamSchema::new(columns, vec!["id".into()]).unwrap()
}

fn versions(source: SourceId) -> StreamVersions {
    let schemas = [ColumnType::Int32, ColumnType::String].map(schema).into_iter().zip(1..);
    let versions = schemas.map(|(schema, version)| SchemaVersion {
        version,
        schema,
        first_offset: LogOffset(u64::from(version) * 10),
        first_us: 0,
    });
    StreamVersions { source, stream: StreamName::new("erp.orders").unwrap(), versions: versions.collect() }
}

/// A stream with two versions, and a route that stopped before the second.
async fn stopped() -> Fixture {
    let (fixture, _) = Fixture::furnished().await;
    let state = fixture.catalog.state();
    let source = state.sources[&name("erp")].id;
    let hold = RouteHold {
        source,
        stream: StreamName::new("erp.orders").unwrap(),
        version: 2,
        schema: schema(ColumnType::String).hash(),
        taken: 1,
        reason: "column `n` was retyped from int32 to string".into(),
    };
    let flow = RouteFlow { held: Some(hold), ..RouteFlow::default() };
    fixture.plane.snapshot.lock().routes.insert(state.routes[&name("orders")].id, flow);
    *fixture.plane.schemas.lock() = vec![versions(source)];
    fixture
}

#[tokio::test]
async fn versions_are_listed_shown_and_compared() {
    let fixture = stopped().await;
    let listed = fixture.get("/v1/schemas").await.json();
    let item = &listed["items"][0];
    assert_eq!((&item["source"], &item["versions"]), (&json!("erp"), &json!(2)));
    assert_eq!(item["held_routes"], json!(["orders"]));
    assert_eq!(item["latest"]["changes"][0]["what"], "was retyped from int32 to string");

    let newest = fixture.get("/v1/schemas/erp.orders").await.json();
    assert_eq!((&newest["version"], &newest["key"]), (&json!(2), &json!(["id"])));
    let first = fixture.get("/v1/schemas/erp.orders?version=1").await.json();
    assert_eq!(first["columns"][1], json!({ "name": "n", "type": "int32", "nullable": true }));
    assert_eq!(first["history"][0]["first_offset"], 10);
    let diff = fixture.get("/v1/schemas/erp.orders/diff?from=1&to=2").await.json();
    assert_eq!((&diff["backward"], &diff["forward"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_may_be_meant() {
    let fixture = stopped().await;
    let told = async |path: &str, status: u16| fixture.get(path).await.problem(status);
    assert!(told("/v1/schemas/erp.order", 404).await.contains("did you mean `erp.orders`?"));
    assert!(told("/v1/schemas/erp.orders?version=3", 404).await.contains("the newest is 2"));
    assert!(told("/v1/schemas/erp.orders?source=er", 404).await.contains("did you mean `erp`?"));
    assert!(told("/v1/schemas/erp.orders/diff?from=1", 422).await.contains("`to`"));
    fixture.plane.schemas.lock().push(versions(SourceId::from_bytes([9; 16])));
    assert!(told("/v1/schemas/erp.orders", 422).await.contains("name one of erp as `source`"));
    assert_eq!(fixture.get("/v1/schemas/erp.orders?source=erp").await.json()["version"], 2);
}

#[tokio::test]
async fn a_route_that_stopped_says_why_and_goes_on_once_the_version_is_accepted() {
    let fixture = stopped().await;
    let status = fixture.get("/v1/status").await.json();
    let route = &status["routes"][0];
    assert_eq!(route["condition"], "failed");
    let trouble = &route["trouble"];
    assert!(trouble["message"].as_str().unwrap().contains("`n` was retyped from int32 to string"));
    assert!(trouble["remedy"].as_str().unwrap().contains("towpath schema accept orders"));

    let wrong = fixture.post("/v1/routes/orders/accept", r#"{"version": 1}"#).await.problem(409);
    assert!(wrong.contains("stopped before version 2"), "{wrong}");
    let accept = async |body: &str| fixture.post("/v1/routes/orders/accept", body).await;
    let accepted = accept("{}").await.json();
    assert_eq!(accepted, json!({ "route": "orders", "stream": "erp.orders", "version": 2, "is_new": true }));
    assert_eq!(accept(r#"{"version": 2}"#).await.json()["is_new"], false);
    let state = fixture.catalog.state();
    let known = &state.accepted_schemas[&state.routes[&name("orders")].id];
    assert_eq!(known.first().unwrap().schema, schema(ColumnType::String).hash());
    let events = fixture.get("/v1/events?limit=100").await.json();
    let event = events["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&event["event"], &event["actor"]["name"]), (&json!("schema_accepted"), &json!("ada")));
    assert_ne!(event["accepted"]["schema"], json!(SchemaHash([0; 32])));
}

#[tokio::test]
async fn a_version_can_be_accepted_beforehand_if_it_is_named() {
    let fixture = stopped().await;
    fixture.plane.snapshot.lock().routes.clear();
    let accept = async |body: &str| fixture.post("/v1/routes/orders/accept", body).await;
    assert!(accept("{}").await.problem(409).contains("did not stop before any version"));
    assert!(accept(r#"{"stream": "erp.orders"}"#).await.problem(422).contains("give `version`"));
    let accepted = accept(r#"{"stream": "erp.orders", "version": 2}"#).await.json();
    assert_eq!((&accepted["version"], &accepted["is_new"]), (&json!(2), &json!(true)));
}
