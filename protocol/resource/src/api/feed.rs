//! Feeds: what changes, as it changes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A ticket with which a socket can be opened, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedTicket {
    /// The ticket.
    pub ticket: String,
    /// When it can no longer be used.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for FeedTicket {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FeedTicket(until {})", self.expires_at)
    }
}

/// One thing that a feed tells.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeedItem {
    /// What is told.
    pub what: FeedWhat,
    /// The resource, status, record or event, unless `what` says it all. Of a deleted resource only its kind and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Value>,
    /// The token with which the feed can be taken up again behind this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a feed tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedWhat {
    /// The resources that there are follow. Whatever was told of them before is void.
    Begun,
    /// A resource that is there.
    Present,
    /// Every resource that is there was told.
    Complete,
    /// A resource was created or changed.
    Applied,
    /// A resource was deleted, or left what may be seen.
    Deleted,
    /// How the fleet goes.
    Status,
    /// A record.
    Record,
    /// An event.
    Event,
}

/// What was told since a token, and the token to ask with next.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeedPage {
    /// What was told; nothing if nothing happened in time.
    pub items: Vec<FeedItem>,
    /// The token to ask with next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
