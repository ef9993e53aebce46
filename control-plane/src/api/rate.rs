//! How often one may ask, as headers tell it (the draft `RateLimit` header fields for HTTP).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::service::{Left, whole_seconds};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Tells a principal what is left.
pub(super) fn tell(left: Left, headers: &mut HeaderMap) {
    for (name, value) in of(left) {
        headers.insert(name, value);
    }
}

/// The headers that say what is left.
pub(super) fn of(left: Left) -> [(HeaderName, HeaderValue); 2] {
    let limit = format!("\"principal\";r={};t={}", left.requests, whole_seconds(left.more_in));
    let policy = format!("\"principal\";q={};w={}", left.of.requests, left.of.seconds);
    [(LIMIT, limit), (POLICY, policy)]
        .map(|(name, text)| (name, HeaderValue::from_str(&text).expect("numbers are plain text")))
}
