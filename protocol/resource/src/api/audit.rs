//! The audit trail, as it is asked for.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which events of the audit trail are asked for. What is left out does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditFilter {
    /// Those that this one caused: a name, an id, or `system`, `stranger`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Those about this resource: `source/erp-files`, or all of a kind: `source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Those of this type, such as `resource_applied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Those from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those that were done, or those that were denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AuditOutcome>,
}

/// What became of what someone wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was denied.
    Denied,
}

impl std::str::FromStr for AuditOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "done" => Ok(Self::Done),
            "denied" => Ok(Self::Denied),
            other => Err(format!("`{other}` is neither `done` nor `denied`")),
        }
    }
}

/// A page of the audit trail.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// The events, in the order that was asked for.
    pub items: Vec<Value>,
    /// Where the next page begins: the argument `after`, or `before` for the newest first. Nothing: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// How a copying of the audit trail goes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ExportStatus {
    /// The number of the last event that was sent.
    pub sent: u64,
    /// How many events there are behind it.
    pub behind: u64,
    /// Why it does not go on, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
