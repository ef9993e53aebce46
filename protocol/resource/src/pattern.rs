//! Patterns that choose streams.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use towpath_record::StreamName;
use towpath_record::limits::MAX_NAME_BYTES;

/// A pattern over the dot-separated parts of a stream's name. `*` stands for any characters within one part; `**`, as
/// a part of its own, for any number of parts, also none. So `erp.*` takes `erp.orders` but not `erp.sales.orders`,
/// and `erp.**` takes both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamPattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream pattern `{text}` is not valid: {reason}")]
pub struct PatternError {
    text: String,
    reason: &'static str,
}

/// More than two of them in one pattern serve nobody, and each multiplies the work of a mismatch.
const MOST_ANY_PARTS: usize = 2;

impl StreamPattern {
    /// Checks the text and takes it as a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says which rule it breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, PatternError> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'*');
        let reason = if text.is_empty() {
            "it is empty; `**` stands for every stream"
        } else if text.len() > MAX_NAME_BYTES {
            "it is longer than 200 bytes"
        } else if !text.bytes().all(allowed) {
            "only letters, digits, `_`, `-`, `.` and `*` are allowed"
        } else if text.split('.').any(str::is_empty) {
            "it has an empty part between dots"
        } else if text.split('.').any(|part| part != "**" && part.contains("**")) {
            "`**` must be a part of its own, as in `erp.**`"
        } else if text.split('.').filter(|part| *part == "**").count() > MOST_ANY_PARTS {
            "`**` may stand at most twice"
        } else {
            return Ok(Self(text));
        };
        Err(PatternError { text: text.chars().take(MAX_NAME_BYTES).collect(), reason })
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the stream is one of those the pattern stands for.
    pub fn matches(&self, stream: &StreamName) -> bool {
        let pattern: Vec<_> = self.0.split('.').collect();
        let parts: Vec<_> = stream.as_str().split('.').collect();
        parts_match(&pattern, &parts)
    }
}

impl StreamPattern {
    /// Whether it surely stands for every stream that the other stands for. A pattern with stars is covered by itself and
    /// by one that ends in `.**` after parts that they share, or is `**`; others may be, but are not found to be.
    pub fn covers(&self, other: &Self) -> bool {
        if self == other || self.0 == "**" {
            return true;
        }
        if !other.0.contains('*') {
            return StreamName::new(other.as_str()).is_ok_and(|stream| self.matches(&stream));
        }
        let shared = self.0.strip_suffix(".**").filter(|shared| !shared.contains('*'));
        shared.is_some_and(|shared| other.0.strip_prefix(shared).is_some_and(|rest| rest.starts_with('.')))
    }
}

fn parts_match(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern, parts) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=parts.len()).any(|skipped| parts_match(rest, &parts[skipped..])),
        ([first, rest @ ..], [part, others @ ..]) => part_matches(first, part) && parts_match(rest, others),
        _ => false,
    }
}

/// Matches within one part. Each `*` takes as little as it can; on a mismatch the last one takes one character more,
/// so the work is at most the product of the lengths.
fn part_matches(pattern: &str, part: &str) -> bool {
    let (pattern, part) = (pattern.as_bytes(), part.as_bytes());
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while s < part.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, s + 1));
            p += 1;
        } else if pattern.get(p) == Some(&part[s]) {
            p += 1;
            s += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            (p, s) = (after_star, from);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

impl FromStr for StreamPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl TryFrom<String> for StreamPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl From<StreamPattern> for String {
    fn from(pattern: StreamPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl JsonSchema for StreamPattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StreamPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Parts without `**` around at most two of it.
        let part = r"(\*|\*?([A-Za-z0-9_-]\*?)+)";
        let any = r"\*\*";
        let pattern = format!(r"^({part}\.)*({part}|{any}(\.{part})*(\.{any}(\.{part})*)?)$");
        json_schema!({
            "type": "string",
            "pattern": pattern,
            "maxLength": MAX_NAME_BYTES,
            "examples": ["erp.orders", "erp.*", "erp.**"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn takes(pattern: &str, stream: &str) -> bool {
        StreamPattern::new(pattern).unwrap().matches(&StreamName::new(stream).unwrap())
    }

    #[test]
    fn one_star_stays_within_a_part_and_two_cross_parts() {
        assert!(takes("erp.orders", "erp.orders") && !takes("erp.orders", "erp.orders2"));
        assert!(
            takes("erp.*", "erp.orders") && !takes("erp.*", "erp.sales.orders") && !takes("erp.*", "erp")
        );
        assert!(
            takes("erp.**", "erp.sales.orders") && takes("erp.**", "erp.orders") && takes("erp.**", "erp")
        );
        assert!(takes("**", "a") && takes("**", "a.b.c"));
        assert!(
            takes("**.orders", "orders")
                && takes("**.orders", "a.b.orders")
                && !takes("**.orders", "a.order")
        );
        assert!(takes("a.**.z", "a.z") && takes("a.**.z", "a.b.c.z") && !takes("a.**.z", "a.b"));
        assert!(takes("e*p.o*s", "erp.orders") && takes("*-*", "a-b-c") && !takes("e*q", "erp"));
    }

    #[test]
    fn a_text_that_is_no_pattern_is_refused_with_the_rule() {
        let said = |text: &str| StreamPattern::new(text).unwrap_err().to_string();
        assert!(said("").contains("every stream"));
        assert!(said("erp..x").contains("empty part"));
        assert!(said("erp.a**").contains("part of its own"));
        assert!(said("erp/x").contains("only letters"));
        assert!(said("**.a.**.b.**").contains("at most twice"));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_whatever_of_it_is_replaced_by_a_star(
            name in "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}",
            from in 0usize..40,
            len in 0usize..8,
        ) {
            prop_assert!(takes(&name, &name));
            let part_end = |at: usize| name[at..].find('.').map_or(name.len(), |dot| at + dot);
            let from = from % name.len();
            if name.as_bytes()[from] != b'.' {
                let to = (from + len).min(part_end(from));
                let pattern = [&name[..from], "*", &name[to..]].concat();
                prop_assert!(takes(&pattern, &name));
            }
        }

        #[test]
        fn hostile_patterns_are_decided_fast(stars in 1usize..90) {
            let pattern = "a*".repeat(stars) + "b";
            prop_assert!(!takes(&pattern, &"a".repeat(190)));
        }
    }
}
