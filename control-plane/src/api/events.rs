//! What happened to the catalog, event by event.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_resource::{Object, Permission};

use super::endpoint::{Endpoint, JSON, number};
use super::extract::Args;
use super::limit::Limit;
use crate::service::{Asker, MOST_EVENTS, Refusal, Service};

const LIMIT: Limit = Limit { default: 100, most: MOST_EVENTS };

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
        .argument("after", "Those after this number. Default: 0.", number())
        .argument("limit", "At most so many.", LIMIT.schema())
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
    let limit = LIMIT.of(args.limit)?;
    Ok(Json(json!({ "items": service.events(&asker, args.after, limit).await? })))
}
