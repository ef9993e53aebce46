//! Resources, tokens and events through the API.

use axum::http::StatusCode;
use towpath_catalog::{EventKind, SecretHash};

use super::fixture::{Fixture, name};

#[tokio::test]
async fn each_document_is_taken_or_refused_by_itself_with_line_and_remedy() {
    let (fixture, _) = Fixture::furnished().await;
    let text = "apiVersion: towpath/v1\nkind: Source\nmetadata: {name: second}\nspec:\n  agent: plant1\n  adapter: file\n---\n\
                apiVersion: towpath/v1\nkind: Site\nmetadata: {name: office}\n---\n\
                apiVersion: towpath/v1\nkind: Site\nmetadata: {name: hall}\nspec: {regoin: main}\n";
    let before = fixture.catalog.state().seq;
    let report = fixture.post("/v1/apply?dry_run=true", text).await.json();
    assert_eq!((report["dry_run"].as_bool(), fixture.catalog.state().seq), (Some(true), before));
    assert_eq!(report["results"][1]["outcome"], "created");

    let report = fixture.post("/v1/apply", text).await.json();
    let results = &report["results"];
    assert_eq!(results[0]["outcome"], "refused");
    assert_eq!(results[0]["faults"][0]["path"], "spec.agent");
    assert_eq!(results[0]["faults"][0]["place"]["line"], 5);
    assert!(results[0]["faults"][0]["message"].as_str().unwrap().contains("did you mean `plant-1`?"));
    assert_eq!(
        (results[1]["outcome"].as_str(), results[1]["generation"].as_u64()),
        (Some("created"), Some(before + 1))
    );
    assert!(results[2]["faults"][0]["message"].as_str().unwrap().contains("did you mean `region`?"));
    assert!(fixture.catalog.state().sites.contains_key(&name("office")));

    assert!(fixture.post("/v1/apply", "a: [").await.problem(422).contains("line 1"));
    assert!(fixture.post("/v1/apply", "").await.problem(422).contains("no document"));
    assert!(fixture.post("/v1/apply?dryrun=true", text).await.problem(422).contains("dry_run"));
}

#[tokio::test]
async fn a_resource_is_put_shown_listed_and_deleted() {
    let (fixture, _) = Fixture::furnished().await;
    let site = r#"{"apiVersion": "towpath/v1", "kind": "Site", "metadata": {"name": "office"}, "spec": {}}"#;
    assert_eq!(fixture.put("/v1/sites/office", site).await.json()["metadata"]["name"], "office");
    assert!(
        fixture
            .put("/v1/sites/other", site)
            .await
            .problem(422)
            .contains("does not belong at /v1/sites/other")
    );
    assert_eq!(fixture.get("/v1/sites").await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(fixture.get("/v1/sites/plant").await.json()["status"]["agents"], 1);
    assert_eq!(fixture.delete("/v1/sites/office").await.status, StatusCode::NO_CONTENT);
    assert!(fixture.delete("/v1/sites/office").await.problem(404).contains("there is no site `office`"));
    assert!(fixture.get("/v1/sources/erq").await.problem(404).contains("did you mean `erp`?"));
    assert!(fixture.get("/v1/sources/no%20name").await.problem(404).contains("there is no source"));
    assert!(fixture.delete("/v1/sinks/crm").await.problem(409).contains("needed by route orders"));
}

#[tokio::test]
async fn what_is_shown_can_be_put_back() {
    let (fixture, _) = Fixture::furnished().await;
    for path in
        ["/v1/sites/plant", "/v1/agents/plant-1", "/v1/sources/erp", "/v1/sinks/crm", "/v1/routes/orders"]
    {
        let seq = fixture.catalog.state().seq;
        let shown = fixture.get(path).await;
        assert!(shown.json()["status"].is_object(), "{path}");
        assert_eq!(fixture.put(path, &shown.text).await.status, StatusCode::OK, "{path}");
        assert_eq!(fixture.catalog.state().seq, seq, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_listed_without_its_secret() {
    let (fixture, _) = Fixture::furnished().await;
    let created = fixture.post("/v1/tokens", r#"{"site": "plant", "ttl": "10m"}"#).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let token = created.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("tp1."));
    let listed = fixture.get("/v1/tokens").await;
    assert!(!listed.text.contains(&token));
    let states: Vec<_> =
        listed.json()["items"].as_array().unwrap().iter().map(|t| t["state"].clone()).collect();
    assert_eq!(states, ["used", "open"]);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(fixture.delete(&format!("/v1/tokens/{id}")).await.status, StatusCode::NO_CONTENT);
    assert!(fixture.delete(&format!("/v1/tokens/{id}")).await.problem(404).contains("towpath token list"));
    assert!(fixture.catalog.enrol(&SecretHash::of(&token), &name("x"), "0").is_err());

    assert!(
        fixture
            .post("/v1/tokens", r#"{"site": "plnt"}"#)
            .await
            .problem(404)
            .contains("did you mean `plant`?")
    );
    assert!(
        fixture.post("/v1/tokens", r#"{"site": "plant", "ttl": "90d"}"#).await.problem(422).contains("30d")
    );
    assert!(
        fixture
            .post("/v1/tokens", r#"{"siet": "plant"}"#)
            .await
            .problem(422)
            .contains("did you mean `site`?")
    );
}

#[tokio::test]
async fn an_agent_is_revoked_and_the_events_tell_by_whom() {
    let (fixture, agent) = Fixture::furnished().await;
    assert_eq!(fixture.post("/v1/agents/plant-1/revoke", "").await.json()["status"]["revoked"], true);
    assert!(!fixture.catalog.state().admits(agent));
    assert!(fixture.post("/v1/agents/plant/revoke", "").await.problem(404).contains("did you mean"));
    let last = fixture.catalog.events(0, 1_000).unwrap().pop().unwrap();
    assert!(matches!(last.kind, EventKind::AgentRevoked { .. }));
    let events = fixture.get(&format!("/v1/events?after={}", last.seq - 1)).await.json();
    assert_eq!(events["items"][0]["event"], "agent_revoked");
    assert_eq!(events["items"][0]["actor"]["name"], "ada");
    let all = fixture.get("/v1/events?limit=1000").await;
    assert!(all.text.contains("token_created") && !all.text.contains("\"hash\""), "{}", all.text);
}
