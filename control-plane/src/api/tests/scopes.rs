//! A key that is given within a scope sees and does what lies within it, and nothing else, operation by operation.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use towpath_catalog::SecretHash;

use super::fixture::{Answer, Fixture, name};
use super::watch::Follower;

/// Two sites, each with an agent, a source, a sink and a route.
struct TwoSites {
    fixture: Fixture,
    key: String,
}

impl TwoSites {
    async fn new(role: &str, scope: Value) -> Self {
        let fixture = Fixture::new();
        for site in ["hamburg", "kiel"] {
            let made = format!(
                "apiVersion: towpath/v1\nkind: Site\nmetadata: {{name: {site}, labels: {{at: {site}}}}}\n"
            );
            fixture.post("/v1/apply", &made).await;
            let token = fixture.post("/v1/tokens", &json!({ "site": site }).to_string()).await.json();
            let secret = SecretHash::of(token["token"].as_str().unwrap());
            fixture.catalog.enrol(&secret, &name(&format!("{site}-1")), "0.1.0").unwrap();
            let report = fixture.post("/v1/apply", &resources(site)).await.json();
            assert!(
                report["results"].as_array().unwrap().iter().all(|r| r["outcome"] == "created"),
                "{report}"
            );
        }
        let key = fixture.key("local", json!([{ "role": role, "scope": scope }])).await;
        Self { fixture, key }
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        self.fixture.send(method, path, Some(&self.key), Body::from(body.to_owned())).await
    }

    async fn names(&self, path: &str) -> Vec<String> {
        let listed = self.send(Method::GET, path, "").await.json();
        let name = |one: &Value| {
            one.pointer("/metadata/name").or(one.get("site")).unwrap().as_str().unwrap().to_owned()
        };
        listed["items"].as_array().unwrap().iter().map(name).collect()
    }

    async fn status(&self, method: Method, path: &str, body: &str) -> u16 {
        self.send(method, path, body).await.status.as_u16()
    }
}

fn resources(site: &str) -> String {
    [
        (
            "Source",
            "erp",
            format!("{{agent: {site}-1, adapter: file, config: {{path: /srv}}, release: spool}}"),
        ),
        ("Sink", "crm", format!("{{agent: {site}-1, adapter: sqlite, config: {{path: /db}}}}")),
        ("Route", "orders", format!("{{streams: ['{site}.*'], sink: {site}-crm}}")),
    ]
    .map(|(kind, what, spec)| document(kind, &format!("{site}-{what}"), site, &spec))
    .join("---\n")
}

fn document(kind: &str, name: &str, label: &str, spec: &str) -> String {
    format!(
        "apiVersion: towpath/v1\nkind: {kind}\nmetadata: {{name: {name}, labels: {{at: {label}}}}}\nspec: {spec}\n"
    )
}

#[tokio::test]
async fn a_key_for_a_site_sees_and_changes_what_stands_there() {
    let at = TwoSites::new("author", json!({ "sites": ["hamburg"] })).await;
    for (path, seen) in [
        ("/v1/sites", "hamburg"),
        ("/v1/agents", "hamburg-1"),
        ("/v1/sources", "hamburg-erp"),
        ("/v1/sinks", "hamburg-crm"),
        ("/v1/routes", "hamburg-orders"),
        ("/v1/tokens", "hamburg"),
    ] {
        assert_eq!(at.names(path).await, [seen], "{path}");
    }
    let spec = "{agent: hamburg-1, adapter: sqlite, config: {path: /other}}";
    let put = |name: &str, spec: &str| document("Sink", name, "hamburg", spec);
    assert_eq!(at.status(Method::PUT, "/v1/sinks/hamburg-crm", &put("hamburg-crm", spec)).await, 200);
    assert_eq!(at.status(Method::DELETE, "/v1/sources/hamburg-erp", "").await, 204);
    for (method, path) in [
        (Method::GET, "/v1/sinks/kiel-crm"),
        (Method::DELETE, "/v1/routes/kiel-orders"),
        (Method::DELETE, "/v1/sites/kiel"),
        (Method::POST, "/v1/sources/kiel-erp/check"),
        (Method::GET, "/v1/routes/kiel-orders/describe"),
    ] {
        assert_eq!(at.status(method.clone(), path, "").await, 403, "{method} {path}");
    }
    assert_eq!(
        at.status(Method::POST, "/v1/routes/kiel-orders/replay", r#"{"from": "earliest"}"#).await,
        403
    );
    assert_eq!(at.status(Method::POST, "/v1/tokens", r#"{"site": "kiel"}"#).await, 403);
    assert_eq!(at.status(Method::POST, "/v1/tokens", r#"{"site": "hamburg"}"#).await, 201);
    // Neither is what is there taken away, nor what is elsewhere brought here.
    let away = "{agent: kiel-1, adapter: sqlite, config: {path: /db}}";
    assert_eq!(at.status(Method::PUT, "/v1/sinks/hamburg-crm", &put("hamburg-crm", away)).await, 403);
    assert_eq!(at.status(Method::PUT, "/v1/sinks/kiel-crm", &put("kiel-crm", spec)).await, 403);
}

#[tokio::test]
async fn the_status_of_the_fleet_shows_a_key_for_a_site_that_site() {
    let at = TwoSites::new("viewer", json!({ "sites": ["hamburg"] })).await;
    let text = at.send(Method::GET, "/v1/status", "").await.text;
    assert!(text.contains("hamburg-1") && !text.contains("kiel"), "{text}");
}

#[tokio::test]
async fn a_watcher_is_told_of_what_came_and_went_because_another_resource_moved() {
    let at = TwoSites::new("viewer", json!({ "sites": ["hamburg"] })).await;
    let mut routes = Follower::by(&at.fixture, &at.key, "/v1/routes?watch=true", None).await;
    let (event, _, data) = routes.next().await;
    assert_eq!((&*event, &data["items"][0]["metadata"]["name"]), ("snapshot", &json!("hamburg-orders")));
    let moved = |sink: &str, agent: &str| {
        let spec = format!("{{agent: {agent}, adapter: sqlite, config: {{path: /db}}}}");
        (format!("/v1/sinks/{sink}"), document("Sink", sink, "x", &spec))
    };
    let (path, sink) = moved("hamburg-crm", "kiel-1");
    assert_eq!(at.fixture.put(&path, &sink).await.status, StatusCode::OK);
    let (event, _, data) = routes.next().await;
    assert_eq!((&*event, &data["name"]), ("deleted", &json!("hamburg-orders")));
    let (path, sink) = moved("kiel-crm", "hamburg-1");
    assert_eq!(at.fixture.put(&path, &sink).await.status, StatusCode::OK);
    let (event, _, data) = routes.next().await;
    assert_eq!((&*event, &data["metadata"]["name"]), ("applied", &json!("kiel-orders")));
}

#[tokio::test]
async fn a_key_for_streams_sees_their_routes_and_reads_no_others() {
    let at = TwoSites::new("operator", json!({ "streams": ["kiel.*"] })).await;
    assert_eq!(at.names("/v1/routes").await, ["kiel-orders"]);
    assert_eq!(at.names("/v1/sources").await, Vec::<String>::new());
    assert_eq!(at.status(Method::GET, "/v1/streams/hamburg.orders/records", "").await, 403);
    assert_eq!(at.status(Method::GET, "/v1/streams/kiel.orders/records", "").await, 404, "there is none yet");
}

#[tokio::test]
async fn a_key_for_a_label_sees_what_bears_it_and_may_not_take_it_off() {
    let at = TwoSites::new("author", json!({ "labels": { "at": "kiel" } })).await;
    assert_eq!(at.names("/v1/sinks").await, ["kiel-crm"]);
    let spec = "{agent: kiel-1, adapter: sqlite, config: {path: /db}}";
    let relabelled = document("Sink", "kiel-crm", "hamburg", spec);
    assert_eq!(at.status(Method::PUT, "/v1/sinks/kiel-crm", &relabelled).await, 403);
    assert_eq!(
        at.status(Method::PUT, "/v1/sinks/kiel-crm", &document("Sink", "kiel-crm", "kiel", spec)).await,
        200
    );
}

#[tokio::test]
async fn a_scope_never_reaches_who_may_do_what() {
    let at = TwoSites::new("admin", json!({ "sites": ["hamburg"] })).await;
    for path in ["/v1/keys", "/v1/users", "/v1/sessions", "/v1/events", "/v1/keys/local"] {
        assert_eq!(at.status(Method::GET, path, "").await, 403, "{path}");
    }
    let wide = r#"{"name": "wide", "grants": [{"role": "viewer"}]}"#;
    assert_eq!(at.status(Method::POST, "/v1/keys", wide).await, 403);
    assert_eq!(at.status(Method::DELETE, "/v1/admin-token", "").await, 403);
    assert_eq!(at.send(Method::GET, "/v1/auth/whoami", "").await.status, StatusCode::OK);
    assert_eq!(at.names("/v1/roles").await, Vec::<String>::new());
}
