//! Every refusal is a problem that names its request, and pages of other origins are let in only by configuration.

use axum::http::{Method, StatusCode};

use super::fixture::{Fixture, TOKEN};
use crate::api::{ApiSettings, CorsSettings};

#[tokio::test]
async fn every_answer_bears_the_id_that_the_event_bears() {
    let fixture = Fixture::new();
    let text = "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant}\n";
    let answer = fixture.with(Method::POST, "/v1/apply", ("x-request-id", "mine"), text).await;
    let id = answer.header("x-request-id").to_owned();
    let event = fixture.catalog.events(0, 100).unwrap().pop().unwrap();
    assert_eq!(event.cause.origin.unwrap().request.to_string(), id);
    assert_ne!(fixture.get("/v1/sites").await.header("x-request-id"), id);
}

#[tokio::test]
async fn a_report_with_refusals_is_a_problem_that_has_the_report() {
    let fixture = Fixture::new();
    let text = "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: a}\n---\n{kind: Site}\n";
    let answer = fixture.post("/v1/apply", text).await;
    assert!(answer.problem(422).contains("1 of 2 documents are refused: site ?"), "{}", answer.text);
    let document = answer.json();
    assert_eq!(document["type"], "towpath:partly-refused");
    assert_eq!(document["results"][0]["outcome"], "created");
    assert_eq!(document["results"][1]["outcome"], "refused");
}

#[tokio::test]
async fn what_layers_below_refuse_is_a_problem_too() {
    let fixture = Fixture::new();
    let compressed = fixture.with(Method::POST, "/v1/apply", ("content-encoding", "gzip"), "x").await;
    assert!(compressed.problem(415).contains("compressed"));
    assert_eq!(compressed.header("accept-encoding"), "identity");
    let wrong = fixture.delete("/v1/status").await;
    wrong.problem(405);
    assert!(wrong.header("allow").contains("GET"));
    let bearer = format!("Bearer {TOKEN}");
    let twice = [("authorization", &*bearer), ("authorization", "Bearer other")];
    let twice = fixture.ask(Method::GET, "/v1/sites", &twice, "".into()).await;
    assert!(twice.problem(400).contains("two `Authorization` headers"));
    assert_eq!(
        fixture.ask(Method::GET, "/v1/sites", &[], "".into()).await.header("www-authenticate"),
        "Bearer"
    );
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_by_configuration() {
    let origin = "https://console.example.com";
    let preflight = [("origin", origin), ("access-control-request-method", "PATCH")];
    let closed = Fixture::new();
    let answer = closed.ask(Method::OPTIONS, "/v1/sites/x", &preflight, "".into()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");

    let cors = CorsSettings { origins: vec![origin.to_owned().try_into().unwrap()] };
    let open = Fixture::set_up(&ApiSettings { cors, ..ApiSettings::default() });
    let answer = open.ask(Method::OPTIONS, "/v1/sites/x", &preflight, "".into()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, origin));
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let other = [("origin", "https://evil.example.com"), ("access-control-request-method", "GET")];
    let answer = open.ask(Method::OPTIONS, "/v1/sites", &other, "".into()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let answer = open.with(Method::GET, "/v1/sites", ("origin", origin), "").await;
    assert!(answer.header("access-control-expose-headers").contains("etag"));
}
