//! Changes on terms: which state they are meant for, parts of resources, and trying only.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::fixture::{Answer, Fixture, TOKEN};

const SITE: &str =
    r#"{"apiVersion": "towpath/v1", "kind": "Site", "metadata": {"name": "office"}, "spec": {}}"#;

fn described(text: &str) -> String {
    let mut site: Value = serde_json::from_str(SITE).unwrap();
    site["spec"]["description"] = text.into();
    site.to_string()
}

async fn patch(fixture: &Fixture, path: &str, header: (&str, &str), patch: Value) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer), ("content-type", "application/merge-patch+json"), header];
    fixture.ask(Method::PATCH, path, &headers, patch.to_string().into()).await
}

#[tokio::test]
async fn of_two_who_saw_the_same_state_one_succeeds() {
    let fixture = Fixture::new();
    let created = fixture.put("/v1/sites/office", SITE).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let tag = created.header("etag").to_owned();
    assert_eq!(fixture.get("/v1/sites/office").await.header("etag"), tag);

    let first = fixture.with(Method::PUT, "/v1/sites/office", ("if-match", &tag), &described("one")).await;
    assert_eq!(first.status, StatusCode::OK);
    let second = fixture.with(Method::PUT, "/v1/sites/office", ("if-match", &tag), &described("two")).await;
    assert!(second.problem(412).contains("site office is at generation"), "{}", second.text);
    let gone = fixture.with(Method::DELETE, "/v1/sites/office", ("if-match", &tag), "").await;
    assert!(gone.problem(412).contains("get it again"));
    assert_eq!(fixture.get("/v1/sites/office").await.json()["spec"]["description"], "one");

    let tag = first.header("etag").to_owned();
    let wanted = format!("\"1\", {tag}");
    let gone = fixture.with(Method::DELETE, "/v1/sites/office", ("if-match", &wanted), "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let after = fixture.with(Method::PUT, "/v1/sites/office", ("if-match", "*"), SITE).await;
    assert!(after.problem(412).contains("is not there"));
}

#[tokio::test]
async fn a_put_may_be_for_what_is_not_there_only() {
    let fixture = Fixture::new();
    let only_new = ("if-none-match", "*");
    let created = fixture.with(Method::PUT, "/v1/sites/office", only_new, SITE).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let again = fixture.with(Method::PUT, "/v1/sites/office", only_new, &described("x")).await;
    assert!(again.problem(412).contains("is there already"));
    let named = fixture.with(Method::PUT, "/v1/sites/office", ("if-none-match", "\"1\""), SITE).await;
    assert!(named.problem(422).contains("If-None-Match"));
}

#[tokio::test]
async fn what_is_known_already_is_not_sent_again() {
    let fixture = Fixture::new();
    let tag = fixture.put("/v1/sites/office", SITE).await.header("etag").to_owned();
    let known = fixture.with(Method::GET, "/v1/sites/office", ("if-none-match", &tag), "").await;
    assert_eq!(
        (known.status, known.text.as_str(), known.header("etag")),
        (StatusCode::NOT_MODIFIED, "", &*tag)
    );
    fixture.put("/v1/sites/office", &described("new")).await;
    let changed = fixture.with(Method::GET, "/v1/sites/office", ("if-none-match", &tag), "").await;
    assert_eq!(changed.status, StatusCode::OK);
    let odd = fixture.with(Method::GET, "/v1/sites/office", ("if-none-match", "12"), "").await;
    assert!(odd.problem(422).contains("write it with quotes"));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_is_checked_as_a_whole() {
    let (fixture, _) = Fixture::furnished().await;
    let none = ("x-nothing", "");
    let labels = json!({ "metadata": { "labels": { "env": "prod", "team": "a" } } });
    assert_eq!(patch(&fixture, "/v1/sources/erp", none, labels).await.status, StatusCode::OK);
    let change =
        json!({ "metadata": { "labels": { "team": null } }, "spec": { "config": { "path": "/srv/new" } } });
    let changed = patch(&fixture, "/v1/sources/erp", none, change).await;
    assert_eq!(changed.json()["metadata"]["labels"], json!({ "env": "prod" }));
    assert_eq!(changed.json()["spec"]["config"]["path"], "/srv/new");
    assert_eq!(changed.json()["spec"]["agent"], "plant-1");
    assert_eq!(changed.header("etag"), fixture.get("/v1/sources/erp").await.header("etag"));

    let wrong =
        patch(&fixture, "/v1/sources/erp", none, json!({ "spec": { "agent": "plant1", "relase": 1 } })).await;
    assert!(wrong.problem(422).contains("did you mean `release`?"));
    assert_eq!(wrong.json()["faults"][0]["path"], "spec.relase");
    let wrong = patch(&fixture, "/v1/sources/erp", none, json!({ "spec": { "agent": "plant1" } })).await;
    assert_eq!(wrong.json()["faults"][0]["path"], "spec.agent");
    let renamed = patch(&fixture, "/v1/sources/erp", none, json!({ "metadata": { "name": "crm" } })).await;
    assert!(renamed.problem(422).contains("does not belong at /v1/sources/erp"));
    assert!(patch(&fixture, "/v1/sources/erp", none, json!([1])).await.problem(422).contains("JSON object"));
    assert!(
        patch(&fixture, "/v1/sources/erq", none, json!({}))
            .await
            .problem(404)
            .contains("did you mean `erp`?")
    );
    let stale = patch(&fixture, "/v1/sources/erp", ("if-match", "\"1\""), json!({})).await;
    stale.problem(412);

    let plain =
        fixture.with(Method::PATCH, "/v1/sources/erp", ("content-type", "application/json"), "{}").await;
    assert!(plain.problem(415).contains("application/merge-patch+json"));
    assert_eq!(plain.header("accept-patch"), "application/merge-patch+json");
}

#[tokio::test]
async fn a_change_that_is_only_tried_is_checked_and_not_made() {
    let (fixture, _) = Fixture::furnished().await;
    let before = fixture.catalog.state().seq;
    let tried = fixture.put("/v1/sites/office?dry_run=true", SITE).await;
    assert_eq!((tried.status, tried.header("etag")), (StatusCode::OK, ""));
    let patched = patch(
        &fixture,
        "/v1/sites/plant?dry_run=true",
        ("x-nothing", ""),
        json!({ "spec": { "description": "x" } }),
    );
    assert_eq!(patched.await.json()["spec"]["description"], "x");
    assert_eq!(fixture.delete("/v1/routes/orders?dry_run=true").await.status, StatusCode::NO_CONTENT);
    assert!(
        fixture.delete("/v1/sinks/crm?dry_run=true").await.problem(409).contains("needed by route orders")
    );
    assert!(fixture.put("/v1/sites/office?dry_run=true", "{}").await.status.is_client_error());
    assert_eq!(fixture.catalog.state().seq, before);
}

#[tokio::test]
async fn a_put_names_the_place_of_each_fault_in_the_text() {
    let (fixture, _) = Fixture::furnished().await;
    let text = "apiVersion: towpath/v1\nkind: Source\nmetadata: {name: second}\nspec:\n  agent: plant1\n  adapter: file\n";
    let refused = fixture.put("/v1/sources/second", text).await;
    refused.problem(422);
    assert_eq!(refused.json()["faults"][0]["path"], "spec.agent");
    assert_eq!(refused.json()["faults"][0]["place"]["line"], 5);
}

#[tokio::test]
async fn many_patches_at_once_are_all_made() {
    let fixture = Fixture::new();
    fixture.put("/v1/sites/office", SITE).await;
    let patches = (0..8).map(|n| {
        let fixture = &fixture;
        async move {
            let labels = json!({ "metadata": { "labels": { format!("l{n}"): "x" } } });
            patch(fixture, "/v1/sites/office", ("x-nothing", ""), labels).await.status
        }
    });
    let done = futures_util::future::join_all(patches).await;
    assert!(done.iter().all(|status| *status == StatusCode::OK), "{done:?}");
    let labels = fixture.get("/v1/sites/office").await.json()["metadata"]["labels"].clone();
    assert_eq!(labels.as_object().unwrap().len(), 8);
}
