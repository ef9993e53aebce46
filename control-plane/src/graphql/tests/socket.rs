//! Subscriptions over a real socket, in the protocol graphql-transport-ws.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::tests::fixture::{Fixture, TOKEN};
use crate::feeds::tests::{Socket, hear, refused, say, served};

/// A socket that was opened with this header and asked for this protocol.
async fn opened(at: SocketAddr, protocol: Option<&str>, token: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://{at}/graphql").into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// A socket on which this token was said.
async fn known(fixture: &Fixture, token: &str) -> Socket {
    let mut socket = opened(served(fixture).await, Some("graphql-transport-ws"), None).await.unwrap();
    let payload = json!({ "authorization": format!("Bearer {token}") });
    say(&mut socket, json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "connection_ack" }));
    socket
}

async fn subscribe(socket: &mut Socket, id: &str, query: &str) {
    say(socket, json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
}

/// The data of the next answer to this operation.
async fn next(socket: &mut Socket, id: &str) -> Value {
    let mut told = hear(socket).await;
    assert_eq!((&told["type"], &told["id"]), (&json!("next"), &json!(id)), "{told}");
    assert!(told["payload"].get("errors").is_none(), "{told}");
    told["payload"]["data"].take()
}

/// The code with which the socket is closed, whatever is told before.
async fn closed(socket: &mut Socket) -> u16 {
    loop {
        match tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("it stays open") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

const SITE: &str = r#"{"apiVersion":"towpath/v1","kind":"Site","metadata":{"name":"port"}}"#;

#[tokio::test]
async fn resources_are_told_then_what_changes_and_a_later_socket_goes_on_there() {
    let (fixture, _) = Fixture::furnished().await;
    let mut socket = known(&fixture, TOKEN).await;
    let query = "subscription { sites { what name resource { spec { description } } after } }";
    subscribe(&mut socket, "a", query).await;
    let mut told = Vec::new();
    let after = loop {
        let item = next(&mut socket, "a").await["sites"].take();
        told.push((item["what"].clone(), item["name"].clone()));
        if item["after"].is_string() {
            break item["after"].clone();
        }
    };
    assert_eq!(
        told,
        [(json!("begun"), Value::Null), (json!("present"), json!("plant")), (json!("complete"), Value::Null)]
    );
    fixture.put("/v1/sites/port", SITE).await;
    let applied = next(&mut socket, "a").await;
    assert_eq!((&applied["sites"]["what"], &applied["sites"]["name"]), (&json!("applied"), &json!("port")));
    say(&mut socket, json!({ "type": "complete", "id": "a" })).await;
    drop(socket);

    fixture.delete("/v1/sites/port").await;
    let mut later = known(&fixture, TOKEN).await;
    let query = format!("subscription {{ sites(after: {after}) {{ what name resource {{ kind }} }} }}");
    subscribe(&mut later, "b", &query).await;
    let deleted = next(&mut later, "b").await;
    assert_eq!(deleted["sites"], json!({ "what": "deleted", "name": "port", "resource": null }));
}

#[tokio::test]
async fn status_events_and_plain_queries_come_over_one_socket() {
    let (fixture, _) = Fixture::furnished().await;
    let mut socket = known(&fixture, TOKEN).await;
    subscribe(&mut socket, "fleet", r#"subscription { status(every: "1s") { status { agents { name } } } }"#)
        .await;
    assert_eq!(next(&mut socket, "fleet").await["status"]["status"]["agents"][0]["name"], "plant-1");
    say(&mut socket, json!({ "type": "complete", "id": "fleet" })).await;
    subscribe(&mut socket, "events", "subscription { events { event } }").await;
    // What is asked for later is answered before anything happens.
    subscribe(&mut socket, "q", r#"mutation { putSite(metadata: {name: "port"}) { kind } }"#).await;
    let (mut told, mut done) = (Vec::new(), false);
    while told.len() < 2 || !done {
        let word = hear(&mut socket).await;
        match word["type"].as_str().unwrap() {
            "next" => told.push(word["payload"]["data"].clone()),
            "complete" => done = word["id"] == "q",
            other => panic!("{other}: {word}"),
        }
    }
    let event = told.iter().find_map(|data| data["events"].get("event")).unwrap();
    assert_eq!(
        (&event["event"], &event["origin"]["interface"]),
        (&json!("resource_applied"), &json!("graphql"))
    );
    say(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn what_cannot_be_followed_ends_with_its_error_and_the_socket_stays() {
    let fixture = Fixture::new();
    let viewer = fixture.key("looker", json!([{ "role": "viewer" }])).await;
    let mut socket = known(&fixture, &viewer).await;
    for (query, code) in [
        ("subscription { events { event } }", "denied"),
        ("subscription { sites(after: \"m.1\") { what } }", "invalid"),
        ("subscription { sites { colour } }", "invalid"),
        ("subscription { sites { what } agents { what } }", "invalid"),
        ("subscription { ...A } fragment A on Subscription { ...A }", "too-costly"),
        ("{", "invalid"),
    ] {
        subscribe(&mut socket, "a", query).await;
        let told = hear(&mut socket).await;
        assert_eq!((&told["type"], &told["id"]), (&json!("error"), &json!("a")), "{query}: {told}");
        assert_eq!(told["payload"][0]["extensions"]["code"], code, "{query}: {told}");
    }
    let denied = fixture.get("/v1/audit?outcome=denied&limit=1").await.json();
    assert_eq!(denied["items"][0]["origin"]["interface"], "graphql");
    subscribe(&mut socket, "a", "{ whoami { who } }").await;
    assert!(next(&mut socket, "a").await["whoami"]["who"].as_str().unwrap().contains("looker"));
}

#[tokio::test]
async fn whoever_is_not_known_hears_nothing() {
    let fixture = Fixture::new();
    let at = served(&fixture).await;
    let protocol = Some("graphql-transport-ws");
    for (first, code) in [
        (
            json!({ "type": "subscribe", "id": "a", "payload": { "query": "{ __schema { types { name } } }" } }),
            4401,
        ),
        (json!({ "type": "connection_init" }), 4403),
        (json!({ "type": "connection_init", "payload": { "authorization": "Bearer wrong" } }), 4403),
        (json!({ "type": "connection_init", "payload": { "authorization": TOKEN } }), 4403),
        (json!({ "type": "steal" }), 4400),
    ] {
        let mut stranger = opened(at, protocol, None).await.unwrap();
        say(&mut stranger, first.clone()).await;
        assert_eq!(closed(&mut stranger).await, code, "{first}");
    }
    assert_eq!(refused(opened(at, protocol, Some("wrong")).await), StatusCode::UNAUTHORIZED);
    assert_eq!(refused(opened(at, None, Some(TOKEN)).await), StatusCode::UNPROCESSABLE_ENTITY);
    let mut twice = opened(at, protocol, Some(TOKEN)).await.unwrap();
    say(
        &mut twice,
        json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {TOKEN}") } }),
    )
    .await;
    assert_eq!(closed(&mut twice).await, 4403);
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_cut() {
    let fixture = Fixture::new();
    let mut socket = known(&fixture, TOKEN).await;
    say(&mut socket, json!({ "type": "connection_init" })).await;
    assert_eq!(closed(&mut socket).await, 4429);
    let mut socket = known(&fixture, TOKEN).await;
    subscribe(&mut socket, "a", "subscription { events { event } }").await;
    subscribe(&mut socket, "a", "subscription { events { event } }").await;
    assert_eq!(closed(&mut socket).await, 4409);
    let mut socket = known(&fixture, TOKEN).await;
    for n in 0..17 {
        subscribe(&mut socket, &n.to_string(), "subscription { events { event } }").await;
    }
    assert_eq!(closed(&mut socket).await, 4429);
}

#[tokio::test]
async fn a_subscription_ends_soon_after_its_role_is_taken_away() {
    let fixture = Fixture::new();
    let password = "correct horse battery";
    let user = json!({ "name": "grace", "password": password }).to_string();
    assert_eq!(fixture.post("/v1/users", &user).await.status, StatusCode::CREATED);
    let binding = json!({ "apiVersion": "towpath/v1", "kind": "RoleBinding", "metadata": { "name": "grace" },
        "spec": { "role": "viewer", "subjects": [{ "user": "grace" }] } });
    let bound = fixture.put("/v1/role-bindings/grace", &binding.to_string()).await;
    assert_eq!(bound.status, StatusCode::CREATED, "{}", bound.text);
    let login = json!({ "user": "grace", "password": password }).to_string();
    let session = fixture.post("/v1/auth/login", &login).await.json();
    let mut socket = known(&fixture, session["access_token"].as_str().unwrap()).await;
    subscribe(&mut socket, "a", r#"subscription { status(every: "1s") { after } }"#).await;
    next(&mut socket, "a").await;
    fixture.delete("/v1/role-bindings/grace").await;
    let mut told = hear(&mut socket).await;
    while told["type"] == "next" {
        told = hear(&mut socket).await;
    }
    assert_eq!((&told["type"], &told["id"]), (&json!("error"), &json!("a")), "{told}");
    assert_eq!(closed(&mut socket).await, 4403);
}

#[tokio::test]
async fn a_socket_ends_when_its_key_is_taken_back_and_when_the_control_plane_stops() {
    let fixture = Fixture::new();
    let key = fixture.key("screen", json!([{ "role": "admin" }])).await;
    let mut socket = known(&fixture, &key).await;
    fixture.delete("/v1/keys/screen").await;
    assert_eq!(closed(&mut socket).await, 4403);
    let mut socket = known(&fixture, TOKEN).await;
    fixture.service.stop();
    assert_eq!(closed(&mut socket).await, 1001);
}
