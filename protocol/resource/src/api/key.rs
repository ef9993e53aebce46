//! API keys: with these, programs use the API.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{ResourceName, TimeSpan};

use crate::id::KeyId;
use crate::role_grant::{MOST_GRANTS, RoleGrant};

/// Longest time for which the secret before a rotation goes on to be taken.
pub const MAX_GRACE: TimeSpan = TimeSpan(Duration::from_secs(30 * 24 * 3_600));

/// Asks for a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOrder {
    /// Its name, which no other key has.
    pub name: ResourceName,
    /// What it may do. Nobody gives more than they have.
    #[schemars(length(min = 1, max = MOST_GRANTS))]
    pub grants: Vec<RoleGrant>,
    /// How long it can be used. Default: until it is revoked, where the control plane's `access.key_max_ttl` allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeSpan>,
}

/// Asks for a new secret of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateOrder {
    /// How long the secret before goes on to be taken, at most `30d`. Default: `1d`; `0s` ends it at once.
    #[serde(default = "day")]
    pub grace: TimeSpan,
    /// How long the key can be used from now on. Default: its end stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeSpan>,
}

/// A new key, or the new secret of one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedKey {
    /// Its identity.
    pub id: KeyId,
    /// Its name.
    pub name: ResourceName,
    /// The key itself, to be sent as `Authorization: Bearer KEY`. It is shown now and never again.
    pub key: String,
    /// When it can no longer be used. Nothing: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Until when the secret before is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
}

/// A key, as it is listed: without the secret, which nobody keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyStatus {
    /// Its identity.
    pub id: KeyId,
    /// Its name.
    pub name: ResourceName,
    /// Whether it can be used.
    pub state: KeyState,
    /// What it may do.
    pub grants: Vec<RoleGrant>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as in `user ada`.
    pub created_by: String,
    /// When it can no longer be used. Nothing: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it got its secret, if not with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// Until when the secret before is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// When it was last used, to the minute. What was noted in the minute before a crash is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// Whether a key can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It can be used.
    Active,
    /// Its time is over. A rotation with a new time revives it.
    Expired,
}

impl KeyState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Default for RotateOrder {
    fn default() -> Self {
        Self { grace: day(), ttl: None }
    }
}

impl fmt::Debug for CreatedKey {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreatedKey({} {})", self.id, self.name)
    }
}

const fn day() -> TimeSpan {
    TimeSpan(Duration::from_secs(24 * 3_600))
}
