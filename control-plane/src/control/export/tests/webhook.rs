//! Copies to a webhook, against a receiver on this machine that does what receivers do.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_util::sync::DropGuard;

use super::*;
use crate::config::EgressSettings;
use crate::http::{Waits, serve};

const SECRET: &str = "0123456789abcdef-secret";

/// What the receiver does with the posts that come.
#[derive(Clone, Copy)]
enum Manner {
    Take,
    Refuse,
    Redirect,
    Stall,
    Flood,
}

#[derive(Clone)]
struct Desk {
    manner: Arc<Mutex<Manner>>,
    posts: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

/// A receiver with a certificate of its own. It ends with this.
struct Receiver {
    url: String,
    dir: tempfile::TempDir,
    desk: Desk,
    _stop: DropGuard,
}

impl Receiver {
    async fn start(manner: Manner) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tls, certificate) = server_tls("127.0.0.1");
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("secret"), format!("{SECRET}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/hook", listener.local_addr().unwrap());
        let desk = Desk { manner: Arc::new(Mutex::new(manner)), posts: Arc::default() };
        let stop = CancellationToken::new();
        let router = Router::new().route("/{*path}", post(take)).with_state(desk.clone());
        tokio::spawn(serve(listener, Arc::new(tls), router, Waits::default(), stop.clone()));
        Self { url, dir, desk, _stop: stop.drop_guard() }
    }

    /// A way out that trusts the receiver and may go to it.
    fn egress(&self) -> Arc<Egress> {
        self.egress_to(&["127.0.0.1"])
    }

    fn egress_to(&self, allow: &[&str]) -> Arc<Egress> {
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        let settings = EgressSettings { allow, ca_file: Some(self.dir.path().join("ca.pem")) };
        Arc::new(Egress::patient(&settings, Duration::from_millis(300)).unwrap())
    }

    fn target(&self) -> String {
        let secret = self.dir.path().join("secret");
        format!("{{webhook: {{url: '{}', secret: '${{file:{}}}'}}}}", self.url, secret.display())
    }

    fn behaves(&self, manner: Manner) {
        *self.desk.manner.lock() = manner;
    }

    fn posts(&self) -> Vec<(HeaderMap, String)> {
        self.desk.posts.lock().clone()
    }

    /// The numbers of all events that came, in the order in which they came.
    fn seen(&self) -> Vec<u64> {
        self.posts()
            .iter()
            .flat_map(|(_, body)| numbers(&body.lines().map(str::to_owned).collect::<Vec<_>>()))
            .collect()
    }
}

async fn take(
    axum::extract::State(desk): axum::extract::State<Desk>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let manner = *desk.manner.lock();
    desk.posts.lock().push((headers, body));
    match manner {
        Manner::Take => StatusCode::NO_CONTENT.into_response(),
        Manner::Refuse => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Manner::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
        Manner::Stall => std::future::pending().await,
        Manner::Flood => "x".repeat(2 << 20).into_response(),
    }
}

/// What the standard says of a post, from nothing but the post and the secret.
fn is_signed((headers, body): &(HeaderMap, String)) -> bool {
    let text = |name: &str| headers[name].to_str().unwrap();
    let signed = format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp"));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = STANDARD.decode(text("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
}

async fn troubled(scene: &Scene, why: &str) {
    scene.until(why, |status| status.trouble.as_ref().is_some_and(|said| said.contains(why))).await;
}

#[tokio::test]
async fn a_webhook_gets_every_event_once_signed_and_goes_on_after_a_restart() {
    let receiver = Receiver::start(Manner::Take).await;
    let scene = Scene::with(receiver.egress());
    site(&scene.catalog, "before");
    export(&scene.catalog, &receiver.target());
    scene.until_sent().await;
    let scene = scene.restart().await;
    site(&scene.catalog, "later");
    scene.until_sent().await;
    assert_eq!(receiver.seen(), [1, 2, 3]);
    let posts = receiver.posts();
    assert!(posts.iter().all(is_signed));
    let (headers, body) = posts.into_iter().next().unwrap();
    assert!(
        !is_signed(&(headers, body.replace("before", "beside"))),
        "a signature holds for what was signed"
    );
}

#[tokio::test]
async fn what_a_webhook_did_not_take_comes_again_with_the_same_id_and_nothing_behind_it_comes_before() {
    let receiver = Receiver::start(Manner::Refuse).await;
    let scene = Scene::with(receiver.egress());
    export(&scene.catalog, &receiver.target());
    troubled(&scene, "answers 503").await;
    for _ in 0..100 {
        if receiver.posts().len() > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scene.status().sent, 0);
    // After a restart too.
    let scene = scene.restart().await;
    receiver.behaves(Manner::Take);
    scene.until_sent().await;
    site(&scene.catalog, "two");
    scene.until_sent().await;
    let posts = receiver.posts();
    let id = |n: usize| posts[n].0["webhook-id"].to_str().unwrap().to_owned();
    assert!(posts.len() >= 3, "{}", posts.len());
    assert!((1..posts.len() - 1).all(|n| id(n) == id(0)), "one delivery has one id");
    assert_ne!(id(posts.len() - 1), id(0));
    let mut seen = receiver.seen();
    seen.dedup();
    assert_eq!(seen, [1, 2]);
}

#[tokio::test]
async fn a_webhook_at_an_address_that_is_not_public_is_not_posted_to() {
    let receiver = Receiver::start(Manner::Take).await;
    let scene = Scene::with(receiver.egress_to(&[]));
    export(&scene.catalog, &receiver.target());
    troubled(&scene, "not public").await;
    assert_eq!((receiver.posts().len(), scene.status().sent), (0, 0));
}

#[tokio::test]
async fn a_webhook_that_sends_elsewhere_is_not_followed() {
    let receiver = Receiver::start(Manner::Redirect).await;
    let scene = Scene::with(receiver.egress());
    export(&scene.catalog, &receiver.target());
    troubled(&scene, "redirect").await;
    let ids: std::collections::BTreeSet<_> = receiver
        .posts()
        .iter()
        .map(|(headers, _)| headers["webhook-id"].clone())
        .map(|id| id.to_str().unwrap().to_owned())
        .collect();
    assert_eq!((ids.len(), scene.status().sent), (1, 0));
}

#[tokio::test]
async fn a_webhook_that_answers_slowly_or_without_end_has_taken_nothing() {
    for (manner, why) in [(Manner::Stall, "does not answer"), (Manner::Flood, "answers with more than")] {
        let receiver = Receiver::start(manner).await;
        let scene = Scene::with(receiver.egress());
        export(&scene.catalog, &receiver.target());
        troubled(&scene, why).await;
        assert_eq!(scene.status().sent, 0);
        receiver.behaves(Manner::Take);
        scene.until_sent().await;
    }
}

#[tokio::test]
async fn a_webhook_without_its_secret_is_told_as_trouble_that_names_the_reference() {
    let receiver = Receiver::start(Manner::Take).await;
    let scene = Scene::with(receiver.egress());
    let target = format!("{{webhook: {{url: '{}', secret: '${{env:TOWPATH_SURELY_UNSET}}'}}}}", receiver.url);
    export(&scene.catalog, &target);
    troubled(&scene, "${env:TOWPATH_SURELY_UNSET} is not set").await;
    assert_eq!(receiver.posts().len(), 0);
}
