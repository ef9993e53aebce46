//! Rights that are taken away or narrowed end the long answers that began with them.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;
use towpath_record::StreamName;

use super::fixture::Fixture;
use super::watch::Follower;
use crate::service::plane::StreamFlow;

const BINDING: &str = "/v1/role-bindings/operator-bob";

/// The same role, at one site only.
const NARROWER: &str = "apiVersion: towpath/v1
kind: RoleBinding
metadata: {name: operator-bob}
spec: {role: operator, subjects: [{user: bob}], scope: {sites: [plant]}}
";

#[tokio::test]
async fn a_watch_ends_when_the_right_to_it_is_taken_away() {
    let (fixture, _) = Fixture::furnished().await;
    let bob = fixture.operator("bob").await;
    let mut sites = Follower::by(&fixture, &bob, "/v1/sites?watch=true", None).await;
    assert_eq!(sites.next().await.0, "snapshot");
    assert_eq!(fixture.delete(BINDING).await.status, 204);
    let (event, _, data) = sites.next().await;
    assert_eq!(event, "ended");
    assert!(data["reason"].as_str().unwrap().contains("site:read"), "{data}");
}

#[tokio::test]
async fn a_watch_ends_when_the_right_to_it_is_narrowed_and_the_next_shows_what_is_left() {
    let (fixture, _) = Fixture::furnished().await;
    fixture.put("/v1/sites/port", "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: port}\n").await;
    let bob = fixture.operator("bob").await;
    let path = "/v1/sites?watch=true";
    let mut sites = Follower::by(&fixture, &bob, path, None).await;
    assert_eq!(sites.next().await.2["items"].as_array().unwrap().len(), 2);
    assert_eq!(fixture.put(BINDING, NARROWER).await.status, 200);
    let (event, _, data) = sites.next().await;
    assert_eq!((&*event, &data["reason"]), ("ended", &json!("your rights were changed; ask again")));
    let mut again = Follower::by(&fixture, &bob, path, None).await;
    let (_, _, data) = again.next().await;
    let items = data["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["metadata"]["name"]), (1, &json!("plant")));
}

#[tokio::test]
async fn the_records_of_a_stream_that_is_followed_end_when_the_right_to_them_is_taken_away() {
    let fixture = Fixture::new();
    let stream = StreamName::new("erp.orders").unwrap();
    fixture.plane.snapshot.lock().streams.insert(stream, StreamFlow::default());
    let bob = fixture.operator("bob").await;
    let path = "/v1/streams/erp.orders/records?follow=true";
    let (answer, gone) = tokio::join!(fixture.send(Method::GET, path, Some(&bob), Body::empty()), async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        fixture.delete(BINDING).await.status
    });
    assert_eq!((answer.status.as_u16(), gone.as_u16()), (200, 204));
    assert!(answer.text.contains("record:read"), "{}", answer.text);
}

#[tokio::test]
async fn a_long_poll_ends_when_the_right_to_it_is_taken_away() {
    let (fixture, _) = Fixture::furnished().await;
    let bob = fixture.operator("bob").await;
    let address = "/v1/feed/poll?feed=resources&kind=Site";
    let begun = fixture.send(Method::GET, address, Some(&bob), Body::empty()).await.json();
    let waiting = format!("{address}&timeout=40s&after={}", begun["after"].as_str().unwrap());
    let (answer, _) = tokio::join!(fixture.send(Method::GET, &waiting, Some(&bob), Body::empty()), async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        fixture.delete(BINDING).await
    });
    assert!(answer.problem(412).contains("your rights were changed"));
}
