//! Enrolment tokens.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{ResourceName, TimeSpan};

use crate::id::TokenId;

/// Longest life of an enrolment token.
pub const MAX_TTL: TimeSpan = TimeSpan(Duration::from_secs(30 * 24 * 3_600));

/// Asks for an enrolment token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenOrder {
    /// The site whose agent may use it.
    pub site: ResourceName,
    /// How long it can be used, at most `30d`. Default: `1h`.
    #[serde(default = "hour")]
    pub ttl: TimeSpan,
}

/// A new enrolment token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// Its identity.
    pub id: TokenId,
    /// The token itself, to be used once. It is shown now and never again.
    pub token: String,
    /// The site whose agent may use it.
    pub site: ResourceName,
    /// When it can no longer be used.
    pub expires_at: Timestamp,
}

/// An enrolment token, as it is listed: without the secret, which nobody keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenStatus {
    /// Its identity.
    pub id: TokenId,
    /// The site whose agent may use it.
    pub site: ResourceName,
    /// Whether it can be used.
    pub state: TokenState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it can no longer be used.
    pub expires_at: Timestamp,
    /// The agent that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<ResourceName>,
    /// When it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// Whether a token can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It can be used, once.
    Open,
    /// It was used.
    Used,
    /// Its time is over.
    Expired,
}

impl TokenState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }
}

impl std::fmt::Debug for CreatedToken {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CreatedToken({} for site {}, until {})", self.id, self.site, self.expires_at)
    }
}

const fn hour() -> TimeSpan {
    TimeSpan(Duration::from_secs(3_600))
}
