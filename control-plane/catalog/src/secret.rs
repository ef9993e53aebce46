//! Secrets, as the catalog knows them.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The BLAKE3 hash of a secret of at least 256 random bits, which cannot be searched back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash(pub [u8; 32]);

/// A text that is not the hash of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a secret is written as 64 hexadecimal digits")]
pub struct SecretHashError;

impl SecretHash {
    /// The hash of a secret that was presented, white space around it left out.
    pub fn of(secret: &str) -> Self {
        Self(*blake3::hash(secret.trim().as_bytes()).as_bytes())
    }

    /// Whether both are of the same secret, found in the same time wherever they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl TryFrom<String> for SecretHash {
    type Error = SecretHashError;

    fn try_from(text: String) -> Result<Self, SecretHashError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| SecretHashError)?;
        Ok(Self(hash))
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> Self {
        hex::encode(hash.0)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHash({}…)", hex::encode(&self.0[..4]))
    }
}
