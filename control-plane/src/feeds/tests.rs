//! The feeds, by long polling and over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::tests::fixture::{Fixture, TOKEN};
use crate::api::{ApiSettings, RateSettings};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const SITE: &str = r#"{"apiVersion":"towpath/v1","kind":"Site","metadata":{"name":"port"}}"#;

/// Serves the API of a fixture and says where.
pub(crate) async fn served(fixture: &Fixture) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = fixture.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A socket that was opened with these arguments and this header.
async fn opened(at: SocketAddr, arguments: &str, token: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://{at}/v1/feed{arguments}").into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

pub(crate) async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::Text(message.to_string().into())).await.unwrap();
}

/// The next message, pings passed over.
pub(crate) async fn hear(socket: &mut Socket) -> Value {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
        match next.expect("nothing is said").expect("the socket is closed").unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// The status of a refused opening.
pub(crate) fn refused(opened: Result<Socket, Error>) -> StatusCode {
    match opened {
        Err(Error::Http(response)) => StatusCode::from_u16(response.status().as_u16()).unwrap(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn ticket(fixture: &Fixture) -> String {
    let created = fixture.post("/v1/feed/ticket", "").await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    created.json()["ticket"].as_str().unwrap().to_owned()
}

fn whats(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["what"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_poll_answers_what_there_is_then_waits_for_what_changes() {
    let (fixture, _) = Fixture::furnished().await;
    let first = fixture.get("/v1/feed/poll?feed=resources&kind=Site").await.json();
    assert_eq!(whats(&first), ["begun", "present", "complete"]);
    let after = first["after"].as_str().unwrap();
    let address = format!("/v1/feed/poll?feed=resources&kind=Site&after={after}");
    let quiet = fixture.get(&format!("{address}&timeout=50ms")).await.json();
    assert_eq!((whats(&quiet), quiet["after"].as_str()), (vec![], Some(after)));

    let waiting = address.clone() + "&timeout=20s";
    let (told, _) = tokio::join!(fixture.get(&waiting), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fixture.put("/v1/sites/port", SITE).await
    });
    let told = told.json();
    assert_eq!(
        (whats(&told), &told["items"][0]["of"]["metadata"]["name"]),
        (vec!["applied"], &json!("port"))
    );
}

#[tokio::test]
async fn a_poll_for_events_misses_none_between_two_requests() {
    let (fixture, _) = Fixture::furnished().await;
    let first = fixture.get("/v1/feed/poll?feed=events&timeout=10ms").await.json();
    assert_eq!(whats(&first), Vec::<&str>::new());
    fixture.put("/v1/sites/port", SITE).await;
    fixture.delete("/v1/sites/port").await;
    let after = first["after"].as_str().unwrap();
    let told = fixture.get(&format!("/v1/feed/poll?feed=events&after={after}")).await.json();
    let events: Vec<_> =
        told["items"].as_array().unwrap().iter().map(|item| item["of"]["event"].clone()).collect();
    assert_eq!(events, ["resource_applied", "resource_deleted"]);
}

#[tokio::test]
async fn the_token_of_one_feed_is_not_taken_for_another() {
    let fixture = Fixture::new();
    for wrong in [
        "feed=status&after=e.1",
        "feed=events&after=m.1",
        "feed=events&after=7",
        "feed=records&stream=a.b&after=e.1",
    ] {
        assert!(
            fixture.get(&format!("/v1/feed/poll?{wrong}")).await.problem(422).contains("no token"),
            "{wrong}"
        );
    }
    fixture.get("/v1/feed/poll?feed=moods").await.problem(422);
    fixture.get("/v1/feed/poll?feed=resources&kind=Syte").await.problem(422);
    assert!(
        fixture.get("/v1/feed/poll?feed=resources&kind=Site&after=e.99").await.problem(410).contains("99")
    );
}

#[tokio::test]
async fn a_socket_carries_several_feeds_each_up_to_its_credit() {
    let (fixture, _) = Fixture::furnished().await;
    let at = served(&fixture).await;
    let mut socket = opened(at, "", Some(TOKEN)).await.unwrap();
    assert_eq!(hear(&mut socket).await["type"], "welcome");
    let topic = json!({ "feed": "resources", "kind": "Site" });
    say(&mut socket, json!({ "type": "subscribe", "id": "sites", "topic": topic, "credit": 1 })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "subscribed", "id": "sites" }));
    let item = hear(&mut socket).await;
    assert_eq!((&item["id"], &item["item"]["what"]), (&json!("sites"), &json!("begun")));
    // The credit is used up: nothing more of it comes, but of another feed it does.
    let topic = json!({ "feed": "status", "every": "1s" });
    say(&mut socket, json!({ "type": "subscribe", "id": "fleet", "topic": topic })).await;
    assert_eq!(hear(&mut socket).await["type"], "subscribed");
    for _ in 0..2 {
        let item = hear(&mut socket).await;
        assert_eq!((&item["id"], &item["item"]["what"]), (&json!("fleet"), &json!("status")));
    }
    say(&mut socket, json!({ "type": "unsubscribe", "id": "fleet" })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "ended", "id": "fleet" }));
    say(&mut socket, json!({ "type": "credit", "id": "sites", "more": 2 })).await;
    let (present, complete) = (hear(&mut socket).await, hear(&mut socket).await);
    assert_eq!(
        (&present["item"]["what"], &complete["item"]["what"]),
        (&json!("present"), &json!("complete"))
    );
    assert!(complete["item"]["after"].as_str().unwrap().starts_with("e."));
}

#[tokio::test]
async fn what_cannot_be_followed_ends_with_its_problem_and_the_socket_stays() {
    let fixture = Fixture::new();
    let at = served(&fixture).await;
    let mut socket = opened(at, "", Some(TOKEN)).await.unwrap();
    hear(&mut socket).await;
    let topic = json!({ "feed": "events" });
    say(&mut socket, json!({ "type": "subscribe", "id": "a", "topic": topic, "after": "m.1" })).await;
    let ended = hear(&mut socket).await;
    assert_eq!((&ended["type"], &ended["problem"]["type"]), (&json!("ended"), &json!("towpath:invalid")));
    for n in 0..16 {
        say(&mut socket, json!({ "type": "subscribe", "id": n.to_string(), "topic": topic })).await;
        assert_eq!(hear(&mut socket).await["type"], "subscribed");
    }
    say(&mut socket, json!({ "type": "subscribe", "id": "one-more", "topic": topic })).await;
    assert_eq!(hear(&mut socket).await["problem"]["type"], "towpath:too-many");
    say(&mut socket, json!({ "type": "subscribe", "id": "3", "topic": topic })).await;
    assert_eq!(hear(&mut socket).await["problem"]["type"], "towpath:conflict");
}

#[tokio::test]
async fn a_ticket_opens_one_socket_and_no_second() {
    let fixture = Fixture::new();
    let at = served(&fixture).await;
    let ticket = ticket(&fixture).await;
    let mut socket = opened(at, &format!("?ticket={ticket}"), None).await.unwrap();
    assert_eq!(hear(&mut socket).await["type"], "welcome");
    assert_eq!(refused(opened(at, &format!("?ticket={ticket}"), None).await), StatusCode::UNAUTHORIZED);
    assert_eq!(refused(opened(at, "?ticket=tpf1.guessed", None).await), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_first_message_can_say_who_it_is_and_nothing_else_goes_before() {
    let fixture = Fixture::new();
    let at = served(&fixture).await;
    let mut known = opened(at, "", None).await.unwrap();
    say(&mut known, json!({ "type": "login", "token": TOKEN })).await;
    assert_eq!(hear(&mut known).await["type"], "welcome");
    for first in [json!({ "type": "login", "token": "wrong" }), json!({ "type": "unsubscribe", "id": "a" })] {
        let mut stranger = opened(at, "", None).await.unwrap();
        say(&mut stranger, first).await;
        let refused = hear(&mut stranger).await;
        assert_eq!((&refused["type"], &refused["problem"]["status"]), (&json!("refused"), &json!(401)));
        assert!(matches!(stranger.next().await, Some(Ok(Message::Close(_)))));
    }
    assert_eq!(refused(opened(at, "", Some("wrong")).await), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_socket_ends_soon_after_its_key_is_taken_back() {
    let fixture = Fixture::new();
    let at = served(&fixture).await;
    let order = json!({ "name": "screen", "grants": [{ "role": "admin" }] });
    let created = fixture.post("/v1/keys", &order.to_string()).await.json();
    let key = created["key"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    let mut socket = opened(at, "", Some(&key)).await.unwrap();
    hear(&mut socket).await;
    say(&mut socket, json!({ "type": "subscribe", "id": "a", "topic": { "feed": "events" } })).await;
    hear(&mut socket).await;
    fixture.delete("/v1/keys/screen").await;
    // What happened before it was looked at again may still be told.
    let mut refused = hear(&mut socket).await;
    while refused["type"] == "item" {
        refused = hear(&mut socket).await;
    }
    assert_eq!((&refused["type"], &refused["problem"]["status"]), (&json!("refused"), &json!(401)));
}

#[tokio::test]
async fn a_socket_ends_when_the_rights_with_which_it_began_are_taken_away() {
    let (fixture, _) = Fixture::furnished().await;
    let bob = fixture.operator("bob").await;
    let at = served(&fixture).await;
    let mut socket = opened(at, "", Some(&bob)).await.unwrap();
    hear(&mut socket).await;
    let topic = json!({ "feed": "resources", "kind": "Site" });
    say(&mut socket, json!({ "type": "subscribe", "id": "sites", "topic": topic })).await;
    while hear(&mut socket).await["item"]["what"] != "complete" {}
    assert_eq!(fixture.delete("/v1/role-bindings/operator-bob").await.status, StatusCode::NO_CONTENT);
    let told = hear(&mut socket).await;
    assert_eq!((&told["type"], &told["problem"]["status"]), (&json!("refused"), &json!(412)));
}

#[tokio::test]
async fn opening_sockets_counts_towards_what_one_may_ask() {
    let rate = RateSettings { per_principal: 1, burst_seconds: 2, ..RateSettings::default() };
    let fixture = Fixture::set_up(&ApiSettings { rate, ..ApiSettings::default() });
    let at = served(&fixture).await;
    assert_eq!(fixture.get("/v1/status").await.status, StatusCode::OK);
    let socket = opened(at, "", Some(TOKEN)).await;
    assert!(socket.is_ok());
    assert_eq!(refused(opened(at, "", Some(TOKEN)).await), StatusCode::TOO_MANY_REQUESTS);
    // Neither can one come in by the first message.
    let mut socket = opened(at, "", None).await.unwrap();
    say(&mut socket, json!({ "type": "login", "token": TOKEN })).await;
    let told = hear(&mut socket).await;
    assert_eq!(
        (&told["type"], &told["problem"]["type"]),
        (&json!("refused"), &json!("towpath:rate-limited"))
    );
}

#[tokio::test]
async fn a_socket_ends_when_the_control_plane_stops() {
    let fixture = Fixture::new();
    let at = served(&fixture).await;
    let mut socket = opened(at, "", Some(TOKEN)).await.unwrap();
    hear(&mut socket).await;
    fixture.service.stop();
    assert_eq!(hear(&mut socket).await["problem"]["status"], 503);
}
