//! Changes: put, patched, tried, meant for one state, deleted; and sent again.

use axum::http::Method;
use serde_json::{Value, json};

use super::caller::{ask, data, refused, request};
use crate::api::tests::fixture::Fixture;

const PUT: &str = r#"mutation($spec: SiteSpecInput, $generation: Long, $dry_run: Boolean) {
    putSite(metadata: {name: "plant"}, spec: $spec, generation: $generation, dry_run: $dry_run) {
        metadata { generation } spec { description }
    }
}"#;

#[tokio::test]
async fn what_is_put_can_be_patched_and_deleted() {
    let fixture = Fixture::new();
    let put = data(&fixture, PUT, json!({ "spec": { "description": "a" } })).await;
    assert_eq!(put["putSite"]["spec"]["description"], "a");
    let patch =
        r#"mutation($patch: JSON!) { patchSite(name: "plant", patch: $patch) { metadata { labels } } }"#;
    let labels = json!({ "metadata": { "labels": { "env": "prod", "a/b": "c" } } });
    let patched = data(&fixture, patch, json!({ "patch": labels })).await;
    assert_eq!(patched["patchSite"]["metadata"]["labels"], labels["metadata"]["labels"]);
    let delete = r#"mutation { deleteSite(name: "plant") }"#;
    assert_eq!(data(&fixture, delete, json!({})).await, json!({ "deleteSite": true }));
    assert_eq!(refused(&fixture, delete, json!({})).await.0, "not-found");
}

#[tokio::test]
async fn a_change_is_made_only_in_the_state_it_is_meant_for() {
    let fixture = Fixture::new();
    let put = data(&fixture, PUT, json!({ "generation": 0 })).await;
    let generation = put["putSite"]["metadata"]["generation"].clone();
    assert_eq!(refused(&fixture, PUT, json!({ "generation": 0 })).await.0, "stale");
    let change = json!({ "spec": { "description": "b" }, "generation": generation });
    data(&fixture, PUT, change.clone()).await;
    assert_eq!(refused(&fixture, PUT, change).await.0, "stale");
    let delete = r#"mutation($g: Long) { deleteSite(name: "plant", generation: $g) }"#;
    assert_eq!(refused(&fixture, delete, json!({ "g": generation })).await.0, "stale");
}

#[tokio::test]
async fn what_is_only_tried_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.catalog.state().seq;
    data(&fixture, PUT, json!({ "dry_run": true })).await;
    let apply = r#"mutation($all: [JSON!]!) { apply(manifests: $all, dry_run: true) { dry_run results { outcome } } }"#;
    let site = json!({ "apiVersion": "towpath/v1", "kind": "Site", "metadata": { "name": "plant" } });
    let report = data(&fixture, apply, json!({ "all": [site] })).await;
    assert_eq!(report["apply"], json!({ "dry_run": true, "results": [{ "outcome": "created" }] }));
    assert_eq!(fixture.catalog.state().seq, before);
}

#[tokio::test]
async fn each_document_is_taken_or_refused_by_itself_with_the_field_at_fault() {
    let fixture = Fixture::new();
    let of = |name: &str, spec: Value| json!({ "apiVersion": "towpath/v1", "kind": "Site", "metadata": { "name": name }, "spec": spec });
    let apply =
        "mutation($all: [JSON!]!) { apply(manifests: $all) { results { outcome faults { path message } } } }";
    let all = json!([of("a", json!({ "colour": "red" })), of("b", json!({}))]);
    let report = data(&fixture, apply, json!({ "all": all })).await;
    let results = &report["apply"]["results"];
    assert_eq!((&results[0]["outcome"], &results[1]["outcome"]), (&json!("refused"), &json!("created")));
    assert!(results[0]["faults"][0]["path"].as_str().unwrap().contains("colour"), "{results}");
    assert_eq!(refused(&fixture, apply, json!({ "all": [] })).await.0, "invalid");
}

#[tokio::test]
async fn a_fault_is_told_with_its_field() {
    let fixture = Fixture::new();
    let put = r#"mutation { putSite(metadata: {name: "Not A Name"}) { kind } }"#;
    let answer = ask(&fixture, put, json!({})).await;
    let told = &answer["errors"][0]["extensions"];
    assert_eq!(told["code"], "invalid");
    assert!(told["faults"][0]["path"].as_str().unwrap().contains("name"), "{answer}");
    let (code, said) =
        refused(&fixture, "mutation { putSite(metadata: {nam: 1}) { kind } }", json!({})).await;
    assert_eq!(code, "invalid");
    assert!(said.contains("nam"), "{said}");
}

#[tokio::test]
async fn mutations_are_done_in_their_order() {
    let fixture = Fixture::new();
    let both = r#"mutation {
        putSite(metadata: {name: "plant"}) { kind }
        deleteSite(name: "plant")
        again: putSite(metadata: {name: "plant"}) { kind }
    }"#;
    data(&fixture, both, json!({})).await;
    assert_eq!(fixture.catalog.state().sites.len(), 1);
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let (fixture, _) = Fixture::furnished().await;
    let create = r#"mutation($order: TokenOrderInput!) { createToken(order: $order) { id token } }"#;
    let created = data(&fixture, create, json!({ "order": { "site": "plant" } })).await;
    let secret = created["createToken"]["token"].as_str().unwrap();
    let listed = data(&fixture, "{ tokens { id state } events(limit: 1000) }", json!({})).await;
    assert!(listed.to_string().contains(created["createToken"]["id"].as_str().unwrap()));
    assert!(!listed.to_string().contains(secret));
    let order = json!({ "order": { "name": "ci", "grants": [{ "role": "viewer" }], "ttl": "1h" } });
    let create = "mutation($order: KeyOrderInput!) { createKey(order: $order) { key } }";
    let key = data(&fixture, create, order).await["createKey"]["key"].as_str().unwrap().to_owned();
    assert!(!data(&fixture, "{ keys { name state } }", json!({})).await.to_string().contains(&key));
    data(&fixture, r#"mutation { revokeKey(id: "ci") }"#, json!({})).await;
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_again_and_not_done_again() {
    let (fixture, _) = Fixture::furnished().await;
    let create = r#"mutation { createToken(order: {site: "plant"}) { id } }"#;
    let send = async || {
        fixture.with(Method::POST, "/graphql", ("idempotency-key", "k"), &request(create, json!({}))).await
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first.text, second.text);
    assert_eq!(second.header("idempotency-replayed"), "true");
}
