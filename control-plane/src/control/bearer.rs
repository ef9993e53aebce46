//! Secrets by which the API knows who asks. Each says what it is and, where there are many of its sort, which one, so
//! that it is found without a search; and each has 256 random bits, so that a plain hash of it can be kept.
//!
//! ```text
//! tpa1.<secret>                 the first admin's token
//! tpk1.<key's id>.<secret>      a key
//! tps1.<session's id>.<secret>  a session's access token           secrets: 32 bytes, base64url without padding
//! tpr1.<session's id>.<secret>  a session's refresh token, which opens nothing but brings the next pair, once
//! tpf1.<secret>                 a ticket for a feed's socket
//! ```
//!
//! Whatever does not begin with one of these is the token of an identity provider.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use towpath_catalog::SecretHash;
use towpath_resource::{KeyId, SessionId};
use zeroize::Zeroizing;

const ADMIN: &str = "tpa1";
const KEY: &str = "tpk1";
const TICKET: &str = "tpf1";
const ACCESS: &str = "tps1";
const REFRESH: &str = "tpr1";
const SECRET_BYTES: usize = 32;

/// A secret that was just made. It is shown once and kept nowhere.
pub struct Bearer(Zeroizing<String>);

/// The operating system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes are to be had: {0}; try again")]
pub struct NoRandomBytes(getrandom::Error);

/// What a presented secret says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// The token of the first admin.
    Admin,
    /// This key.
    Key(KeyId),
    /// The access token of this session.
    Access(SessionId),
    /// The refresh token of this session.
    Refresh(SessionId),
    /// Nothing that we give out.
    Foreign,
}

impl Bearer {
    /// A new token for the first admin.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn admin() -> Result<Self, NoRandomBytes> {
        Self::mint(ADMIN)
    }

    /// A new secret for a key.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn key(id: KeyId) -> Result<Self, NoRandomBytes> {
        Self::mint(&format!("{KEY}.{id}"))
    }

    /// A new ticket for the socket of feeds.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn ticket() -> Result<Self, NoRandomBytes> {
        Self::mint(TICKET)
    }

    /// A new access token for a session.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn access(id: SessionId) -> Result<Self, NoRandomBytes> {
        Self::mint(&format!("{ACCESS}.{id}"))
    }

    /// A new refresh token for a session.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn refresh(id: SessionId) -> Result<Self, NoRandomBytes> {
        Self::mint(&format!("{REFRESH}.{id}"))
    }

    fn mint(beginning: &str) -> Result<Self, NoRandomBytes> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut *bytes).map_err(NoRandomBytes)?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        Ok(Self(Zeroizing::new(format!("{beginning}.{}", *secret))))
    }

    /// Its text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash to keep.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl Claimed {
    /// What a presented secret says it is. Nothing is proved by it.
    pub fn by(bearer: &str) -> Self {
        let mut parts = bearer.trim().split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(ADMIN), Some(_), None) => Self::Admin,
            (Some(KEY), Some(id), Some(_)) => id.parse().map_or(Self::Foreign, Self::Key),
            (Some(ACCESS), Some(id), Some(_)) => id.parse().map_or(Self::Foreign, Self::Access),
            (Some(REFRESH), Some(id), Some(_)) => id.parse().map_or(Self::Foreign, Self::Refresh),
            _ => Self::Foreign,
        }
    }
}

impl fmt::Debug for Bearer {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_secret_says_what_it_is_and_shows_itself_only_when_asked() {
        let id = KeyId::from(Uuid::nil());
        let (admin, key) = (Bearer::admin().unwrap(), Bearer::key(id).unwrap());
        assert_eq!(Claimed::by(admin.reveal()), Claimed::Admin);
        assert_eq!(Claimed::by(&format!(" {}\n", key.reveal())), Claimed::Key(id));
        assert_eq!(format!("{key:?}"), "Bearer(…)");
        assert_eq!(key.reveal().rsplit('.').next().unwrap().len(), 43, "256 bits in base64url");
        assert_ne!(key.hash(), Bearer::key(id).unwrap().hash());
    }

    #[test]
    fn what_we_do_not_give_out_is_foreign() {
        for text in
            ["", "tpk1", "tpk1.x.y", "tpk1.00000000-0000-0000-0000-000000000000", "eyJ.eyJ.sig", "tp1.a.b"]
        {
            assert_eq!(Claimed::by(text), Claimed::Foreign, "{text}");
        }
    }
}
