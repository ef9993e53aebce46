//! Idempotency keys: a request that is sent again, because its answer was lost, is answered again and not done again.
//!
//! A key holds for whoever sent it, for 24 hours. What was answered is kept in memory only: some answers hold secrets that
//! are shown once, such as a token, and are written nowhere. So keys do not survive a restart of the control plane, and
//! when too much is kept, the oldest answers go first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use towpath_catalog::Actor;

use super::endpoint::LINES;
use super::extract::whole_body;
use super::problem::Refused;
use super::problem_type::ProblemType;

/// The header that bears the key.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// Most keys that are remembered.
const MOST_KEYS: usize = 10_000;
/// Bytes of all answers that are kept.
const MOST_BYTES: usize = 64 << 20;
/// Largest answer that is kept.
const LARGEST_ANSWER: usize = 1 << 20;

/// The keys that were used. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Keys(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    entries: HashMap<Name, Entry>,
    /// In the order in which they were noted.
    order: VecDeque<(Name, Instant)>,
    bytes: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    actor: Actor,
    key: String,
}

struct Entry {
    /// What was asked: method, address, conditions and body.
    asked: blake3::Hash,
    noted: Instant,
    /// Nothing while it is under way.
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// A refusal whose document is made for each request anew.
    refused: Option<Refused>,
}

/// What is known of a key.
enum Found {
    Nothing,
    Answered(Box<Answer>),
    UnderWay,
    AskedOtherwise,
}

/// Answers a request whose key was used before with what was answered then.
pub(super) async fn once(keys: &Keys, actor: &Actor, request: Request, next: Next) -> Response {
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    let Some(key) = request.headers().get(&KEY).filter(|_| changes).cloned() else {
        return next.run(request).await;
    };
    let key = key.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > LONGEST_KEY || request.headers().get_all(&KEY).iter().count() > 1 {
        let detail = format!("Idempotency-Key must be one text of 1 to {LONGEST_KEY} visible characters");
        return Refused::new(ProblemType::Invalid, detail).into_response();
    }
    let (parts, body) = request.into_parts();
    let bytes = match whole_body(&parts, body).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let (name, asked) = (Name { actor: actor.clone(), key: key.to_owned() }, fingerprint(&parts, &bytes));
    match keys.begin(&name, asked) {
        Found::Answered(answer) => return answer.replay(),
        Found::UnderWay => {
            let detail = "a request with this Idempotency-Key is under way; try again when it is done";
            return Refused::new(ProblemType::InProgress, detail).into_response();
        }
        Found::AskedOtherwise => {
            let detail =
                "this Idempotency-Key came with another request before; use a key for one request only";
            return Refused::new(ProblemType::KeyReused, detail).into_response();
        }
        Found::Nothing => {}
    }
    // Whoever goes away before the answer leaves the key free.
    let held = Held { keys, name: &name, done: false };
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    held.finish(response).await
}

struct Held<'a> {
    keys: &'a Keys,
    name: &'a Name,
    done: bool,
}

impl Held<'_> {
    async fn finish(mut self, response: Response) -> Response {
        let status = response.status();
        let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == LINES);
        // What may succeed when it is tried again is no answer for good.
        let passing = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if is_stream || passing {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let refused = parts.extensions.remove::<Refused>();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let answer = Answer { status, headers: parts.headers, body, refused };
        if answer.body.len() <= LARGEST_ANSWER {
            self.keys.finish(self.name, answer.clone());
            self.done = true;
        }
        answer.into_response()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.keys.0.lock().entries.remove(self.name);
        }
    }
}

impl Answer {
    fn replay(self) -> Response {
        let mut response = match self.refused.clone() {
            Some(refused) => refused.header(REPLAYED, HeaderValue::from_static("true")).into_response(),
            None => self.into_response(),
        };
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.headers, self.body).into_response();
        if let Some(refused) = self.refused {
            response.extensions_mut().insert(refused);
        }
        response
    }
}

impl Keys {
    /// Notes that a request with this key is under way, unless it was there before.
    fn begin(&self, name: &Name, asked: blake3::Hash) -> Found {
        self.begin_at(name, asked, Instant::now())
    }

    fn begin_at(&self, name: &Name, asked: blake3::Hash, now: Instant) -> Found {
        let mut book = self.0.lock();
        book.forget(now);
        if let Some(entry) = book.entries.get(name) {
            return match &entry.answer {
                _ if entry.asked != asked => Found::AskedOtherwise,
                Some(answer) => Found::Answered(Box::new(answer.clone())),
                None => Found::UnderWay,
            };
        }
        book.entries.insert(name.clone(), Entry { asked, noted: now, answer: None });
        book.order.push_back((name.clone(), now));
        Found::Nothing
    }

    fn finish(&self, name: &Name, answer: Answer) {
        let mut book = self.0.lock();
        let bytes = answer.body.len();
        if let Some(entry) = book.entries.get_mut(name) {
            entry.answer = Some(answer);
            book.bytes += bytes;
        }
    }
}

impl Book {
    /// Forgets what is old, and the oldest of what is too much.
    fn forget(&mut self, now: Instant) {
        while let Some((name, noted)) = self.order.front().cloned() {
            let is_old = now.saturating_duration_since(noted) > REMEMBERED;
            if !is_old && self.order.len() < MOST_KEYS && self.bytes < MOST_BYTES {
                return;
            }
            self.order.pop_front();
            // A key that was left free may have been noted again since.
            if self.entries.get(&name).is_some_and(|entry| entry.noted == noted)
                && let Some(answer) = self.entries.remove(&name).and_then(|entry| entry.answer)
            {
                self.bytes -= answer.body.len();
            }
        }
    }
}

/// What a request asks for.
fn fingerprint(parts: &axum::http::request::Parts, body: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let header = |name: HeaderName| parts.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let address = parts.uri.to_string();
    let asked = [
        parts.method.as_str().as_bytes(),
        address.as_bytes(),
        header(header::IF_MATCH),
        header(header::IF_NONE_MATCH),
        header(header::CONTENT_TYPE),
        body,
    ];
    for part in asked {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        Name { actor: Actor::System, key: key.to_owned() }
    }

    fn answer(bytes: usize) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![0; bytes].into(),
            refused: None,
        }
    }

    #[test]
    fn a_key_is_forgotten_after_a_day() {
        let (keys, start, asked) = (Keys::default(), Instant::now(), blake3::hash(b"x"));
        assert!(matches!(keys.begin_at(&name("a"), asked, start), Found::Nothing));
        assert!(matches!(keys.begin_at(&name("a"), asked, start), Found::UnderWay));
        keys.finish(&name("a"), answer(5));
        assert!(matches!(keys.begin_at(&name("a"), asked, start + REMEMBERED), Found::Answered(_)));
        let later = start + REMEMBERED + Duration::from_secs(1);
        assert!(matches!(keys.begin_at(&name("a"), asked, later), Found::Nothing));
        assert_eq!(keys.0.lock().bytes, 0);
    }

    #[test]
    fn whatever_comes_the_book_stays_within_its_bounds() {
        let (keys, now, asked) = (Keys::default(), Instant::now(), blake3::hash(b"x"));
        for n in 0..(MOST_KEYS + 500) {
            keys.begin_at(&name(&n.to_string()), asked, now);
            keys.finish(&name(&n.to_string()), answer(if n < 200 { LARGEST_ANSWER } else { 10 }));
        }
        let book = keys.0.lock();
        assert!(book.entries.len() <= MOST_KEYS && book.order.len() <= MOST_KEYS);
        assert!(book.bytes <= MOST_BYTES + LARGEST_ANSWER);
        let kept: usize =
            book.entries.values().filter_map(|entry| entry.answer.as_ref()).map(|one| one.body.len()).sum();
        assert_eq!(book.bytes, kept);
    }
}
