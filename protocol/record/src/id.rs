//! Typed identities. No identity travels as a bare string or UUID.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::MAX_NAME_BYTES;

macro_rules! uuid_kinds {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The identity that these 16 bytes stand for.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes of this identity, as they travel in headers and keys.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

uuid_kinds! {
    /// A place that data comes from or goes to: a plant, an office, a cloud region.
    SiteId;
    /// One installed agent.
    AgentId;
    /// One system that an agent reads.
    SourceId;
    /// One system that an agent writes.
    SinkId;
    /// One way from streams to a sink.
    RouteId;
    /// One region log. A log that was created anew has another id, so offsets are never mistaken.
    LogId;
}

const DNS_LABEL: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
const LONGEST_DNS_LABEL: usize = 63;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}` is not valid: {reason}")]
pub struct NameError {
    what: &'static str,
    text: String,
    reason: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $pattern:expr, $longest:expr, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What such a name looks like, as a regular expression of JSON Schema. Its length is limited too.
            pub const PATTERN: &str = $pattern;
            /// Longest such name, in bytes, which are characters.
            pub const LONGEST: usize = $longest;

            /// Checks the text and takes it as a name.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                match $check(&text) {
                    None => Ok(Self(text)),
                    Some(reason) => Err(NameError { what: $what, text: shortened(&text), reason }),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": Self::PATTERN,
                    "maxLength": Self::LONGEST,
                    "examples": [$example],
                })
            }
        }
    )*};
}

names! {
    /// The name of a resource, unique within its kind: lower-case letters, digits and `-`, as in a DNS label.
    ResourceName, "resource name", dns_label_fault, DNS_LABEL, LONGEST_DNS_LABEL, "plant-1";
    /// The name of a region, such as `eu-central`.
    RegionName, "region name", dns_label_fault, DNS_LABEL, LONGEST_DNS_LABEL, "eu-central";
    /// The name of a stream: dot-separated parts of letters, digits, `_` and `-`, such as `erp.orders`.
    StreamName, "stream name", stream_fault, r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", MAX_NAME_BYTES, "erp.orders";
}

impl RegionName {
    /// The region of an installation that was not told of others.
    pub fn main() -> Self {
        Self("main".to_owned())
    }
}

/// One source's chain of frames into one region's log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LaneId {
    /// The source whose frames these are.
    pub source: SourceId,
    /// The region whose log takes them.
    pub region: RegionName,
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.source, self.region)
    }
}

impl LaneId {
    /// The lane on which the control plane sends a route's dead letters again.
    pub fn of_replays(route: RouteId, region: RegionName) -> Self {
        Self { source: SourceId::from_bytes(*route.as_bytes()), region }
    }
}

fn dns_label_fault(text: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > LONGEST_DNS_LABEL {
        Some("it is longer than 63 characters")
    } else if !text.bytes().all(allowed) {
        Some("only lower-case letters, digits and `-` are allowed")
    } else if text.starts_with('-') || text.ends_with('-') {
        Some("it must begin and end with a letter or digit")
    } else {
        None
    }
}

fn stream_fault(text: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > MAX_NAME_BYTES {
        Some("it is longer than 200 bytes")
    } else if !text.bytes().all(allowed) {
        Some("only letters, digits, `_`, `-` and `.` are allowed")
    } else if text.split('.').any(str::is_empty) {
        Some("it has an empty part between dots")
    } else {
        None
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_breaks_a_rule_is_refused_with_that_rule() {
        let said = |text: &str| ResourceName::new(text).unwrap_err().to_string();
        assert_eq!(said(""), "resource name `` is not valid: it is empty");
        assert!(said("Plant").contains("only lower-case"));
        assert!(said("-plant").contains("begin and end"));
        assert!(said(&"a".repeat(64)).contains("63"));
        assert!(StreamName::new("erp..orders").unwrap_err().to_string().contains("empty part"));
    }

    #[test]
    fn an_invalid_name_does_not_enter_through_deserialisation() {
        assert!(serde_json::from_str::<ResourceName>("\"no spaces\"").is_err());
        assert_eq!(serde_json::from_str::<StreamName>("\"erp.orders\"").unwrap().as_str(), "erp.orders");
    }
}
