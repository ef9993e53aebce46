//! Who is let in, what is too much, and that the document tells the truth about the doors.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tower::ServiceExt;

use super::fixture::Fixture;
use crate::api::{ProblemType, endpoints, openapi};
use crate::service::Need;

/// An address with its placeholders filled in.
pub(super) fn concrete(path: &str) -> String {
    path.replace("{kind}", "sites").replace("{name}", "x").replace("{stream}", "x").replace("{id}", "x")
}

#[tokio::test]
async fn nothing_but_health_the_document_and_how_to_log_in_is_told_to_strangers() {
    let fixture = Fixture::new();
    for endpoint in
        endpoints().into_iter().filter(|endpoint| endpoint.guarded && endpoint.need != Need::Nothing)
    {
        for token in [None, Some("wrong"), Some("")] {
            let answer =
                fixture.send(endpoint.method.clone(), &concrete(&endpoint.path), token, Body::empty()).await;
            let said = answer.problem(401);
            assert!(said.contains("towpath login"), "{} {}: {said}", endpoint.method, endpoint.path);
        }
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"] {
        let answer = fixture.send(Method::GET, path, None, Body::empty()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn every_documented_operation_is_there_and_every_reference_resolves() {
    let fixture = Fixture::new();
    let key = fixture.key("all", serde_json::json!([{ "role": "admin" }])).await;
    let document = openapi::document();
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path} {method}");
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let answer = fixture.send(method.clone(), &concrete(path), Some(&key), Body::empty()).await;
            let text = &answer.text;
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!text.contains("lists every address"), "{method} {path}: {text}");
        }
    }
    assert!(ids.len() > 30, "{ids:?}");
    let mut unresolved = Vec::new();
    check_references(&document, &document, &mut unresolved);
    assert_eq!(unresolved, Vec::<String>::new());
    for kind in ["Site", "Agent", "Source", "Sink", "Route", "FleetStatus", "Problem"] {
        assert!(document["components"]["schemas"][kind].is_object(), "{kind}");
    }
}

fn check_references(document: &Value, value: &Value, unresolved: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap_or("/nowhere");
                if document.pointer(pointer).is_none() {
                    unresolved.push(reference.clone());
                }
            }
            members.values().for_each(|member| check_references(document, member, unresolved));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item, unresolved)),
        _ => {}
    }
}

#[tokio::test]
async fn an_address_or_method_that_is_not_there_is_a_problem_too() {
    let fixture = Fixture::new();
    assert!(fixture.get("/v1/moods").await.problem(404).contains("/openapi.json"));
    assert!(fixture.delete("/v1/status").await.problem(405).contains("does not take DELETE"));
}

#[tokio::test]
async fn the_api_shares_its_port_with_enrolment() {
    let fixture = Fixture::new();
    let enrolment = Router::new().route("/towpath.enrol.v1.Enrolment/{*rest}", post(|| async { "enrolled" }));
    let both = fixture.router.clone().merge(enrolment.fallback(|| async { "unimplemented" }));
    let answer = async |path: &str| {
        let response = both.clone().oneshot(Request::post(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap())
    };
    assert_eq!(answer("/towpath.enrol.v1.Enrolment/Enrol").await.1, "enrolled");
    assert_eq!(answer("/v1/tokens").await.0, StatusCode::UNAUTHORIZED);
    let (status, text) = answer("/elsewhere/at/all").await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("/openapi.json"), "{text}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_not_read() {
    let fixture = Fixture::new();
    let body = "#".repeat(9 << 20);
    assert!(fixture.post("/v1/apply", &body).await.problem(413).contains("8 MiB"));
    assert!(fixture.post("/v1/tokens", &body).await.problem(413).contains("8 MiB"));
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let fixture = Fixture::new();
    *fixture.plane.unready.lock() = Some("the region log is read-only".to_owned());
    let answer = fixture.send(Method::GET, "/readyz", None, Body::empty()).await;
    assert_eq!(answer.problem(503), "the region log is read-only");
}

fn docs(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_document_in_the_docs_is_the_one_that_is_served() {
    let committed: Value = serde_json::from_str(&docs("openapi.json")).unwrap();
    assert!(committed == openapi::document(), "docs/openapi.json is of another API; run `cargo x openapi`");
}

#[test]
fn every_type_of_problem_is_in_the_docs() {
    let page = docs("api.md");
    for kind in ProblemType::ALL {
        let row = format!("| {} | `{}` | {} |\n", kind.status().as_u16(), kind.uri(), kind.meaning());
        assert!(page.contains(&row), "docs/api.md lacks: {row}");
    }
}
