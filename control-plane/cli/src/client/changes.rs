//! When to look at resources again: as soon as the control plane says that something changed, if it can; else, and for
//! what is only observed and not said, after a while.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use towpath_resource::Kind;

use super::Client;

const EVENT_STREAM: &str = "text/event-stream";

/// How long a look holds. Conditions and lags change without an event.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Many changes at once are looked at together.
const GATHER: Duration = Duration::from_millis(100);

/// When to look again.
#[derive(Debug)]
pub struct Changes(Option<reqwest::Response>);

impl Client {
    /// When to look at the resources of a kind again.
    pub async fn changes(&self, kind: Kind) -> Changes {
        let request = self.request(Method::GET, &[kind.plural()]).query(&[("watch", true)]);
        let request = request.header(ACCEPT, EVENT_STREAM).timeout(Duration::MAX);
        // A control plane that offers no events answers with a list, or refuses: then time alone tells.
        let offered = self.send(request).await.ok();
        Changes(offered.filter(|answer| answer.status().is_success() && is_event_stream(answer.headers())))
    }
}

impl Changes {
    /// Waits until it is worth looking again.
    pub async fn next(&mut self) {
        let told = async {
            loop {
                let Some(events) = &mut self.0 else { return std::future::pending().await };
                match events.chunk().await {
                    Ok(Some(chunk)) if is_event(&chunk) => return,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => self.0 = None,
                }
            }
        };
        if tokio::time::timeout(LOOK_EVERY, told).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM))
}

/// Whether there is more in it than a sign of life, which is a comment.
fn is_event(chunk: &[u8]) -> bool {
    chunk.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"data:"))
}
