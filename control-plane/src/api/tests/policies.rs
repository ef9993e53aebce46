//! Why something becomes of a field, as the API says it.

use serde_json::json;
use towpath_record::{Column, ColumnType, LogOffset, StreamName, StreamSchema};

use super::fixture::{Fixture, name};
use crate::service::plane::{SchemaVersion, StreamVersions};

const CUSTOMERS: &str = r#"
apiVersion: towpath/v1
kind: Policy
metadata: {name: customers}
spec:
  streams: [erp.**]
  classify:
    - {fields: ["*mail"], classes: [pii.email]}
    - {fields: [id], classes: []}
  rules:
    - {classes: ["pii.*"], regions: [main], then: allow}
    - {classes: [pii.email], then: {mask: all}}
    - {classes: [health], then: drop}
"#;

/// A policy, and a stream that has brought rows with `id` and `email`.
async fn told() -> Fixture {
    let (fixture, _) = Fixture::furnished().await;
    let report = fixture.post("/v1/apply", CUSTOMERS).await.json();
    assert_eq!(report["results"][0]["outcome"], "created", "{report}");
    let columns =
        vec![Column::required("id", ColumnType::Int64), Column::nullable("email", ColumnType::String)];
    let version = SchemaVersion {
        version: 3,
        schema: StreamSchema::new(columns, vec!["id".into()]).unwrap(),
        first_offset: LogOffset(1),
        first_us: 0,
    };
    let source = fixture.catalog.state().sources[&name("erp")].id;
    let stream = StreamName::new("erp.orders").unwrap();
    *fixture.plane.schemas.lock() = vec![StreamVersions { source, stream, versions: vec![version] }];
    fixture
}

#[tokio::test]
async fn a_field_is_explained_region_by_region_and_rule_by_rule() {
    let fixture = told().await;
    let said = fixture.get("/v1/policies/explain?stream=erp.orders&field=email").await.json();
    assert_eq!((&said["policies"], &said["classes"]), (&json!(["customers"]), &json!(["pii.email"])));
    assert_eq!(said["found"], json!({ "version": 3, "source": "erp", "type": "string" }));
    let origin = json!([{ "policy": "customers", "classification": 1, "classes": ["pii.email"] }]);
    assert_eq!(said["origins"], origin);
    let regions: Vec<_> = said["places"].as_array().unwrap().iter().map(|place| &place["region"]).collect();
    assert_eq!(regions, [&json!("main"), &json!("us")]);

    let (home, abroad) = (&said["places"][0], &said["places"][1]);
    assert_eq!((&home["treatment"], &home["type"]), (&json!("mask all"), &json!("string")));
    assert_eq!(abroad["treatment"], "mask all");
    let counts = |place: &serde_json::Value| {
        let rules = place["rules"].as_array().unwrap();
        rules.iter().map(|rule| rule["counts"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(counts(home), [false, true, false]);
    let because =
        |place: &serde_json::Value, n: usize| place["rules"][n]["because"].as_str().unwrap().to_owned();
    assert!(because(home, 0).contains("rule 2 of policy customers is more special"), "{home}");
    assert_eq!(because(abroad, 0), "it is for other regions");
    assert_eq!(because(abroad, 2), "it is for other classes");
}

#[tokio::test]
async fn what_nobody_classified_and_what_nobody_covers_is_said_to_be_so() {
    let fixture = told().await;
    let new = fixture.get("/v1/policies/explain?stream=erp.orders&field=shoe_size&region=main").await.json();
    assert_eq!((&new["origins"], &new["found"]), (&json!([]), &json!(null)));
    assert_eq!(new["places"].as_array().unwrap().len(), 1);
    assert_eq!(new["places"][0]["treatment"], "block");
    let free = fixture.get("/v1/policies/explain?stream=web.clicks&field=email&purpose=ads").await.json();
    assert_eq!(free["policies"], json!([]));
    assert_eq!(
        (&free["places"][0]["treatment"], &free["places"][0]["purpose"]),
        (&json!("allow"), &json!("ads"))
    );
    let refused = fixture.get("/v1/policies/explain?stream=erp..orders&field=email").await;
    assert!(refused.problem(422).contains("erp..orders"));
}
