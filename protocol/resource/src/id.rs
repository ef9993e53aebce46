//! Identities that the catalog gives, beside those of what agents touch.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// An enrolment token.
    TokenId;
    /// A token with which an admin uses the API.
    AdminTokenId;
    /// A key with which a program uses the API.
    KeyId;
    /// A person whom the control plane knows by a password.
    UserId;
    /// A session that was opened by a login.
    SessionId;
    /// A policy.
    PolicyId;
    /// A role.
    RoleId;
    /// A role binding.
    RoleBindingId;
    /// An identity provider.
    IdentityProviderId;
    /// A place that the audit trail is copied to.
    AuditExportId;
}
