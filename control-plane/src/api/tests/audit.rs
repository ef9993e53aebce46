//! The audit trail and the history of resources through the API.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use towpath_audit::{Line, PublicKey, Verifier};

use super::fixture::Fixture;

fn events(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn who_did_what_from_where_is_found_and_no_hash_of_a_secret_is_shown() {
    let (fixture, _) = Fixture::furnished().await;
    let newest = fixture.get("/v1/audit?limit=3").await.json();
    let said = fixture.get("/v1/audit").await;
    assert!(said.text.contains("token_created") && !said.text.contains("\"hash\""), "{}", said.text);
    assert_eq!(events(&newest), ["resource_applied"; 3], "the newest come first");
    let next = newest["next"].as_u64().unwrap();
    let older = fixture.get(&format!("/v1/audit?before={next}")).await.json();
    assert_eq!(older["items"][0]["seq"], next - 1);
    assert!(older.get("next").is_none());

    let found = fixture.get("/v1/audit?actor=ada&subject=source/erp").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["origin"]["interface"], "rest");
    let agents = fixture.get("/v1/audit?after=0&subject=agents&event=agent_enrolled").await.json();
    assert_eq!(agents["items"][0]["actor"]["type"], "system");
    assert!(fixture.get("/v1/audit?subject=surce").await.problem(422).contains("did you mean `source`?"));
    assert!(fixture.get("/v1/audit?after=1&before=2").await.problem(422).contains("not both"));
}

#[tokio::test]
async fn whoever_is_turned_away_is_on_record_and_a_thousand_times_is_not_a_thousand_events() {
    let fixture = Fixture::new();
    let before = fixture.catalog.state().seq;
    for _ in 0..1_000 {
        let answer = fixture.send(Method::GET, "/v1/audit", Some("tpa1.guess"), Body::empty()).await;
        answer.problem(401);
    }
    assert_eq!(fixture.catalog.state().seq, before + 1);
    fixture.catalog.flush_denials(true).unwrap();
    let denied = fixture.get("/v1/audit?outcome=denied").await.json();
    let counts: Vec<_> =
        denied["items"].as_array().unwrap().iter().map(|event| event["count"].clone()).collect();
    assert_eq!(counts, [json!(999), json!(1)]);
    assert_eq!(denied["items"][0]["actor"], json!({ "type": "stranger" }));
    assert_eq!(denied["items"][0]["lacking"], "authentication");
}

#[tokio::test]
async fn the_trail_is_verified_here_and_its_export_elsewhere() {
    let (fixture, _) = Fixture::furnished().await;
    fixture.catalog.checkpoint().unwrap();
    let found = fixture.get("/v1/audit/verify").await.json();
    assert_eq!(found["findings"], json!([]));
    let seq = fixture.catalog.state().seq;
    assert_eq!((&found["last"], &found["vouched"]), (&json!(seq), &json!(seq)));
    let listed = fixture.get("/v1/audit/checkpoints").await.json();
    assert_eq!(listed["items"][0]["checkpoint"]["seq"], seq);

    let key = fixture.get("/v1/audit/key").await.json();
    let key = PublicKey::from_pem(key["pem"].as_str().unwrap()).unwrap();
    let export = fixture.get("/v1/audit/export").await.text;
    let lines: Vec<_> = export.lines().map(|line| Line::parse(line.as_bytes()).unwrap()).collect();
    let mut verifier = Verifier::new(vec![key]);
    for line in &lines {
        if let Line::Checkpoint(signed) = line {
            verifier.checkpoint(signed.clone(), "export");
        }
    }
    for line in &lines {
        if let Line::Event(event) = line {
            verifier.event(event.record().seq().unwrap(), &event.record(), "export");
        }
    }
    let found = verifier.finish();
    assert!(found.is_sound() && found.vouched == seq, "{found:?}");
}

#[tokio::test]
async fn a_resource_goes_back_to_what_it_was_by_being_applied_again() {
    let (fixture, _) = Fixture::furnished().await;
    let site = |region: &str, description: &str| {
        format!(
            "apiVersion: towpath/v1\nkind: Site\nmetadata: {{name: office}}\nspec: {{region: {region}, description: {description}}}\n"
        )
    };
    let first = fixture.put("/v1/sites/office", &site("main", "first")).await.json();
    fixture.put("/v1/sites/office", &site("main", "second")).await;
    let history = fixture.get("/v1/sites/office/history").await.json();
    let items = history["items"].as_array().unwrap();
    assert_eq!(
        items[1]["changes"],
        json!([{ "field": "spec.description", "from": "first", "to": "second" }])
    );
    assert_eq!((&items[1]["actor"]["name"], &items[1]["happened"]), (&json!("ada"), &json!("changed")));

    let generation = first["metadata"]["generation"].as_u64().unwrap();
    let back =
        fixture.post("/v1/sites/office/rollback", &json!({ "to": generation }).to_string()).await.json();
    assert_eq!(back["spec"]["description"], "first");
    assert_eq!(back["metadata"]["generation"], fixture.catalog.state().seq, "it is a change like any other");
    let missing = fixture.post("/v1/sites/office/rollback", r#"{"to": 1}"#).await.problem(404);
    assert!(missing.contains(&format!("the trail knows {generation}, ")), "{missing}");

    fixture.delete("/v1/sites/office").await;
    let gone = fixture.catalog.state().seq;
    let refused = fixture.post("/v1/sites/office/rollback", &json!({ "to": gone }).to_string()).await;
    assert!(refused.problem(409).contains("is its deletion"));
    let again = fixture.post("/v1/sites/office/rollback", &json!({ "to": generation }).to_string()).await;
    assert_eq!(again.json()["spec"]["description"], "first", "also one that was deleted comes back");
    assert!(fixture.get("/v1/sites/ofice/history").await.problem(404).contains("did you mean `office`?"));
}

#[tokio::test]
async fn a_way_back_that_would_break_others_is_refused_as_any_other_change() {
    let (fixture, _) = Fixture::furnished().await;
    let source = "apiVersion: towpath/v1\nkind: Source\nmetadata: {name: extra}\nspec: {agent: plant-1, adapter: file, config: {path: /a}}\n";
    let made = fixture.put("/v1/sources/extra", source).await.json();
    for path in
        ["/v1/sources/extra", "/v1/sources/erp", "/v1/routes/orders", "/v1/sinks/crm", "/v1/agents/plant-1"]
    {
        fixture.delete(path).await;
    }
    let order = json!({ "to": made["metadata"]["generation"] }).to_string();
    let refused = fixture.post("/v1/sources/extra/rollback", &order).await.problem(422);
    assert!(refused.contains("there is no agent `plant-1`"), "{refused}");
}
