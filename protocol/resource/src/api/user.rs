//! People whom the control plane knows by a password, their logins and sessions.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::ResourceName;

use crate::id::{SessionId, UserId};
use crate::role_grant::RoleGrant;

/// Shortest password, in characters.
pub const SHORTEST_PASSWORD: usize = 12;
/// Longest password, in characters.
pub const LONGEST_PASSWORD: usize = 256;

/// Asks for a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserOrder {
    /// The name, which no other user has. Role bindings say what the user may do.
    pub name: ResourceName,
    /// The password, of 12 to 256 characters.
    #[schemars(length(min = SHORTEST_PASSWORD, max = LONGEST_PASSWORD))]
    pub password: String,
}

/// Asks for another password for a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordOrder {
    /// The password, of 12 to 256 characters.
    #[schemars(length(min = SHORTEST_PASSWORD, max = LONGEST_PASSWORD))]
    pub password: String,
}

/// Asks for another password for whoever asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPasswordOrder {
    /// The password as it is.
    pub current: String,
    /// The password as it shall be, of 12 to 256 characters.
    #[schemars(length(min = SHORTEST_PASSWORD, max = LONGEST_PASSWORD))]
    pub new: String,
}

/// A user, without the password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserStatus {
    /// Its identity.
    pub id: UserId,
    /// The name.
    pub name: ResourceName,
    /// What role bindings give to the user.
    pub grants: Vec<RoleGrant>,
    /// When the user was made.
    pub created_at: Timestamp,
    /// When the password was set.
    pub password_set_at: Timestamp,
    /// How many sessions are open.
    pub sessions: usize,
}

/// A login by password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginOrder {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Asks for new tokens of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshOrder {
    /// The refresh token. It holds once: the answer brings the next.
    pub refresh_token: String,
}

/// The tokens of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionTokens {
    /// The token to send as `Authorization: Bearer TOKEN`.
    pub access_token: String,
    /// When it holds no longer.
    pub expires_at: Timestamp,
    /// The token that brings new ones, once.
    pub refresh_token: String,
    /// When the session ends and another login is needed.
    pub session_expires_at: Timestamp,
}

/// A session that is open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionStatus {
    /// Its identity.
    pub id: SessionId,
    /// Whose it is.
    pub user: ResourceName,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// From where it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub address: Option<IpAddr>,
}

/// Who asks, as the control plane knows them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// As people name it: `user ada`.
    pub who: String,
    /// As the audit trail names it.
    pub actor: Value,
    /// What they were given. Nothing: they may do nothing until a role binding names them.
    pub grants: Vec<RoleGrant>,
    /// Their groups, as an identity provider says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// An identity provider, as much of it as a login there needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LoginProvider {
    /// Its name here.
    pub name: ResourceName,
    /// Its address, as in the `iss` of its tokens.
    pub issuer: String,
    /// The client to log in as.
    pub client_id: String,
    /// What to ask for.
    pub scopes: Vec<String>,
    /// Where a login by code begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where a login by device code begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens are had.
    pub token_endpoint: String,
}

macro_rules! debug_without_secrets {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            /// Leaves the secrets out.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

debug_without_secrets! { UserOrder PasswordOrder OwnPasswordOrder LoginOrder RefreshOrder SessionTokens }
