//! Dead letters: listed, inspected and sent on their way again.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use towpath_record::{ResourceName, StreamName};
use towpath_resource::api::{DeadLetter, Listed};
use towpath_resource::{Object, Permission};

use super::endpoint::{Endpoint, word};
use super::extract::Args;
use super::limit::Limit;
use crate::service::{Asker, MOST_LETTERS, Refusal, Service};

const LIMIT: Limit = Limit { default: 100, most: MOST_LETTERS };

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Permission::read(Object::DeadLetter),
            Method::GET,
            "/v1/deadletters",
            routing::get(list),
            "dead letters",
            "list_dead_letters",
            "Lists dead letters, newest first.",
        )
        .argument("stream", "Those of this stream only.", word::<StreamName>())
        .argument("route", "Those of this route only.", word::<ResourceName>())
        .argument("limit", "At most so many.", LIMIT.schema())
        .answers::<Listed<DeadLetter>>(),
        Endpoint::new(
            Permission::read(Object::DeadLetter),
            Method::GET,
            "/v1/deadletters/{id}",
            routing::get(show),
            "dead letters",
            "get_dead_letter",
            "Shows a dead letter with its record or raw input.",
        )
        .answers::<DeadLetter>(),
        Endpoint::new(
            Permission::operate(Object::DeadLetter),
            Method::POST,
            "/v1/deadletters/{id}/replay",
            routing::post(replay),
            "dead letters",
            "replay_dead_letter",
            "Sends a record that a sink refused on its way again.",
        )
        .answers::<DeadLetter>(),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    stream: Option<String>,
    route: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(service): State<Service>,
    asker: Asker,
    Args(args): Args<ListArgs>,
) -> Result<Json<Listed<DeadLetter>>, Refusal> {
    let limit = LIMIT.of(args.limit)?;
    let items = service.dead_letters(&asker, args.stream.as_deref(), args.route.as_deref(), limit).await?;
    Ok(Json(Listed { items }))
}

async fn show(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Json<DeadLetter>, Refusal> {
    Ok(Json(service.dead_letter(&asker, &id).await?))
}

async fn replay(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Json<DeadLetter>, Refusal> {
    Ok(Json(service.replay_dead_letter(&asker, &id).await?))
}
