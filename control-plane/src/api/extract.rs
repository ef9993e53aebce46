//! What endpoints take from a request: who asks, the arguments and the body. Each fault of a field is named.

use std::fmt::Display;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use towpath_catalog::Origin;
use towpath_resource::{Fault, nearest};

use super::MAX_BODY_BYTES;
use super::endpoint::MERGE_PATCH;
use super::problem::{Refused, explain};
use super::problem_type::ProblemType;
use crate::service::{Asker, Refusal};

/// A body that has not come as a whole by then is given up.
const BODY_WITHIN: Duration = Duration::from_secs(30);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Refusal::unauthenticated)
    }
}

/// Where a request came from.
pub(super) struct CameFrom(pub(super) Origin);

impl<S: Send + Sync> FromRequestParts<S> for CameFrom {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Origin>().cloned().map(Self).ok_or_else(Refusal::unauthenticated)
    }
}

/// The arguments behind the `?` of an address.
pub(super) struct Args<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Args<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(args)) => Ok(Self(args)),
            Err(rejection) => Err(Refusal::invalid(with_hint(&rejection.body_text()))),
        }
    }
}

/// A body that has come as a whole and in time, uncompressed.
pub(super) async fn whole_body(parts: &Parts, body: axum::body::Body) -> Result<Bytes, Response> {
    body_within(BODY_WITHIN, parts, body).await
}

/// A body that has come as a whole within this time, uncompressed.
pub(super) async fn body_within(
    within: Duration,
    parts: &Parts,
    body: axum::body::Body,
) -> Result<Bytes, Response> {
    let coding = parts.headers.get(CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let refused = Refused::new(ProblemType::MediaType, "the body is compressed; send it as it is");
        return Err(refused.header(ACCEPT_ENCODING, HeaderValue::from_static("identity")).into_response());
    }
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|bytes| bytes > MAX_BODY_BYTES as u64) {
        return Err(explain(StatusCode::PAYLOAD_TOO_LARGE).into_response());
    }
    // What does not say its size is counted as it comes: the limit is noted in the extensions.
    let mut request = Request::new(body);
    *request.extensions_mut() = parts.extensions.clone();
    match tokio::time::timeout(within, Bytes::from_request(request, &())).await {
        Ok(read) => read.map_err(IntoResponse::into_response),
        Err(_) => {
            let detail = format!("the body did not come within {} s; send it again", within.as_secs());
            Err(Refused::new(ProblemType::SlowBody, detail).into_response())
        }
    }
}

async fn body_of(request: Request) -> Result<Bytes, Response> {
    let (parts, body) = request.into_parts();
    whole_body(&parts, body).await
}

/// A JSON merge patch.
pub(super) struct Patch(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Patch {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(MERGE_PATCH) {
            let detail = format!("a patch is sent as `Content-Type: {MERGE_PATCH}`, not `{kind}`");
            let refused = Refused::new(ProblemType::MediaType, detail);
            let taken = HeaderValue::from_static(MERGE_PATCH);
            return Err(refused.header(HeaderName::from_static("accept-patch"), taken).into_response());
        }
        let bytes = body_of(request).await?;
        // Any JSON will do, so that no field can be at fault; and to note the way to each would take a deep stack.
        let patch = serde_json::from_slice(&bytes);
        let refused = |error| Refusal::invalid(format!("the body is not valid: {error}")).into_response();
        patch.map(Self).map_err(refused)
    }
}

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let bytes = body_of(request).await?;
        read_json(&bytes).map(Self).map_err(IntoResponse::into_response)
    }
}

/// A body of text.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let bytes = body_of(request).await?;
        let text = String::from_utf8(bytes.into());
        text.map(Self).map_err(|_| Refusal::invalid("the body is not UTF-8 text").into_response())
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = read(&mut reader)?;
    reader.end().map_err(|error| Refusal::invalid(format!("the body is not valid: {error}")))?;
    Ok(value)
}

/// Reads what was sent, and names the field that is at fault.
///
/// # Errors
/// It is not valid.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    reader: impl Deserializer<'a, Error: Display>,
) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let message = with_hint(&error.inner().to_string());
        let path = if path == "." { String::new() } else { path };
        let fault = Fault { path, message, place: None };
        Refusal::Invalid { detail: format!("the body is not valid: {fault}"), faults: vec![fault] }
    })
}

/// The message with the word that was probably meant, where it lists what would have been valid.
fn with_hint(message: &str) -> String {
    let unknown = message.find("unknown field").or_else(|| message.find("unknown variant"));
    let mut quoted = unknown.map(|at| &message[at..]).unwrap_or_default().split('`').skip(1).step_by(2);
    let near = quoted.next().and_then(|wrong| nearest(wrong, quoted));
    near.map_or_else(|| message.to_owned(), |near| format!("{message}; did you mean `{near}`?"))
}
