//! The answer to manifests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Place};

/// What became of each document.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApplyReport {
    /// Whether nothing was recorded because that was asked for.
    pub dry_run: bool,
    /// One for each document, in their order.
    pub results: Vec<Applied>,
}

/// What became of one document.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// What the document is about, as in `source erp-files`.
    pub subject: String,
    /// Where the document begins in the text.
    pub place: Place,
    /// What became of it.
    pub outcome: ApplyOutcome,
    /// The catalog's generation that made the resource as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why it was refused, where no field is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was refused, by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// What became of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyOutcome {
    /// The resource is new.
    Created,
    /// The resource was there and is different now.
    Changed,
    /// The resource was just so already.
    Unchanged,
    /// It was refused; the resource is as it was.
    Refused,
}

impl ApplyReport {
    /// Whether every document was taken.
    pub fn is_success(&self) -> bool {
        self.results.iter().all(|result| result.outcome != ApplyOutcome::Refused)
    }
}

impl ApplyOutcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}
