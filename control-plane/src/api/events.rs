//! What happened to the catalog, event by event.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_catalog::Event;

use super::endpoint::{Endpoint, JSON};
use super::extract::Args;
use super::problem::ApiError;
use super::state::ApiState;

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Lists what happened, by whom and when, oldest first.";
    let items = json!({
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "seq": { "type": "integer", "description": "The event's number, without gaps." },
                        "at": { "type": "string", "format": "date-time" },
                        "actor": { "type": "object", "description": "Who made it happen." },
                        "event": { "type": "string", "description": "What happened." },
                    },
                },
            },
        },
    });
    vec![
        Endpoint::new(Method::GET, "/v1/events", routing::get(list), "events", "list_events", summary)
            .argument("after", "Those after this number.", json!({ "type": "integer", "default": 0 }))
            .argument(
                "limit",
                "At most so many.",
                json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT }),
            )
            .answers_as(vec![JSON], Box::new(|_| items)),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn list(State(state): State<ApiState>, Args(args): Args<ListArgs>) -> Result<Json<Value>, ApiError> {
    let limit = args.limit.unwrap_or(DEFAULT_LIMIT).min(MOST);
    let events = state.command(move |catalog| catalog.events(args.after, limit)).await?;
    Ok(Json(json!({ "items": events.iter().map(shown).collect::<Vec<_>>() })))
}

/// An event without the hashes of secrets, which are nobody's business.
fn shown(event: &Event) -> Value {
    let mut shown = serde_json::to_value(event).expect("an event is always JSON");
    shown.as_object_mut().map(|members| members.shift_remove("hash"));
    shown
}
