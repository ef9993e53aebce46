//! Keys of hashes and tokens, and where they come from.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

const BYTES: usize = 32;

/// A key of 32 bytes. It is wiped from memory when it is dropped, and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; BYTES]);

/// A text that is no key. The text is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not 64 hexadecimal digits; `openssl rand -hex 32` makes such a key")]
pub struct KeyFault;

/// A key that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {reference} cannot be used: {reason}")]
pub struct KeyError {
    /// Where it should stand, as a policy says it: `${env:NAME}` or `${file:/path}`.
    pub reference: String,
    /// Why it cannot be had, and what would help. Nothing of the key.
    pub reason: String,
}

/// Where keys come from. Whoever runs a source resolves references on its own machine.
pub trait Keys: Send + Sync {
    /// The key that stands at a reference, such as `${env:NAME}` or `${file:/path}`.
    ///
    /// # Errors
    /// It cannot be read, or is no key.
    fn key(&self, reference: &str) -> Result<Key, KeyError>;
}

impl Key {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a key of 64 hexadecimal digits; white space around them does not count.
    ///
    /// # Errors
    /// The text is no such key.
    pub fn from_hex(text: &str) -> Result<Self, KeyFault> {
        let mut key = Self([0; BYTES]);
        hex::decode_to_slice(text.trim(), &mut key.0).map_err(|_| KeyFault)?;
        Ok(key)
    }

    pub(crate) const fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Another key for one use, from which this one cannot be found: the key derivation of BLAKE3.
    pub(crate) fn derive(&self, purpose: &str) -> Self {
        Self(blake3::derive_key(purpose, &self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_never_shown() {
        let text = "a5".repeat(BYTES);
        let key = Key::from_hex(&format!(" {text}\n")).unwrap();
        assert_eq!(key.bytes(), &[0xa5; BYTES]);
        assert_eq!(format!("{key:?}"), "Key(…)");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_told() {
        for text in ["", "a5", &"a5".repeat(BYTES + 1), &"zz".repeat(BYTES)] {
            let said = Key::from_hex(text).unwrap_err().to_string();
            assert!(!said.contains("a5") && !said.contains("zz"), "{said}");
        }
    }
}
