//! What a system lacks before it can be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

/// What a check of the system behind a source found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceCheck {
    /// The source.
    #[schemars(with = "String")]
    pub source: ResourceName,
    /// What was looked at, one by one.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what follows from it.
    pub found: String,
    /// What to run at the system to mend it, such as SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a thing that was looked at is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it must be.
    Good,
    /// It works, at a price that is named.
    Warning,
    /// The source cannot work.
    Failed,
}

impl SourceCheck {
    /// Whether nothing keeps the source from working.
    pub fn is_ready(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Failed)
    }
}
