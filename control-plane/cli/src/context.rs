//! Contexts: which control planes there are, as whom we come to each, and how each is known. One YAML file, for its
//! owner only:
//!
//! ```yaml
//! current: plant
//! contexts:
//!   plant:
//!     server: https://127.0.0.1:7443
//!     token: tpa1.…
//!     ca_pem: |
//!       -----BEGIN CERTIFICATE-----
//!       …
//! ```
//!
//! A file that is a single context by itself, such as the `admin-context.yaml` of a control plane, is read as the one
//! context `default`.

mod file;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use file::{ContextChange, ContextError, ContextFile, DEFAULT_NAME, VARIABLE};

/// One control plane, as whom we come to it, and how it is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The address, as in `https://127.0.0.1:7443`.
    pub server: String,
    /// What proves who we are: an admin's token, or the token of a session. Empty after a logout.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// How the token came about, if it was by a login that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The certificate of the control plane's own CA, PEM. No other is trusted.
    pub ca_pem: String,
}

/// A login that ends, and what renews it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// When the token ends.
    pub expires_at: Timestamp,
    /// What is exchanged for the next token, if the login can be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The identity provider that gave the token; none if the control plane itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<SessionProvider>,
}

/// The identity provider that renews a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionProvider {
    /// Its name at the control plane.
    pub name: String,
    /// As which client we come to it.
    pub client_id: String,
    /// Where it gives tokens.
    pub token_endpoint: String,
}

impl Context {
    /// A context with a token that does not end.
    pub fn with_token(
        server: impl Into<String>,
        token: impl Into<String>,
        ca_pem: impl Into<String>,
    ) -> Self {
        Self { server: server.into(), token: token.into(), session: None, ca_pem: ca_pem.into() }
    }

    /// How we come to it, in words.
    pub fn login(&self) -> String {
        match &self.session {
            _ if self.token.is_empty() => "logged out".to_owned(),
            None => "token".to_owned(),
            Some(Session { provider: None, .. }) => "password".to_owned(),
            Some(Session { provider: Some(provider), .. }) => format!("provider {}", provider.name),
        }
    }
}

impl std::fmt::Debug for Context {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({}, {})", self.server, self.login())
    }
}

impl std::fmt::Debug for Session {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session(until {}, {:?})", self.expires_at, self.provider)
    }
}
