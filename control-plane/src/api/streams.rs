//! Streams, and their records as lines of JSON.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use towpath_record::StreamName;
use towpath_resource::api::{Listed, StreamRecord, StreamStatus};
use towpath_resource::{StartFrom, nearest};

use super::endpoint::{Endpoint, LINES};
use super::extract::Args;
use super::plane::{PlaneError, Snapshot, StreamFlow, TailOrder};
use super::problem::ApiError;
use super::state::ApiState;

/// Records that are sent when nobody says how many, and more are not awaited.
const DEFAULT_LIMIT: usize = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/streams",
            routing::get(list),
            "streams",
            "list_streams",
            "Lists the streams of the logs, what feeds them and where they go.",
        )
        .answers::<Listed<StreamStatus>>(),
        Endpoint::new(
            Method::GET,
            "/v1/streams/{stream}/records",
            routing::get(records),
            "streams",
            "read_stream",
            "Reads a stream: one record on each line. A line with `error` says why it ends early.",
        )
        .argument(
            "from",
            "Where to begin: `earliest`, `latest`, an offset or a time. Default: `latest` with `follow`, else `earliest`.",
            json!({ "type": "string" }),
        )
        .argument("limit", "Most records. Default: none with `follow`, else 100.", json!({ "type": "integer", "minimum": 1 }))
        .argument("follow", "Whether to wait for more at the end.", json!({ "type": "boolean", "default": false }))
        .answers_as(vec![LINES], Box::new(|generator| generator.subschema_for::<StreamRecord>().to_value())),
    ]
}

async fn list(State(state): State<ApiState>) -> Json<Listed<StreamStatus>> {
    let (catalog, snapshot) = (state.catalog(), state.plane().snapshot());
    let status = |(name, flow): (&StreamName, &StreamFlow)| StreamStatus {
        name: name.clone(),
        records: flow.records,
        bytes: flow.bytes,
        dead_letters: flow.dead_letters,
        last_captured_at: flow.last_captured_at,
        sources: flow.sources.iter().filter_map(|id| catalog.source(*id)).map(|s| s.name().clone()).collect(),
        routes: catalog.routes.values().filter(|r| r.spec.takes(name)).map(|r| r.name().clone()).collect(),
    };
    Json(Listed { items: snapshot.streams.iter().map(status).collect() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsArgs {
    from: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

async fn records(
    State(state): State<ApiState>,
    Path(stream): Path<String>,
    Args(args): Args<RecordsArgs>,
) -> Result<Response, ApiError> {
    let stream = known_stream(&stream, &state.plane().snapshot(), args.follow)?;
    let default = if args.follow { StartFrom::Latest } else { StartFrom::Earliest };
    let from = args.from.map_or(Ok(default), |text| text.parse::<StartFrom>());
    let from = from.map_err(|error| ApiError::invalid(format!("from: {error}")))?;
    let limit = args.limit.unwrap_or(if args.follow { usize::MAX } else { DEFAULT_LIMIT });
    let permit = state.tails().try_acquire_owned().map_err(|_| {
        ApiError::TooMany(
            "too many streams are being read; end one, for example a forgotten `towpath tail`".to_owned(),
        )
    })?;
    let order = TailOrder { stream, from, follow: args.follow };
    let records = state.plane().tail(order).await?;
    let lines = records.take(limit).map(move |record| {
        let _held_while_read = &permit;
        Ok::<_, std::convert::Infallible>(line(record))
    });
    Ok(([(CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response())
}

fn line(record: Result<StreamRecord, PlaneError>) -> Bytes {
    let line = match record {
        Ok(record) => serde_json::to_vec(&record),
        Err(error) => serde_json::to_vec(&json!({ "error": error.to_string() })),
    };
    let mut line = line.expect("a record is always JSON");
    line.push(b'\n');
    line.into()
}

/// A stream that exists. One that is only awaited need not exist yet.
fn known_stream(text: &str, snapshot: &Snapshot, awaited: bool) -> Result<StreamName, ApiError> {
    let name = StreamName::new(text).map_err(|error| ApiError::invalid(error.to_string()))?;
    if awaited || snapshot.streams.contains_key(&name) {
        return Ok(name);
    }
    let near = nearest(text, snapshot.streams.keys().map(StreamName::as_str));
    let hint = near.map_or_else(
        || "; `towpath get streams` lists those there are".to_owned(),
        |near| format!("; did you mean `{near}`?"),
    );
    Err(ApiError::NotFound(format!("there is no stream `{text}`{hint}")))
}
