//! Keys, as an admin makes and looks at them.

use serde_json::{Value, json};

use crate::desk::Desk;

const ID: &str = "01970000-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_key_is_made_with_roles_within_a_scope_and_shown_once() {
    let made = json!({ "id": ID, "name": "ci", "key": "tpk1.x.y", "expires_at": "2027-01-31T12:00:00Z" })
        .to_string();
    let desk = Desk::with(&[("POST /v1/keys", 201, &made)]).await;
    let create =
        ["key", "create", "ci", "--role", "viewer", "--site", "hamburg", "--label", "team=a", "--ttl", "90d"];
    let shown = desk.run(&create).await.unwrap();
    assert!(shown.starts_with("tpk1.x.y\n") && shown.contains("until 2027-01-31"), "{shown}");
    let sent: Value = serde_json::from_str(&desk.server.asked()[0].body).unwrap();
    let scope = json!({ "sites": ["hamburg"], "labels": { "team": "a" } });
    assert_eq!(sent, json!({ "name": "ci", "grants": [{ "role": "viewer", "scope": scope }], "ttl": "90d" }));
    assert_eq!(desk.run(&[&create[..], &["--quiet"]].concat()).await.unwrap(), "tpk1.x.y\n");
}

#[tokio::test]
async fn keys_are_listed_with_what_they_may_do() {
    let key = json!({
        "id": ID, "name": "ci", "state": "expired", "created_by": "admin bootstrap", "created_at": "2026-01-31T12:00:00Z",
        "grants": [{ "role": "viewer", "scope": { "sites": ["hamburg"], "streams": ["erp.*"] } }, { "role": "seer" }],
    });
    let listed = json!({ "items": [key] }).to_string();
    let desk = Desk::with(&[("GET /v1/keys", 200, &listed)]).await;
    let page = desk.run(&["key", "list"]).await.unwrap();
    for part in ["ci", "expired", "viewer at hamburg+erp.*, seer", "admin bootstrap", ID] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
}
