//! Resources by gRPC, and that they are the same as by REST.

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use towpath_proto::admin::expected::State;
use towpath_proto::admin::resources_client::ResourcesClient;
use towpath_proto::admin::watch_response::Change;
use towpath_proto::admin::{
    ApplyRequest, DeleteResourceRequest, Expected, GetResourceRequest, HistoryRequest, ListResourcesRequest,
    PatchResourceRequest, PutResourceRequest, Resource, RollbackRequest, WatchRequest,
};
use towpath_resource::{Kind, parse_documents};

use super::caller::{admin, json_of, object, reason};
use crate::api::tests::fixture::Fixture;
use crate::grpc::answer::{from_resource, to_resource};

fn resource(kind: &str, name: &str, spec: Value) -> Resource {
    Resource {
        api_version: "towpath/v1".into(),
        kind: kind.into(),
        metadata: Some(object(json!({ "name": name }))),
        spec: Some(object(spec)),
        status: None,
    }
}

fn of(kind: &str) -> ListResourcesRequest {
    ListResourcesRequest { kind: kind.into(), ..ListResourcesRequest::default() }
}

fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().map(|bad| bad.field_violations);
    bad.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn a_resource_of_every_kind_travels_whole() {
    for kind in Kind::ALL {
        let mut documents = parse_documents(kind.example()).unwrap();
        let manifest = documents.remove(0).manifest.unwrap();
        let text = serde_json::to_string(&manifest).unwrap();
        let Value::Object(mut document) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        let mut part = |name: &str| document.remove(name).map(object);
        let travels = Resource {
            api_version: "towpath/v1".into(),
            kind: kind.as_str().into(),
            metadata: part("metadata"),
            spec: part("spec"),
            status: None,
        };
        let arrived = parse_documents(&from_resource(travels).to_string()).unwrap().remove(0);
        assert_eq!(arrived.manifest.unwrap(), manifest, "{kind}");
    }
}

#[tokio::test]
async fn what_is_applied_is_shown_listed_and_deleted() {
    let fixture = Fixture::new();
    let mut resources = ResourcesClient::new(admin(&fixture));
    let site = resource("Site", "plant", json!({ "description": "The plant" }));
    let order = ApplyRequest { resources: vec![site.clone()], dry_run: true };
    resources.apply(order).await.unwrap();
    assert!(fixture.get("/v1/sites").await.json()["items"].as_array().unwrap().is_empty());
    let done = resources.apply(ApplyRequest { resources: vec![site], dry_run: false }).await.unwrap();
    let result = json_of(done.into_inner().results.pop());
    assert_eq!(result["outcome"], "created", "{result}");

    let asked = GetResourceRequest { kind: "site".into(), name: "plant".into() };
    let shown = resources.get(asked.clone()).await.unwrap().into_inner();
    let by_rest = fixture.get("/v1/sites/plant").await.json();
    assert_eq!(json_of(shown.metadata.clone()), by_rest["metadata"]);
    assert_eq!(json_of(shown.spec.clone()), by_rest["spec"]);
    assert_eq!(json_of(shown.status.clone()), by_rest["status"]);
    let listed = resources.list(of("sites")).await.unwrap().into_inner();
    assert_eq!((listed.items, listed.next_cursor), (vec![shown.clone()], String::new()));

    // What is shown can be applied as it is.
    let again = resources.apply(ApplyRequest { resources: vec![shown], dry_run: false }).await.unwrap();
    assert_eq!(json_of(again.into_inner().results.pop())["outcome"], "unchanged");
    let order = |generation| DeleteResourceRequest {
        kind: "Site".into(),
        name: "plant".into(),
        generation,
        dry_run: false,
    };
    assert_eq!(resources.delete(order(Some(0))).await.unwrap_err().code(), Code::Aborted);
    resources.delete(order(None)).await.unwrap();
    let refused = resources.get(asked).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "not-found"));
}

#[tokio::test]
async fn each_document_is_taken_or_refused_by_itself_with_the_field_at_fault() {
    let fixture = Fixture::new();
    let mut resources = ResourcesClient::new(admin(&fixture));
    let good = resource("Site", "plant", json!({}));
    let bad = resource("Site", "other", json!({ "colour": "red" }));
    let done = resources.apply(ApplyRequest { resources: vec![bad, good], dry_run: false }).await.unwrap();
    let results: Vec<_> = done.into_inner().results.into_iter().map(|one| json_of(Some(one))).collect();
    assert_eq!(results[0]["outcome"], "refused");
    assert!(results[0]["faults"][0]["path"].as_str().unwrap().contains("colour"), "{results:?}");
    assert_eq!(results[1]["outcome"], "created");
    let refused = resources.list(of("Syte")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "invalid"));
    assert_eq!(fields(&refused), ["kind"]);
}

#[tokio::test]
async fn a_watch_tells_what_there_is_then_what_changes_and_goes_on_where_it_ended() {
    let (fixture, _) = Fixture::furnished().await;
    let mut resources = ResourcesClient::new(admin(&fixture));
    let order = |after| WatchRequest { kind: "Site".into(), after, ..WatchRequest::default() };
    let mut changes = resources.watch(order(None)).await.unwrap().into_inner();
    let mut told = Vec::new();
    let after = loop {
        let change = changes.message().await.unwrap().unwrap();
        told.push((change.change(), change.resource.map(|one| one.kind)));
        if let Some(after) = change.after {
            break after;
        }
    };
    let present = |kind: &str| (Change::Present, Some(kind.to_owned()));
    assert_eq!(told, [(Change::Begun, None), present("Site"), (Change::Complete, None)]);

    fixture
        .put("/v1/sites/port", r#"{"apiVersion":"towpath/v1","kind":"Site","metadata":{"name":"port"}}"#)
        .await;
    let applied = changes.message().await.unwrap().unwrap();
    assert_eq!(
        (applied.change(), json_of(applied.resource.unwrap().metadata)["name"].clone()),
        (Change::Applied, json!("port"))
    );
    drop(changes);
    fixture.delete("/v1/routes/orders").await;
    fixture.delete("/v1/sites/port").await;

    let mut later = resources.watch(order(Some(after))).await.unwrap().into_inner();
    let deleted = later.message().await.unwrap().unwrap();
    assert_eq!(deleted.change(), Change::Deleted);
    assert_eq!(deleted.resource.unwrap().kind, "Site");
}

#[tokio::test]
async fn a_watch_from_a_place_that_never_was_is_refused() {
    let fixture = Fixture::new();
    let mut resources = ResourcesClient::new(admin(&fixture));
    let order = WatchRequest { kind: "Site".into(), after: Some(1_000_000), ..WatchRequest::default() };
    let refused = resources.watch(order).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "gone"));
}

#[tokio::test]
async fn a_resource_is_put_and_patched_only_in_the_state_that_was_expected() {
    let fixture = Fixture::new();
    let mut resources = ResourcesClient::new(admin(&fixture));
    let put = |description: &str, state: Option<State>, dry_run: bool| PutResourceRequest {
        resource: Some(resource("Site", "plant", json!({ "description": description }))),
        expected: state.map(|state| Expected { state: Some(state) }),
        dry_run,
    };
    resources.put(put("tried", None, true)).await.unwrap();
    let absent = resources.put(put("one", Some(State::Present(true)), false)).await.unwrap_err();
    assert_eq!((absent.code(), reason(&absent).as_str()), (Code::Aborted, "stale"));
    let created = resources.put(put("one", Some(State::Present(false)), false)).await.unwrap().into_inner();
    let generation = json_of(created.metadata)["generation"].as_u64().unwrap();
    let again = resources.put(put("two", Some(State::Present(false)), false)).await.unwrap_err();
    assert_eq!(again.code(), Code::Aborted);
    let patch = |state| PatchResourceRequest {
        kind: "Site".into(),
        name: "plant".into(),
        patch: Some(object(json!({ "spec": { "description": "patched" } }))),
        expected: Some(Expected { state: Some(State::Generation(state)) }),
        dry_run: false,
    };
    assert_eq!(resources.patch(patch(generation + 1)).await.unwrap_err().code(), Code::Aborted);
    let patched = resources.patch(patch(generation)).await.unwrap().into_inner();
    assert_eq!(json_of(patched.spec)["description"], "patched");
}

#[tokio::test]
async fn a_resource_has_a_history_and_a_way_back() {
    let fixture = Fixture::new();
    fixture.put("/v1/sites/plant", &site("one")).await;
    fixture.put("/v1/sites/plant", &site("two")).await;
    let mut resources = ResourcesClient::new(admin(&fixture));
    let order = HistoryRequest { kind: "Site".into(), name: "plant".into() };
    let mut versions = resources.history(order).await.unwrap().into_inner();
    let first = json_of(versions.message().await.unwrap().unwrap());
    let second = json_of(versions.message().await.unwrap().unwrap());
    assert!(versions.message().await.unwrap().is_none());
    assert_eq!((&first["happened"], &second["happened"]), (&json!("created"), &json!("changed")));
    let to = first["generation"].as_u64().unwrap();
    let back = RollbackRequest { kind: "Site".into(), name: "plant".into(), to };
    let now = resources.rollback(back).await.unwrap().into_inner();
    assert_eq!(json_of(now.spec)["description"], "one");
    let order = HistoryRequest { kind: "Site".into(), name: "never".into() };
    assert_eq!(resources.history(order).await.unwrap_err().code(), Code::NotFound);
}

fn site(description: &str) -> String {
    json!({ "apiVersion": "towpath/v1", "kind": "Site", "metadata": { "name": "plant" },
            "spec": { "description": description } })
    .to_string()
}

#[tokio::test]
async fn the_same_change_leaves_the_same_event_by_rest_by_grpc_and_by_graphql() {
    let spec = json!({ "description": "The plant" });
    let by_rest = {
        let fixture = Fixture::new();
        let body = json!({ "apiVersion": "towpath/v1", "kind": "Site", "metadata": { "name": "plant" }, "spec": spec });
        fixture.put("/v1/sites/plant", &body.to_string()).await;
        last_event(&fixture)
    };
    let by_grpc = {
        let fixture = Fixture::new();
        let resources = vec![resource("Site", "plant", spec.clone())];
        ResourcesClient::new(admin(&fixture))
            .apply(ApplyRequest { resources, dry_run: false })
            .await
            .unwrap();
        last_event(&fixture)
    };
    let by_graphql = {
        let fixture = Fixture::new();
        let query =
            r#"mutation($spec: SiteSpecInput) { putSite(metadata: {name: "plant"}, spec: $spec) { kind } }"#;
        let request = json!({ "query": query, "variables": { "spec": spec } });
        fixture.post("/graphql", &request.to_string()).await;
        last_event(&fixture)
    };
    assert_eq!(by_rest["origin"]["interface"], "rest");
    assert_eq!(by_graphql["origin"]["interface"], "graphql");
    assert_eq!(by_grpc["origin"]["interface"], "grpc");
    let by_rest = without_moment(by_rest);
    assert_eq!(by_rest, without_moment(by_grpc));
    assert_eq!(by_rest, without_moment(by_graphql));
}

/// The newest event.
fn last_event(fixture: &Fixture) -> Value {
    let newest = fixture.catalog.state().seq;
    serde_json::to_value(fixture.catalog.events(newest - 1, 1).unwrap().remove(0)).unwrap()
}

/// An event without its time, its ids and the interface.
fn without_moment(mut event: Value) -> Value {
    event["at"].take();
    event["origin"].take();
    event["actor"]["token"].take();
    for stamp in ["id", "created_at", "updated_at"] {
        event["resource"]["metadata"][stamp].take();
    }
    event
}

#[tokio::test]
async fn a_resource_with_its_status_reads_back_as_its_manifest() {
    let (fixture, _) = Fixture::furnished().await;
    let admin = fixture.service.admit(
        Some(crate::api::tests::fixture::TOKEN),
        crate::door::origin(&axum::http::Extensions::new(), towpath_catalog::Interface::Grpc),
        crate::service::Need::DecidedByContent,
    );
    let asker = admin.await.unwrap().asker;
    for kind in [Kind::Site, Kind::Agent, Kind::Source, Kind::Sink, Kind::Route] {
        let page = fixture.service.list(&asker, kind, crate::service::ListOrder::default()).await.unwrap();
        assert!(!page.items.is_empty());
        for shown in page.items {
            let arrived = from_resource(to_resource(&shown)).to_string();
            let manifest = parse_documents(&arrived).unwrap().remove(0).manifest.unwrap();
            assert_eq!(manifest, shown.resource.manifest(), "{kind}");
        }
    }
}
