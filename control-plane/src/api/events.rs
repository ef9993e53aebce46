//! What happened to the catalog, event by event.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_resource::{Object, Permission};

use super::endpoint::{Endpoint, JSON};
use super::extract::Args;
use crate::service::{Asker, MOST_EVENTS, Refusal, Service};

const DEFAULT_LIMIT: usize = 100;

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
        Endpoint::new(
            Permission::read(Object::Audit),
            Method::GET,
            "/v1/events",
            routing::get(list),
            "events",
            "list_events",
            summary,
        )
        .argument("after", "Those after this number.", json!({ "type": "integer", "default": 0 }))
        .argument(
            "limit",
            "At most so many.",
            json!({ "type": "integer", "minimum": 1, "maximum": MOST_EVENTS, "default": DEFAULT_LIMIT }),
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

async fn list(
    State(service): State<Service>,
    asker: Asker,
    Args(args): Args<ListArgs>,
) -> Result<Json<Value>, Refusal> {
    let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
    Ok(Json(json!({ "items": service.events(&asker, args.after, limit).await? })))
}
