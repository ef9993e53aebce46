//! Dead letters: listed, inspected and sent on their way again.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use serde_json::json;
use towpath_catalog::State as CatalogState;
use towpath_record::StreamName;
use towpath_resource::RouteSpec;
use towpath_resource::api::{DeadLetter, LetterOrigin, LetterState, Listed};

use super::endpoint::Endpoint;
use super::extract::{Admin, Args};
use super::plane::{Letter, LetterOrder};
use super::problem::ApiError;
use super::state::ApiState;

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/deadletters",
            routing::get(list),
            "dead letters",
            "list_dead_letters",
            "Lists dead letters, newest first.",
        )
        .argument("stream", "Those of this stream only.", json!({ "type": "string" }))
        .argument("route", "Those of this route only.", json!({ "type": "string" }))
        .argument(
            "limit",
            "At most so many.",
            json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT }),
        )
        .answers::<Listed<DeadLetter>>(),
        Endpoint::new(
            Method::GET,
            "/v1/deadletters/{id}",
            routing::get(show),
            "dead letters",
            "get_dead_letter",
            "Shows a dead letter with its record or raw input.",
        )
        .answers::<DeadLetter>(),
        Endpoint::new(
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
    State(state): State<ApiState>,
    Args(args): Args<ListArgs>,
) -> Result<Json<Listed<DeadLetter>>, ApiError> {
    let catalog = state.catalog();
    let stream = args.stream.map(StreamName::new).transpose();
    let route =
        args.route.map(|name| catalog.require::<RouteSpec>(&name).map(|route| route.id)).transpose()?;
    let order = LetterOrder {
        stream: stream.map_err(|error| ApiError::invalid(error.to_string()))?,
        route,
        limit: args.limit.unwrap_or(DEFAULT_LIMIT).min(MOST),
    };
    let letters = state.plane().letters(order).await?;
    Ok(Json(Listed { items: letters.into_iter().map(|letter| shown(letter, &catalog)).collect() }))
}

async fn show(State(state): State<ApiState>, Path(id): Path<String>) -> Result<Json<DeadLetter>, ApiError> {
    let letter = state.plane().letter(&id).await?;
    Ok(Json(shown(letter, &state.catalog())))
}

async fn replay(
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<DeadLetter>, ApiError> {
    let letter = state.plane().letter(&id).await?;
    if letter.route.is_none() {
        return Err(ApiError::Conflict(format!(
            "dead letter {id} never became a record: correct {} and let the source read it again",
            letter.resource
        )));
    }
    // Recorded first: an audit trail may name what then failed, but never misses what was done.
    let recorded = id.clone();
    state.command(move |catalog| catalog.record_dead_letter_replay(&recorded, &actor)).await?;
    let letter = state.plane().replay_letter(&id).await?;
    Ok(Json(shown(letter, &state.catalog())))
}

fn shown(letter: Letter, catalog: &CatalogState) -> DeadLetter {
    let route = letter.route.and_then(|id| catalog.route(id)).map(|route| route.name().clone());
    DeadLetter {
        id: letter.id,
        origin: if letter.route.is_some() { LetterOrigin::Sink } else { LetterOrigin::Source },
        stream: letter.stream,
        source: catalog.source(letter.source).map(|source| source.name().clone()),
        route,
        resource: letter.resource,
        line: (letter.line > 0).then_some(letter.line),
        column: letter.column,
        reason: letter.reason,
        refused_at: letter.refused_at,
        state: if letter.replayed { LetterState::Replayed } else { LetterState::Open },
        record: letter.record,
        raw: letter.raw.as_deref().map(readable),
        raw_truncated: letter.raw_truncated,
    }
}

/// Bytes as text. What is no UTF-8, and what a terminal would obey, is shown as `\x..`.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' && c != '\n' {
                text.extend(c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_input_is_shown_without_letting_it_command_the_terminal() {
        assert_eq!(readable("Zoë;1\n".as_bytes()), "Zoë;1\n");
        assert_eq!(readable(b"a\xffb\x1b[2J\0"), "a\\xffb\\x1b[2J\\x00");
    }
}
