//! Requests that mean one thing to us and another to what stands before us, bodies that are bombs, and tokens that are
//! none: refused, and where someone was denied something, on record.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::attacks::{Server, status};
use super::fixture::{Fixture, TOKEN};
use crate::api::extract::body_within;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_be_read_in_two_ways_is_refused_with_what_it_hides() {
    let server = Server::start().await;
    let hidden =
        format!("DELETE /v1/routes/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    for trick in [
        "content-length: 0\r\ncontent-length: 200\r\n",
        "content-length: 0, 200\r\n",
        "content-length: +0\r\n",
        "content-length: 0x0\r\n",
        "content-length: -1\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "x-folded: a\r\n content-length: 0\r\n",
        "x-nul: a\0b\r\n",
        "x y: z\r\n",
    ] {
        let head = format!(
            "POST /v1/sites HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n{trick}\r\n{hidden}"
        );
        let answer = server.say(head.as_bytes()).await;
        assert!(matches!(status(&answer), 0 | 400), "{trick:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1").count(),
            usize::from(!answer.is_empty()),
            "{trick:?}: {answer}"
        );
    }
    assert_eq!(server.fixture.catalog.state().routes.len(), 1, "what was hidden was not done");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_host_leads_nowhere_else() {
    let server = Server::start().await;
    for line in [
        "GET http://169.254.169.254/latest/meta-data",
        "GET https://127.0.0.1:1/",
        "CONNECT 127.0.0.1:22",
        "OPTIONS *",
        "TRACE /v1/sites",
        "GET v1/sites",
    ] {
        let answer = server.ask(line, "").await;
        assert!(matches!(status(&answer), 0 | 400 | 404 | 405), "{line}: {answer}");
        assert!(!answer.contains(TOKEN), "{line}: {answer}");
    }
    // Whose name stands in front changes nothing.
    let ours =
        server.ask("GET http://evil.example/v1/sites/plant", "x-forwarded-host: evil.example\r\n").await;
    assert_eq!(status(&ours), 200);
    assert!(!ours.contains("evil.example"), "{ours}");
}

#[tokio::test]
async fn however_a_body_is_packed_it_is_not_unpacked() {
    let fixture = Fixture::new();
    let bearer = format!("Bearer {TOKEN}");
    for coding in
        ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "identity, br"]
    {
        for (method, path, kind) in [
            (Method::POST, "/v1/apply", "application/yaml"),
            (Method::POST, "/v1/keys", "application/json"),
            (Method::PATCH, "/v1/sites/plant", "application/merge-patch+json"),
        ] {
            let headers =
                [("authorization", bearer.as_str()), ("content-encoding", coding), ("content-type", kind)];
            let answer = fixture.ask(method, path, &headers, Body::from(vec![0x1f; 64])).await;
            answer.problem(415);
            assert_eq!(answer.header("accept-encoding"), "identity", "{path} {coding}");
        }
    }
}

#[tokio::test]
async fn a_body_that_nests_without_end_is_refused() {
    let fixture = Fixture::new();
    for opening in ["[", "{\"a\":", "[{\"name\":"] {
        let deep = opening.repeat(200_000);
        for path in ["/v1/keys", "/v1/apply", "/v1/routes/x/replay"] {
            let answer = fixture.post(path, &deep).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        }
        let patch = ("content-type", "application/merge-patch+json");
        fixture.with(Method::PATCH, "/v1/sites/plant", patch, &deep).await.problem(422);
    }
    assert_eq!(fixture.get("/v1/sites").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_follows_a_body_is_not_passed_over() {
    let fixture = Fixture::new();
    let order = r#"{"name": "one", "grants": [{"role": "viewer"}]} {"name": "two"}"#;
    assert!(fixture.post("/v1/keys", order).await.problem(422).contains("trailing characters"));
    assert_eq!(fixture.get("/v1/keys").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_body_that_comes_in_drops_is_given_up() {
    let drops = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b"#")), ()))
    });
    let (parts, ()) = Request::post("/v1/apply").body(()).unwrap().into_parts();
    let reading = body_within(Duration::from_millis(200), &parts, Body::from_stream(drops));
    assert_eq!(reading.await.unwrap_err().status(), StatusCode::REQUEST_TIMEOUT);
}

/// What a JWT would be that nobody signed.
fn unsigned(algorithm: &str) -> String {
    use base64::Engine;
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "iss": "https://login.example.com", "sub": "ada", "exp": 4_102_444_800_u64 });
    format!("{}.{}.", part(json!({ "alg": algorithm, "typ": "JWT" })), part(claims))
}

#[tokio::test]
async fn what_is_no_token_opens_nothing_wherever_it_stands_and_is_on_record() {
    let fixture = Fixture::new();
    let (none, confused, long) = (unsigned("none"), unsigned("HS256"), "a".repeat(16 << 10));
    let basic = "Basic YWRhOnRwYTEudGVzdA==";
    let said: Vec<String> = [TOKEN, &none, &confused, &long, "null", "undefined", "", "tpa1."]
        .into_iter()
        .enumerate()
        .map(|(n, token)| if n == 0 { token.to_owned() } else { format!("Bearer {token}") })
        .chain([basic.to_owned(), format!("Bearer{TOKEN}"), format!("Token {TOKEN}")])
        .collect();
    for value in &said {
        let headers = [("authorization", value.as_str())];
        fixture.ask(Method::GET, "/v1/sites", &headers, Body::empty()).await.problem(401);
    }
    let elsewhere = [("cookie", format!("token={TOKEN}")), ("x-api-key", TOKEN.to_owned())];
    for (name, value) in &elsewhere {
        let headers = [(*name, value.as_str())];
        fixture.ask(Method::GET, "/v1/sites", &headers, Body::empty()).await.problem(401);
    }
    let path = format!("/v1/sites?access_token={TOKEN}");
    fixture.send(Method::GET, &path, None, Body::empty()).await.problem(401);

    fixture.catalog.flush_denials(true).unwrap();
    let denied = fixture.get("/v1/audit?outcome=denied").await;
    let counts: u64 =
        denied.json()["items"].as_array().unwrap().iter().map(|e| e["count"].as_u64().unwrap()).sum();
    assert_eq!(said.len() as u64 + 3, counts, "{}", denied.text);
    assert!(!denied.text.contains(TOKEN) && !denied.text.contains(&none), "no token is on record");
}
