//! Answers that are streams: one line of JSON for each item.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use super::endpoint::LINES;

/// An answer of lines. Dropping it, as when the client goes away, ends the stream.
pub(super) fn json_lines<T: Serialize>(items: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = items.map(|item| {
        let mut line = serde_json::to_vec(&item).expect("what is listed is always JSON");
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    ([(CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response()
}
