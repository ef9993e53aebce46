//! Which state of a resource a request is meant for: `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 13).
//!
//! The tag of a resource is its generation. What is observed of it is no part of that state.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use towpath_catalog::Expected;

use crate::service::Refusal;

/// Most tags in one header.
const MOST_TAGS: usize = 32;

/// The tag of a generation, as a header.
pub(super) fn tag(generation: u64) -> (HeaderName, HeaderValue) {
    let value =
        HeaderValue::from_str(&format!("\"{generation}\"")).expect("a number in quotes is plain text");
    (ETAG, value)
}

/// The state that a change is meant for.
pub(super) struct MeantFor(pub(super) Expected);

impl<S: Send + Sync> FromRequestParts<S> for MeantFor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let expected = match (read(&parts.headers, IF_MATCH)?, read(&parts.headers, IF_NONE_MATCH)?) {
            (None, None) => Expected::Anything,
            (Some(Tags::Any), None) => Expected::Present,
            (Some(Tags::Named(tags)), None) => Expected::OneOf(tags),
            (None, Some(Tags::Any)) => Expected::Absent,
            (None, Some(Tags::Named(_))) => {
                return Err(Refusal::invalid(
                    "If-None-Match of a change may only be `*`: create, but replace nothing",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::invalid("send If-Match or If-None-Match, not both"));
            }
        };
        Ok(Self(expected))
    }
}

/// The states that whoever asks has already.
pub(super) struct Known(Option<Tags>);

impl Known {
    /// Whether this is one of them.
    pub(super) fn has(&self, generation: u64) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::Named(tags)) => tags.contains(&generation),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        read(&parts.headers, IF_NONE_MATCH).map(Self)
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Tags {
    Any,
    /// Those that are generations. Another is of no state there is, so it only counts as named.
    Named(Vec<u64>),
}

fn read(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, Refusal> {
    let mut lines = Vec::new();
    for value in headers.get_all(&name) {
        lines.push(value.to_str().map_err(|_| Refusal::invalid(format!("{name} is not plain text")))?);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let text = lines.join(",");
    if text.trim() == "*" {
        return Ok(Some(Tags::Any));
    }
    let mut named = Vec::new();
    let mut count = 0;
    for one in text.split(',').map(str::trim) {
        let weak = one.strip_prefix("W/");
        let quoted = weak.unwrap_or(one).strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = quoted.ok_or_else(|| {
            Refusal::invalid(format!(
                "{name} has `{one}`, which is no entity tag; write it with quotes, such as \"12\""
            ))
        })?;
        count += 1;
        if count > MOST_TAGS {
            return Err(Refusal::invalid(format!("{name} has more than {MOST_TAGS} tags")));
        }
        // A change is meant for one state exactly, which a weak tag does not promise.
        let counts = weak.is_none() || name == IF_NONE_MATCH;
        named.extend(inner.parse::<u64>().ok().filter(|_| counts));
    }
    Ok(Some(Tags::Named(named)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(name: HeaderName, text: &'static str) -> Option<Tags> {
        let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(text))]);
        read(&headers, name).ok().flatten()
    }

    #[test]
    fn tags_are_read_as_the_rfc_writes_them() {
        assert_eq!(tags(IF_MATCH, "*"), Some(Tags::Any));
        assert_eq!(tags(IF_MATCH, r#""12""#), Some(Tags::Named(vec![12])));
        assert_eq!(tags(IF_MATCH, r#" "1" , "2","x""#), Some(Tags::Named(vec![1, 2])));
        assert_eq!(tags(IF_MATCH, r#"W/"12""#), Some(Tags::Named(vec![])));
        assert_eq!(tags(IF_NONE_MATCH, r#"W/"12""#), Some(Tags::Named(vec![12])));
        for text in ["12", "", "\"12", "*,\"1\""] {
            assert_eq!(tags(IF_MATCH, text), None, "{text}");
        }
    }
}
