//! Requests that are sent again, and too many of them.

use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use futures_util::future::join_all;
use tower::ServiceExt;

use super::fixture::{Fixture, TOKEN};
use crate::api::{ApiSettings, RateSettings};
use crate::http::Peer;

const KEY: (&str, &str) = ("idempotency-key", "k-1");
const ORDER: &str = r#"{"site": "plant"}"#;

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_again_and_done_once() {
    let (fixture, _) = Fixture::furnished().await;
    let before = fixture.catalog.state().seq;
    let first = fixture.with(Method::POST, "/v1/tokens", KEY, ORDER).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    let again = fixture.with(Method::POST, "/v1/tokens", KEY, ORDER).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, "true"));
    assert_eq!(first.text, again.text);
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
    assert_eq!(fixture.catalog.state().seq, before + 1);

    let other = fixture.with(Method::POST, "/v1/tokens", KEY, r#"{"site": "plant", "ttl": "5m"}"#).await;
    assert!(other.problem(422).contains("came with another request"));
    assert_eq!(other.json()["type"], "towpath:idempotency-key-reused");
    let elsewhere = fixture.with(Method::DELETE, "/v1/routes/orders", KEY, "").await;
    elsewhere.problem(422);
    let fresh = fixture.with(Method::POST, "/v1/tokens", ("idempotency-key", "k-2"), ORDER).await;
    assert_ne!(fresh.text, first.text);
}

#[tokio::test]
async fn a_refusal_is_answered_again_as_the_problem_of_its_own_request() {
    let (fixture, _) = Fixture::furnished().await;
    let refused = fixture.with(Method::DELETE, "/v1/sinks/crm", KEY, "").await;
    assert!(refused.problem(409).contains("needed by route orders"));
    fixture.delete("/v1/routes/orders").await;
    let again = fixture.with(Method::DELETE, "/v1/sinks/crm", KEY, "").await;
    assert!(again.problem(409).contains("needed by route orders"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(fixture.delete("/v1/sinks/crm").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_request_that_is_sent_again_after_a_crash_is_answered_again_and_done_once() {
    let (fixture, _) = Fixture::furnished().await;
    let first = fixture.with(Method::POST, "/v1/tokens", KEY, ORDER).await;
    let refused = fixture.with(Method::DELETE, "/v1/sinks/crm", ("idempotency-key", "k-2"), "").await;
    let after = fixture.killed();
    let before = after.catalog.state().seq;
    let again = after.with(Method::POST, "/v1/tokens", KEY, ORDER).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = after.with(Method::POST, "/v1/tokens", KEY, r#"{"site": "plant", "ttl": "5m"}"#).await;
    assert!(other.problem(422).contains("came with another request"));
    let twice = after.with(Method::DELETE, "/v1/sinks/crm", ("idempotency-key", "k-2"), "").await;
    assert_eq!((twice.problem(409), twice.header("idempotency-replayed")), (refused.problem(409), "true"));
    assert_eq!(after.catalog.state().seq, before);
    // Another of the same name does not get the answer, and what is on the disk shows it to nobody.
    let stranger = after.key("other", serde_json::json!([{ "role": "admin" }])).await;
    let headers = [("authorization", &*format!("Bearer {stranger}")), KEY];
    let fresh = after.ask(Method::POST, "/v1/tokens", &headers, ORDER.into()).await;
    assert_eq!((fresh.status, fresh.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    let secret = first.json()["token"].as_str().unwrap().to_owned();
    for file in std::fs::read_dir(after.dir.path().join("idempotency")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}

#[tokio::test]
async fn a_request_is_done_and_known_though_whoever_sent_it_went_away_at_once() {
    let (fixture, _) = Fixture::furnished().await;
    let before = fixture.catalog.state().seq;
    let gone = fixture.with(Method::POST, "/v1/tokens", KEY, ORDER);
    assert!(tokio::time::timeout(std::time::Duration::ZERO, gone).await.is_err());
    let mut again = fixture.with(Method::POST, "/v1/tokens", KEY, ORDER).await;
    while again.status == StatusCode::CONFLICT {
        assert_eq!(again.json()["type"], "towpath:in-progress", "{}", again.text);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        again = fixture.with(Method::POST, "/v1/tokens", KEY, ORDER).await;
    }
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, "true"));
    assert_eq!(fixture.catalog.state().seq, before + 1);
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_is_done() {
    let (fixture, _) = Fixture::furnished().await;
    let before = fixture.catalog.state().seq;
    let answers = join_all((0..20).map(|_| fixture.with(Method::POST, "/v1/tokens", KEY, ORDER))).await;
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
        assert_eq!(answer.json()["type"], "towpath:in-progress", "{}", answer.text);
    }
    assert!(answers.iter().any(|answer| answer.status == StatusCode::CREATED));
    assert_eq!(fixture.catalog.state().seq, before + 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let fixture = Fixture::new();
    let long = "k".repeat(256);
    for key in ["", long.as_str()] {
        let answer = fixture.with(Method::POST, "/v1/tokens", ("idempotency-key", key), ORDER).await;
        assert!(answer.problem(422).contains("Idempotency-Key"), "{key}");
    }
    let compressed = [("authorization", "Bearer tpa1.test"), KEY, ("content-encoding", "br")];
    fixture.ask(Method::POST, "/v1/tokens", &compressed, "x".into()).await.problem(415);
}

fn slow() -> ApiSettings {
    let rate = RateSettings { per_principal: 1, per_address: 2, failures_per_address: 1, burst_seconds: 3 };
    ApiSettings { rate, ..ApiSettings::default() }
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let fixture = Fixture::set_up(&slow());
    let first = fixture.get("/v1/sites").await;
    assert_eq!((first.status, first.header("ratelimit")), (StatusCode::OK, "\"principal\";r=2;t=1"));
    assert_eq!(first.header("ratelimit-policy"), "\"principal\";q=3;w=3");
    let answers = join_all((0..5).map(|_| fixture.get("/v1/sites"))).await;
    let refused = answers.iter().find(|answer| answer.status == 429).expect("five are too many");
    assert!(refused.problem(429).contains("try again in 1 s"));
    assert_eq!(
        (refused.header("retry-after"), refused.json()["type"].as_str()),
        ("1", Some("towpath:rate-limited"))
    );
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(fixture.get("/v1/sites").await.status, StatusCode::OK);
}

/// The status of a request from an address, with claims about where it came from.
async fn from(fixture: &Fixture, address: &str, token: &str) -> u16 {
    let mut request = Request::get("/v1/sites")
        .header("authorization", format!("Bearer {token}"))
        .header("x-forwarded-for", uuid::Uuid::new_v4().to_string())
        .header("forwarded", "for=203.0.113.7")
        .body(axum::body::Body::empty())
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(Peer(address.parse().unwrap())));
    fixture.router.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn failures_are_limited_by_the_connection_s_address_and_do_not_shut_out_who_is_known() {
    let rate = RateSettings { failures_per_address: 1, burst_seconds: 3, ..RateSettings::default() };
    let fixture = Fixture::set_up(&ApiSettings { rate, ..ApiSettings::default() });
    let mut statuses = Vec::new();
    for port in 1..=5 {
        statuses.push(from(&fixture, &format!("192.0.2.1:{port}"), "wrong").await);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(from(&fixture, "192.0.2.1:9", TOKEN).await, 200);
    assert_eq!(from(&fixture, "192.0.2.2:9", "wrong").await, 401);
    for port in 1..=3 {
        from(&fixture, &format!("[2001:db8::{port}]:1"), "wrong").await;
    }
    assert_eq!(from(&fixture, "[2001:db8::99]:1", "wrong").await, 429);
    assert_eq!(from(&fixture, "[2001:db8:0:1::1]:1", "wrong").await, 401);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused_before_it_is_looked_at_who_asks() {
    let fixture = Fixture::set_up(&slow());
    let mut refused = 0;
    for port in 1..=20 {
        refused += u32::from(from(&fixture, &format!("192.0.2.1:{port}"), "wrong").await == 429);
    }
    assert!(refused >= 13, "{refused}");
}
