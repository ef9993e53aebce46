//! Keys: made, shown once, scoped, expiring, rotated and taken back.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use towpath_catalog::SecretHash;

use super::fixture::{Answer, Fixture, TOKEN};
use crate::control::bearer::Bearer;

impl Fixture {
    /// Makes a key with these grants.
    pub(crate) async fn key(&self, name: &str, grants: Value) -> String {
        let made = self.post("/v1/keys", &json!({ "name": name, "grants": grants }).to_string()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        made.json()["key"].as_str().unwrap().to_owned()
    }

    async fn get_as(&self, key: &str, path: &str) -> Answer {
        self.send(Method::GET, path, Some(key), Body::empty()).await
    }

    async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(key), Body::from(body.to_string())).await
    }
}

#[tokio::test]
async fn a_key_does_what_its_role_allows_and_its_secret_is_kept_nowhere() {
    let fixture = Fixture::new();
    let key = fixture.key("ci", json!([{ "role": "viewer" }])).await;
    assert!(key.starts_with("tpk1."), "{key}");
    assert_eq!(fixture.get_as(&key, "/v1/sites").await.status, StatusCode::OK);
    let denied = fixture.get_as(&key, "/v1/keys").await.problem(403);
    assert!(denied.contains("api-key:read"), "{denied}");

    let listed = fixture.get("/v1/keys").await;
    let shown = &listed.json()["items"][0];
    assert_eq!((&shown["name"], &shown["state"]), (&json!("ci"), &json!("active")));
    assert_eq!(shown["created_by"], "admin ada");
    assert!(shown["last_used_at"].is_string(), "{shown}");
    let (_, secret) = key.rsplit_once('.').unwrap();
    let hash = String::from(SecretHash::of(&key));
    for path in ["/v1/keys", "/v1/keys/ci", "/v1/events?limit=1000"] {
        let text = fixture.get(path).await.text;
        assert!(!text.contains(secret) && !text.contains(&hash), "{path}: {text}");
    }
}

#[tokio::test]
async fn nobody_makes_or_rotates_a_key_that_may_do_more_than_they() {
    let fixture = Fixture::new();
    fixture.key("root", json!([{ "role": "admin" }])).await;
    let security = fixture.key("sec", json!([{ "role": "security" }])).await;
    let order = |role: &str| json!({ "name": "new", "grants": [{ "role": role }] });
    fixture.post_as(&security, "/v1/keys", &order("admin")).await.problem(403);
    fixture.post_as(&security, "/v1/keys", &order("operator")).await.problem(403);
    fixture.post_as(&security, "/v1/keys/root/rotate", &json!({})).await.problem(403);
    assert_eq!(fixture.post_as(&security, "/v1/keys", &order("viewer")).await.status, StatusCode::CREATED);
    let taken = fixture.post("/v1/keys", &order("viewer").to_string()).await.problem(422);
    assert!(taken.contains("there is a key `new` already"), "{taken}");
    let unknown =
        fixture.post("/v1/keys", r#"{"name": "x", "grants": [{"role": "viewr"}]}"#).await.problem(422);
    assert!(unknown.contains("grants[0].role") && unknown.contains("there is no role `viewr`"), "{unknown}");
    fixture.post("/v1/keys", r#"{"name": "x", "grants": []}"#).await.problem(422);
}

#[tokio::test]
async fn an_expired_key_says_so_and_only_to_whoever_holds_it() {
    let fixture = Fixture::new();
    let made = fixture
        .post("/v1/keys", r#"{"name": "brief", "grants": [{"role": "viewer"}], "ttl": "1ms"}"#)
        .await
        .json();
    let key = made["key"].as_str().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let said = fixture.get_as(key, "/v1/sites").await.problem(401);
    assert!(said.contains("key `brief` expired at"), "{said}");
    let forged = Bearer::key(made["id"].as_str().unwrap().parse().unwrap()).unwrap();
    let said = fixture.get_as(forged.reveal(), "/v1/sites").await.problem(401);
    assert!(!said.contains("brief"), "{said}");

    assert!(fixture.post("/v1/keys/brief/rotate", "{}").await.problem(409).contains("expired"));
    let revived = fixture.post("/v1/keys/brief/rotate", r#"{"ttl": "1h"}"#).await.json();
    assert_eq!(fixture.get_as(revived["key"].as_str().unwrap(), "/v1/sites").await.status, StatusCode::OK);
}

#[tokio::test]
async fn after_a_rotation_both_secrets_hold_for_the_grace_and_then_one() {
    let fixture = Fixture::new();
    let old = fixture.key("ci", json!([{ "role": "viewer" }])).await;
    let rotated = fixture.post("/v1/keys/ci/rotate", r#"{"grace": "1h"}"#).await.json();
    let new = rotated["key"].as_str().unwrap();
    assert_eq!(fixture.get_as(&old, "/v1/sites").await.status, StatusCode::OK);
    assert_eq!(fixture.get_as(new, "/v1/sites").await.status, StatusCode::OK);
    let newest = fixture.post("/v1/keys/ci/rotate", r#"{"grace": "0s"}"#).await.json();
    fixture.get_as(&old, "/v1/sites").await.problem(401);
    fixture.get_as(new, "/v1/sites").await.problem(401);
    assert_eq!(fixture.get_as(newest["key"].as_str().unwrap(), "/v1/sites").await.status, StatusCode::OK);
    assert!(fixture.post("/v1/keys/ci/rotate", r#"{"grace": "31d"}"#).await.problem(422).contains("30d"));
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_its_name_is_free_again() {
    let fixture = Fixture::new();
    let key = fixture.key("ci", json!([{ "role": "viewer" }])).await;
    assert_eq!(fixture.delete("/v1/keys/ci").await.status, StatusCode::NO_CONTENT);
    fixture.get_as(&key, "/v1/sites").await.problem(401);
    assert!(fixture.delete("/v1/keys/ci").await.problem(404).contains("no key `ci`"));
    fixture.key("ci", json!([{ "role": "viewer" }])).await;
    fixture.get_as(&key, "/v1/sites").await.problem(401);
}

#[tokio::test]
async fn a_role_that_a_key_has_is_not_deleted_under_it() {
    let fixture = Fixture::new();
    let role =
        "apiVersion: towpath/v1\nkind: Role\nmetadata: {name: seer}\nspec: {permissions: ['site:read']}\n";
    fixture.put("/v1/roles/seer", role).await;
    let key = fixture.key("ci", json!([{ "role": "seer" }])).await;
    assert_eq!(fixture.get_as(&key, "/v1/sites").await.status, StatusCode::OK);
    fixture.get_as(&key, "/v1/agents").await.problem(403);
    assert!(fixture.delete("/v1/roles/seer").await.problem(409).contains("key ci"));
}

#[tokio::test]
async fn the_first_admins_token_can_be_taken_back() {
    let fixture = Fixture::new();
    let key = fixture.key("root", json!([{ "role": "admin" }])).await;
    assert_eq!(fixture.delete("/v1/admin-token").await.status, StatusCode::NO_CONTENT);
    fixture.get("/v1/sites").await.problem(401);
    let again = fixture.send(Method::DELETE, "/v1/admin-token", Some(&key), Body::empty()).await.problem(404);
    assert!(again.contains("admin-token --reset"), "{again}");
    assert!(!fixture.catalog.state().admin_tokens.is_empty(), "a start would take the control plane for new");
    assert!(fixture.catalog.state().admin(&SecretHash::of(TOKEN)).is_none());
}
