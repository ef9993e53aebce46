//! What a console is told of the kinds.

use axum::body::Body;
use axum::http::Method;
use towpath_resource::Kind;

use super::fixture::Fixture;

#[tokio::test]
async fn every_kind_is_told_with_its_form_to_whoever_is_known() {
    let fixture = Fixture::new();
    let all = fixture.get("/v1/kinds").await.json();
    let kinds: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, Kind::ALL.map(Kind::as_str));
    let source = fixture.get("/v1/kinds/sources").await.json();
    assert_eq!(source, all["items"][2]);
    let agent =
        source["fields"].as_array().unwrap().iter().find(|field| field["path"] == "spec.agent").unwrap();
    assert_eq!((&agent["reference"], &agent["required"]), (&"Agent".into(), &true.into()));

    let key =
        fixture.key("nobody", serde_json::json!([{ "role": "viewer", "scope": { "sites": [] } }])).await;
    assert_eq!(fixture.send(Method::GET, "/v1/kinds", Some(&key), Body::empty()).await.status, 200);
    fixture.send(Method::GET, "/v1/kinds", None, Body::empty()).await.problem(401);
    assert!(fixture.get("/v1/kinds/moods").await.problem(404).contains("the kinds are sites"));
}

#[tokio::test]
async fn what_is_out_of_the_documented_range_is_refused_and_not_cut() {
    let fixture = Fixture::new();
    for path in [
        "/v1/events?limit=10001",
        "/v1/events?limit=0",
        "/v1/audit?limit=1001",
        "/v1/audit/checkpoints?limit=0",
        "/v1/deadletters?limit=10001",
        "/v1/sites?limit=1001",
        "/v1/streams/erp.orders/records?limit=0",
    ] {
        let said = fixture.get(path).await.problem(422);
        assert!(said.contains("limit"), "{path}: {said}");
    }
    let header = ("last-event-id", "5");
    let alone = fixture.with(Method::GET, "/v1/sites", header, "").await.problem(422);
    assert!(alone.contains("watch=true"), "{alone}");
}
