//! Idempotency keys: a request that is sent again, because its answer was lost, is answered again and not done again.
//!
//! A key holds for whoever sent it, for 24 hours, also when the control plane was started again meanwhile. That a request
//! is under way is durable before it is done, and so is its answer before it is given: after a crash the same request is
//! answered, or refused because nobody knows how far it came, and never done twice.
//!
//! Answers may hold secrets that are shown once, such as a token. On the disk each is sealed with a key that only the
//! token of whoever asked opens, which is kept nowhere. When too much is kept, the oldest answers go first.

mod answer;
mod seal;
mod book;
mod kept;
mod keys;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use towpath_catalog::Actor;
use tracing::Instrument;

use super::endpoint::{Endpoint, LINES};
use super::extract::whole_body;
use super::problem::Refused;
use super::problem_type::ProblemType;
use crate::door::bearer;
use crate::service::Need;
use answer::Answer;
use book::{Found, Name};
pub use keys::IdempotencyKeys;
use seal::Seal;

/// The header that bears the key.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;

fn may_change(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// What the document says of the key, where an endpoint takes one.
pub(super) fn described(endpoint: Endpoint) -> Endpoint {
    if !endpoint.guarded || endpoint.need == Need::Nothing || !may_change(&endpoint.method) {
        return endpoint;
    }
    let about = "Who sends the request again with the same key is answered again, and nothing is done twice. Kept for 24 hours.";
    let schema = json!({ "type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": LONGEST_KEY });
    endpoint
        .header("Idempotency-Key", about, schema)
        .refuses(ProblemType::InProgress)
        .refuses(ProblemType::KeyReused)
}

/// Answers a request whose key was used before with what was answered then.
pub(super) async fn once(keys: &IdempotencyKeys, actor: &Actor, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get(&KEY).filter(|_| may_change(request.method())).cloned() else {
        return next.run(request).await;
    };
    let key = key.to_str().unwrap_or_default();
    let is_key = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key || request.headers().get_all(&KEY).iter().count() > 1 {
        let detail = format!("Idempotency-Key must be one text of 1 to {LONGEST_KEY} visible characters");
        return Refused::new(ProblemType::Invalid, detail).into_response();
    }
    let seal = Seal::of(bearer(request.headers()).unwrap_or_default(), key);
    let (parts, body) = request.into_parts();
    let bytes = match whole_body(&parts, body).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let (keys, name, asked) = (keys.clone(), name_of(actor, key), fingerprint(&parts, &bytes));
    let request = Request::from_parts(parts, Body::from(bytes));
    // To its end also when whoever asked goes away: the key then tells what became of it.
    let done = tokio::spawn(do_once(keys, name, asked, seal, request, next).in_current_span()).await;
    done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn do_once(
    keys: IdempotencyKeys,
    name: Name,
    asked: blake3::Hash,
    seal: Seal,
    request: Request,
    next: Next,
) -> Response {
    match keys.begin(name, asked).await {
        Ok(Found::Nothing) => {}
        Ok(found) => return told(found, name, &seal),
        Err(refused) => return refused.into_response(),
    }
    let held = Held { keys, name, seal, done: false };
    let response = next.run(request).await;
    held.finish(response).await
}

/// What is answered where the key was used before.
fn told(found: Found, name: Name, seal: &Seal) -> Response {
    let refused = |kind, detail: &str| Refused::new(kind, detail).into_response();
    let answer = match found {
        Found::Answered(answer) => Some(*answer),
        Found::Sealed(sealed) => seal.open(name, sealed).and_then(|bytes| Answer::from_bytes(&bytes)),
        Found::UnderWay => {
            let detail = "a request with this Idempotency-Key is under way; try again when it is done";
            return refused(ProblemType::InProgress, detail);
        }
        Found::Nothing | Found::Cut => {
            let detail = "a request with this Idempotency-Key was under way when the control plane ended; look whether \
                          it was done, then use another key";
            return refused(ProblemType::Conflict, detail);
        }
        Found::AskedOtherwise => {
            let detail =
                "this Idempotency-Key came with another request before; use a key for one request only";
            return refused(ProblemType::KeyReused, detail);
        }
    };
    answer.map_or_else(
        || {
            let detail = "the request with this Idempotency-Key was done before the control plane was started again, and \
                          only the token that was sent with it opens its answer; look at what is there";
            refused(ProblemType::Conflict, detail)
        },
        Answer::replay,
    )
}

/// Says of an answer that it may be another when the same request is sent again, whatever its status.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing;

/// A key whose request is under way. Without an answer that is kept, it leaves the key free.
struct Held {
    keys: IdempotencyKeys,
    name: Name,
    seal: Seal,
    done: bool,
}

impl Held {
    async fn finish(mut self, response: Response) -> Response {
        let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == LINES);
        let passing = response.extensions().get::<Passing>().is_some();
        if is_stream || passing || answer::may_succeed_later(response.status()) {
            return response;
        }
        let answer = Answer::of(response).await;
        if answer.is_small() {
            self.keys.finish(self.name, answer.clone(), &self.seal).await;
            self.done = true;
        }
        answer.into_response()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.done {
            self.keys.free(self.name);
        }
    }
}

/// Whose key it is, and which.
fn name_of(actor: &Actor, key: &str) -> Name {
    let actor = serde_json::to_vec(actor).expect("an actor is always JSON");
    hash_of(&[&actor, key.as_bytes()])
}

/// What a request asks for.
fn fingerprint(parts: &axum::http::request::Parts, body: &[u8]) -> blake3::Hash {
    let header = |name: HeaderName| parts.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let address = parts.uri.to_string();
    hash_of(&[
        parts.method.as_str().as_bytes(),
        address.as_bytes(),
        header(header::IF_MATCH),
        header(header::IF_NONE_MATCH),
        header(header::CONTENT_TYPE),
        body,
    ])
}

fn hash_of(parts: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize()
}
