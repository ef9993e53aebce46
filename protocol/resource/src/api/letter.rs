//! Dead letters: what could not become records, and what sinks refused.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::{ResourceName, StreamName};

/// A dead letter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Its identity.
    pub id: String,
    /// Who refused it.
    pub origin: LetterOrigin,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// The source it comes from, if that is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// The route whose sink refused it, if it was a sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<ResourceName>,
    /// Where it stood: a file path with its line, a table, a frame.
    pub resource: String,
    /// Line or record number in the resource, from 1; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column that was refused, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Why it was refused, and what would make it acceptable.
    pub reason: String,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// What became of it.
    pub state: LetterState,
    /// The record, where it had become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
    /// The raw input as text, where it had not become a record. What is no UTF-8 is shown as `\x..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Whether the raw input was longer than what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw_truncated: bool,
}

/// Who refused it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterOrigin {
    /// The source: the input could not become a record. Correct it there and let it be read again.
    Source,
    /// The sink: it refuses the record. It can be replayed once the cause is gone.
    Sink,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// It waits for an admin.
    Open,
    /// It was sent on its way again.
    Replayed,
}

impl LetterState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
        }
    }
}

impl LetterOrigin {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
}
