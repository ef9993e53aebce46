//! Streams and their records.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use towpath_record::{LogOffset, ResourceName, StreamName};

/// A stream in the region's log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamStatus {
    /// Its name.
    pub name: StreamName,
    /// Records since the log was created.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Input that could not become records, since the log was created.
    pub dead_letters: u64,
    /// When the newest frame was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_captured_at: Option<Timestamp>,
    /// The sources that feed it.
    pub sources: Vec<ResourceName>,
    /// The routes that take it.
    pub routes: Vec<ResourceName>,
}

/// One record of a stream, as one line of JSON.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamRecord {
    /// Its frame's offset in the region's log.
    pub offset: LogOffset,
    /// Its place in the frame, from 0.
    pub row: u32,
    /// What happened to the row: `create`, `update`, `delete`, `read` or `truncate`.
    pub op: String,
    /// When the source committed it.
    pub at: Timestamp,
    /// The source's transaction, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<String>,
    /// Its columns.
    pub record: Map<String, Value>,
}
