//! A source and a sink compared, and what differs sent again.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{ResourceName, StreamName, TimeSpan};

/// How a route's sources and its sink are to be compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompareOrder {
    /// Whether rows that differ are sent again from the source. Default: false.
    pub repair: bool,
    /// Most differing rows that are listed, and repaired, of one stream. Default: 1000.
    #[schemars(range(min = 1))]
    pub limit: u32,
    /// At most so many rows are read in a second at each end; 0 for no limit. Default: 50000.
    pub rows_per_second: u32,
    /// How long a row may go on to differ before it counts: changes may be on their way. Default: `15s`.
    pub settle: TimeSpan,
}

impl Default for CompareOrder {
    fn default() -> Self {
        Self {
            repair: false,
            limit: 1_000,
            rows_per_second: 50_000,
            settle: TimeSpan(Duration::from_secs(15)),
        }
    }
}

/// A line of the answer, told as soon as it is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompareLine {
    /// A stream was summed up at both ends.
    Summed(StreamSums),
    /// A row differs.
    Differs(RowDifference),
    /// A stream is done.
    Compared(StreamVerdict),
    /// The comparison ends early; the text says why and what would help.
    Error(String),
}

/// A stream in sum, as its source has it and as the sink keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamSums {
    /// The stream.
    pub stream: StreamName,
    /// The source that feeds it.
    pub source: ResourceName,
    /// Rows at the source.
    pub rows_at_source: u64,
    /// Rows in the sink.
    pub rows_at_sink: u64,
    /// Into how many parts the rows were spread by their keys.
    pub parts: u64,
    /// How many of the parts differ at first sight, changes on their way among them.
    pub parts_that_differ: u64,
}

/// A row that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RowDifference {
    /// The stream.
    pub stream: StreamName,
    /// The row's key, a JSON object.
    pub key: String,
    /// How it differs.
    pub kind: DifferenceKind,
}

/// How a row differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The source has it, the sink does not.
    MissingAtSink,
    /// The sink has it, the source does not.
    MissingAtSource,
    /// Both have it, with other values.
    Different,
    /// It was changed at the source all the while, so that nothing can be said.
    Changing,
}

impl DifferenceKind {
    /// The words for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingAtSink => "missing at the sink",
            Self::MissingAtSource => "missing at the source",
            Self::Different => "different",
            Self::Changing => "still changing",
        }
    }
}

/// What came of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamVerdict {
    /// The stream.
    pub stream: StreamName,
    /// Rows that differed at first and were equal once the changes on their way had arrived.
    pub settled: u64,
    /// Rows that were found to differ.
    pub differing: u64,
    /// Of those, how many were sent again and are equal now.
    pub repaired: u64,
    /// Whether there may be more, beyond the limit.
    pub truncated: bool,
}

impl StreamVerdict {
    /// Whether source and sink are equal, by now.
    pub const fn is_equal(&self) -> bool {
        self.differing == self.repaired && !self.truncated
    }
}
