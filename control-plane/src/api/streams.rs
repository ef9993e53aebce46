//! Streams, and their records as lines of JSON.

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing;
use axum::{Extension, Json};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use towpath_resource::api::{Listed, StreamRecord, StreamStatus};
use towpath_resource::{Object, Permission, StartFrom};

use super::endpoint::{Endpoint, LINES, place};
use super::extract::Args;
use super::lines::json_lines;
use crate::service::{Admission, Asker, Reading, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Permission::read(Object::Stream),
            Method::GET,
            "/v1/streams",
            routing::get(list),
            "streams",
            "list_streams",
            "Lists the streams of the logs, what feeds them and where they go.",
        )
        .answers::<Listed<StreamStatus>>(),
        Endpoint::new(
            Permission::read(Object::Record),
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
            place(),
        )
        .argument("limit", "Most records. Default: none with `follow`, else 100.", json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX }))
        .argument("follow", "Whether to wait for more at the end.", json!({ "type": "boolean", "default": false }))
        .answers_as(vec![LINES], Box::new(|generator| generator.subschema_for::<StreamRecord>().to_value())),
    ]
}

async fn list(State(service): State<Service>, asker: Asker) -> Json<Listed<StreamStatus>> {
    Json(Listed { items: service.streams(&asker) })
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
    State(service): State<Service>,
    Extension(admission): Extension<Admission>,
    Path(stream): Path<String>,
    Args(args): Args<RecordsArgs>,
) -> Result<Response, Refusal> {
    let from = args.from.map(|text| text.parse::<StartFrom>()).transpose();
    let from = from.map_err(|error| Refusal::invalid(format!("from: {error}")))?;
    if args.limit == Some(0) {
        return Err(Refusal::invalid_argument("limit", "is 0; it may be 1 and more"));
    }
    let reading = Reading { from, limit: args.limit, follow: args.follow };
    let records = service.read_stream(&admission.asker, &stream, reading).await?;
    let records = service.while_admitted(admission, records.map(|record| record.map_err(Refusal::from)));
    Ok(json_lines(records.map(|record| match record {
        Ok(record) => Line::Record(record),
        Err(error) => Line::Broken { error: error.to_string() },
    })))
}

/// A line of the answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Record(StreamRecord),
    Broken { error: String },
}
