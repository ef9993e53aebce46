//! Looking: resources, their lists and history, the fleet, and what happened.

use serde_json::{Value, json};
use towpath_resource::Kind;

use super::caller::{ask, data, refused};
use crate::api::tests::fixture::{Fixture, TOKEN};
use crate::graphql::sdl;

#[tokio::test]
async fn a_resource_is_shown_as_rest_shows_it() {
    let (fixture, _) = Fixture::furnished().await;
    let query = r#"{
        source(name: "erp") {
            apiVersion kind
            metadata { name labels id generation created_at updated_at }
            spec { agent adapter config release }
            status { condition }
        }
    }"#;
    let shown = &data(&fixture, query, json!({})).await["source"];
    let by_rest = fixture.get("/v1/sources/erp").await.json();
    for member in ["apiVersion", "kind"] {
        assert_eq!(shown[member], by_rest[member]);
    }
    for member in ["name", "id", "generation", "created_at", "updated_at"] {
        assert_eq!(shown["metadata"][member], by_rest["metadata"][member], "{member}");
    }
    for member in ["agent", "adapter", "config", "release"] {
        assert_eq!(shown["spec"][member], by_rest["spec"][member], "{member}");
    }
    assert_eq!(shown["status"]["condition"], by_rest["status"]["condition"]);
}

#[tokio::test]
async fn a_list_is_filtered_sorted_and_paged_as_in_rest() {
    let fixture = Fixture::new();
    for n in 0..5 {
        let site = json!({ "apiVersion": "towpath/v1", "kind": "Site",
            "metadata": { "name": format!("s{n}"), "labels": { "env": if n == 2 { "test" } else { "prod" } } } });
        fixture.put(&format!("/v1/sites/s{n}"), &site.to_string()).await;
    }
    let query = r#"query($cursor: String) {
        sites(limit: 3, cursor: $cursor, sort: "-name", filter: "labels.env=prod") {
            items { metadata { name } } next_cursor
        }
    }"#;
    let names = |page: &Value| -> Vec<String> {
        let items = page["sites"]["items"].as_array().unwrap();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = data(&fixture, query, json!({})).await;
    assert_eq!(names(&first), ["s4", "s3", "s1"]);
    let second = data(&fixture, query, json!({ "cursor": first["sites"]["next_cursor"] })).await;
    assert_eq!((names(&second), &second["sites"]["next_cursor"]), (vec!["s0".to_owned()], &Value::Null));

    let (code, said) =
        refused(&fixture, r#"{ sites(filter: "spec.colour=red") { next_cursor } }"#, json!({})).await;
    assert_eq!(code, "invalid");
    assert!(said.contains("colour"), "{said}");
    let (code, _) = refused(&fixture, r#"{ sites(sort: "mood") { next_cursor } }"#, json!({})).await;
    assert_eq!(code, "invalid");
}

#[tokio::test]
async fn what_is_refused_leaves_the_rest_of_the_answer_and_bears_the_problem() {
    let (fixture, _) = Fixture::furnished().await;
    let answer = ask(&fixture, r#"{ site(name: "nowhere") { kind } whoami { who } }"#, json!({})).await;
    assert_eq!(answer["data"]["site"], Value::Null);
    assert!(answer["data"]["whoami"]["who"].as_str().unwrap().contains("ada"), "{answer}");
    let error = &answer["errors"][0];
    assert_eq!(error["path"], json!(["site"]));
    let told = &error["extensions"];
    assert_eq!(
        (&told["code"], &told["type"], &told["status"]),
        (&json!("not-found"), &json!("towpath:not-found"), &json!(404))
    );
    assert!(told["instance"].as_str().unwrap().starts_with("urn:uuid:"), "{told}");
    let rest = fixture.get("/v1/sites/nowhere").await.problem(404);
    assert_eq!(error["message"], rest.as_str());
}

#[tokio::test]
async fn the_history_of_a_resource_tells_what_changed_field_by_field() {
    let fixture = Fixture::new();
    for about in ["one", "two"] {
        let put =
            r#"mutation($spec: SiteSpecInput) { putSite(metadata: {name: "plant"}, spec: $spec) { kind } }"#;
        data(&fixture, put, json!({ "spec": { "description": about } })).await;
    }
    let query =
        r#"{ historyOfSite(name: "plant") { generation happened changes { field from to } manifest } }"#;
    let versions = &data(&fixture, query, json!({})).await["historyOfSite"];
    assert_eq!(versions[0]["happened"], "created");
    assert_eq!(versions[1]["changes"], json!([{ "field": "spec.description", "from": "one", "to": "two" }]));
    let back = r#"mutation($to: Long!) { rollbackSite(name: "plant", to: $to) { spec { description } } }"#;
    let again = data(&fixture, back, json!({ "to": versions[0]["generation"] })).await;
    assert_eq!(again["rollbackSite"]["spec"]["description"], "one");
}

#[tokio::test]
async fn the_fleet_and_what_happened_are_told() {
    let (fixture, _) = Fixture::furnished().await;
    let query = r#"{
        status { agents { name } }
        describeRoute(name: "orders") { name patterns }
        events(limit: 2)
        audit(subject: "route/orders", limit: 1) { items next }
        verifyAudit { findings { fault } }
        tokens { site state }
    }"#;
    let told = data(&fixture, query, json!({})).await;
    assert_eq!(told["status"]["agents"][0]["name"], "plant-1");
    assert_eq!(told["describeRoute"]["patterns"], json!(["erp.*"]));
    assert_eq!(told["events"].as_array().unwrap().len(), 2);
    assert_eq!(told["audit"]["items"][0]["event"], "resource_applied");
    assert_eq!(told["verifyAudit"]["findings"], json!([]));
    assert_eq!(told["tokens"][0], json!({ "site": "plant", "state": "used" }));
    assert!(!told.to_string().contains(TOKEN));
}

#[tokio::test]
async fn every_part_of_every_kind_is_answered() {
    let (fixture, _) = Fixture::furnished().await;
    for kind in Kind::ALL {
        let mut documents = towpath_resource::parse_documents(kind.example()).unwrap();
        let example = serde_json::to_value(documents.remove(0).manifest.unwrap()).unwrap();
        let put = format!(
            "mutation($m: MetadataInput!, $s: {0}SpecInput) {{ put{0}(metadata: $m, spec: $s, dry_run: true) {{ kind metadata {{ name }} }} }}",
            kind.as_str()
        );
        let answer = ask(&fixture, &put, json!({ "m": example["metadata"], "s": example["spec"] })).await;
        // What an example refers to may not be there, but the types must take it.
        let error = &answer["errors"][0];
        assert!(error.is_null() || error["extensions"]["instance"].is_string(), "{kind}: {answer}");
    }
}

#[tokio::test]
async fn the_schema_is_told_to_those_who_are_known() {
    let fixture = Fixture::new();
    let told = fixture.get("/graphql/schema").await;
    assert_eq!((told.status.as_u16(), told.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(told.text, sdl());
    for part in ["type Site {", "input RouteSpecInput {", "sites(", "enum FeedWhat {", "type SitePage {"] {
        assert!(told.text.contains(part), "{part}");
    }
    let query = r#"{ __type(name: "Site") { fields { name description } } }"#;
    let fields = data(&fixture, query, json!({})).await;
    assert_eq!(fields["__type"]["fields"][0]["name"], "apiVersion");
}
