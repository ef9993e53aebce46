//! Resources as they change: server-sent events.
//!
//! ```text
//! event: snapshot   data: {"items": [...], "complete": false}      parts of what there is; the last has `id:` and says so
//! event: applied    data: the resource, with its status            id: the number of the event
//! event: deleted    data: {"name": "..."}                          id: the number of the event
//! event: ended      data: {"reason": "..."}                        nothing more comes
//! ```

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::{Value, json};
use towpath_resource::Kind;

use crate::service::{Admission, Refusal, Service, Shown, WatchEvent, WatchOrder};

/// A sign of life when nothing happens, so that both sides notice a line that is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The header with which a client goes on where its last connection ended.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// Follows the resources of a kind, for as long as whoever asks may. The header counts before the argument `since`: a client that connects again sends the
/// address as it was.
pub(super) async fn watch(
    service: &Service,
    admission: Admission,
    kind: Kind,
    mut order: WatchOrder,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    if let Some(value) = headers.get(LAST_EVENT_ID) {
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        let refused = || Refusal::invalid_argument("Last-Event-ID", "is not the number of an event");
        order.since = Some(number.ok_or_else(refused)?);
    }
    let events = service.watch(&admission.asker, kind, order).await?.map(Ok);
    let events = service.while_admitted(admission, events).map(|event| {
        let ended = |refusal: Refusal| WatchEvent::Ended { reason: refusal.to_string() };
        Ok::<_, Infallible>(written(event.unwrap_or_else(ended)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

fn written(event: WatchEvent) -> Event {
    let (name, seq, data): (_, Option<u64>, Value) = match event {
        WatchEvent::Snapshot { items, complete } => {
            let items: Vec<_> = items.iter().map(Shown::to_json).collect();
            ("snapshot", complete, json!({ "items": items, "complete": complete.is_some() }))
        }
        WatchEvent::Applied { seq, shown } => ("applied", Some(seq), shown.to_json()),
        WatchEvent::Deleted { seq, name } => ("deleted", Some(seq), json!({ "name": name })),
        WatchEvent::Ended { reason } => ("ended", None, json!({ "reason": reason })),
    };
    // JSON has no line break outside its texts, where it is written as `\n`.
    let written = Event::default().event(name).data(data.to_string());
    match seq {
        Some(seq) => written.id(seq.to_string()),
        None => written,
    }
}
