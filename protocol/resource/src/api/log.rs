//! What agents write of themselves.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

/// Most lines of a log that are asked for at once, which is what an agent keeps at most.
pub const MOST_LOG_LINES: u32 = 2_000;

/// The newest lines of an agent's log. The agent keeps so many and no more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AgentLog {
    /// The agent.
    pub agent: ResourceName,
    /// Its lines.
    #[serde(flatten)]
    pub page: LogPage,
}

/// Some lines of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// What to send as `after` for the lines that follow these.
    pub cursor: String,
    /// Lines since the last cursor that the agent no longer has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
}

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says, with its fields.
    pub message: String,
}

/// How much a line of a log matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something may become a trouble.
    Warn,
    /// Something happened.
    Info,
}

impl LogLevel {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
