//! Resources as they change.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::Value;
use tower::ServiceExt;

use super::fixture::{Fixture, TOKEN};

/// An event of the stream: its name, id and data.
pub(super) type Seen = (String, Option<u64>, Value);

pub(super) struct Follower {
    body: BodyDataStream,
    text: String,
}

impl Follower {
    async fn of(fixture: &Fixture, path: &str, last: Option<&str>) -> Self {
        Self::by(fixture, TOKEN, path, last).await
    }

    pub(super) async fn by(fixture: &Fixture, token: &str, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(path).header("authorization", format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = fixture.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    pub(super) async fn next(&mut self) -> Seen {
        let wait = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let event = event.to_owned();
                    self.text = rest.to_owned();
                    return read(&event);
                }
                let chunk = self.body.next().await.expect("the stream goes on").unwrap();
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("an event comes")
    }
}

fn read(event: &str) -> Seen {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = serde_json::from_str(field("data:").unwrap()).unwrap();
    (field("event:").unwrap().to_owned(), field("id:").map(|id| id.parse().unwrap()), data)
}

async fn put(fixture: &Fixture, name: &str, env: &str) -> u64 {
    let site =
        format!("apiVersion: towpath/v1\nkind: Site\nmetadata: {{name: {name}, labels: {{env: {env}}}}}\n");
    let answer = fixture.put(&format!("/v1/sites/{name}"), &site).await;
    answer.json()["metadata"]["generation"].as_u64().unwrap_or_else(|| panic!("{}", answer.text))
}

#[tokio::test]
async fn what_there_is_comes_first_and_then_each_change() {
    let (fixture, _) = Fixture::furnished().await;
    let mut follower = Follower::of(&fixture, "/v1/sites?watch=true", None).await;
    let (event, id, data) = follower.next().await;
    assert_eq!((&*event, data["items"][0]["metadata"]["name"].as_str()), ("snapshot", Some("plant")));
    assert_eq!((id, data["complete"].as_bool()), (Some(fixture.catalog.state().seq), Some(true)));

    let seq = put(&fixture, "office", "prod").await;
    let (event, id, data) = follower.next().await;
    assert_eq!((&*event, id, data["metadata"]["name"].as_str()), ("applied", Some(seq), Some("office")));
    assert_eq!(data["status"]["agents"], 0);
    fixture.delete("/v1/routes/orders").await;
    fixture.delete("/v1/sites/office").await;
    let (event, id, data) = follower.next().await;
    assert_eq!((&*event, id, data["name"].as_str()), ("deleted", Some(seq + 2), Some("office")));
}

#[tokio::test]
async fn a_long_list_comes_in_parts_and_only_the_last_can_be_gone_on_from() {
    let fixture = Fixture::new();
    for n in 0..205 {
        put(&fixture, &format!("s{n:03}"), "x").await;
    }
    let mut follower = Follower::of(&fixture, "/v1/sites?watch=true", None).await;
    let mut sizes = Vec::new();
    for complete in [false, false, true] {
        let (event, id, data) = follower.next().await;
        assert_eq!(
            (&*event, id.is_some(), data["complete"].as_bool()),
            ("snapshot", complete, Some(complete))
        );
        sizes.push(data["items"].as_array().unwrap().len());
    }
    assert_eq!(sizes, [100, 100, 5]);
}

#[tokio::test]
async fn a_follower_goes_on_where_it_ended_without_gap_or_repeat() {
    let fixture = Fixture::new();
    let first = put(&fixture, "a", "x").await;
    let second = put(&fixture, "b", "x").await;
    put(&fixture, "c", "x").await;
    fixture.delete("/v1/sites/c").await;
    for (path, last) in [
        (format!("/v1/sites?watch=true&since={first}"), None),
        (format!("/v1/sites?watch=true&since={second}"), Some(first.to_string())),
    ] {
        let mut follower = Follower::of(&fixture, &path, last.as_deref()).await;
        let (event, id, data) = follower.next().await;
        assert_eq!((&*event, id, data["metadata"]["name"].as_str()), ("applied", Some(second), Some("b")));
        let (event, _, data) = follower.next().await;
        assert_eq!((&*event, data["name"].as_str()), ("deleted", Some("c")));
    }
    let refused = fixture.get("/v1/sites?watch=true&since=999").await;
    assert!(refused.problem(410).contains("event 999 has not happened here"));
    assert_eq!(refused.json()["type"], "towpath:gone");
    let odd = fixture.with("GET".parse().unwrap(), "/v1/sites?watch=true", ("last-event-id", "x"), "").await;
    assert!(odd.problem(422).contains("Last-Event-ID"));
}

#[tokio::test]
async fn what_leaves_the_filter_is_told_as_deleted_and_what_was_never_in_it_not_at_all() {
    let fixture = Fixture::new();
    put(&fixture, "a", "prod").await;
    put(&fixture, "b", "test").await;
    let path = "/v1/sites?watch=true&filter=labels.env=prod";
    let mut follower = Follower::of(&fixture, path, Some("1")).await;
    let (event, _, data) = follower.next().await;
    // Which resources were seen before is not known, so that the first look comes again.
    assert_eq!((&*event, data["items"].as_array().unwrap().len()), ("snapshot", 1));
    put(&fixture, "b", "other").await;
    put(&fixture, "a", "test").await;
    let (event, _, data) = follower.next().await;
    assert_eq!((&*event, data["name"].as_str()), ("deleted", Some("a")));
    put(&fixture, "b", "prod").await;
    let (event, _, data) = follower.next().await;
    assert_eq!((&*event, data["metadata"]["name"].as_str()), ("applied", Some("b")));
}
