//! The history of a resource: every version it had, and the way back to one.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::FieldChange;

/// One version of a resource.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ResourceVersion {
    /// Its generation, which is the number of the event that made it so.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// By whom, as the event says it.
    pub actor: Value,
    /// Where the request came from, as the event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// What happened to it.
    pub happened: Happened,
    /// What was different from the version before, field by field.
    pub changes: Vec<FieldChange>,
    /// What an admin would write to have it so; nothing for one that was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Value>,
}

/// What happened to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It came into being.
    Created,
    /// It was changed.
    Changed,
    /// It was deleted.
    Deleted,
}

impl Happened {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

/// Asks for a resource to be as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackOrder {
    /// The generation it shall be like.
    pub to: u64,
}
