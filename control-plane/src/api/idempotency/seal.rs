//! What seals an answer on the disk: AES-256-GCM with a key that is derived from the token of whoever asked and their
//! idempotency key. The token has 256 random bits or a provider's signature, and stands nowhere on our disk.
//!
//! ```text
//! sealed: nonce 12 bytes | ciphertext | tag 16 bytes        bound to: the name of the idempotency key
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::book::Name;

const PURPOSE: &str = "towpath idempotent answers v1";

/// Seals and opens the answers to one who asks.
pub(super) struct Seal(RandomizedNonceKey);

impl Seal {
    pub(super) fn of(bearer: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(PURPOSE);
        for part in [bearer, key] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let derived = hasher.finalize();
        Self(
            RandomizedNonceKey::new(&AES_256_GCM, derived.as_bytes()).expect("32 bytes are a key of AES-256"),
        )
    }

    /// Nothing if there is no randomness.
    pub(super) fn seal(&self, name: Name, mut text: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text).ok()?;
        Some([nonce.as_ref().as_slice(), &text].concat())
    }

    /// Nothing if another sealed it.
    pub(super) fn open(&self, name: Name, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.0.open_in_place(nonce, Aad::from(name.as_bytes()), text).ok()?;
        Some(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_the_key_and_the_name_that_sealed_an_answer_open_it() {
        let (name, other) = (blake3::hash(b"a"), blake3::hash(b"b"));
        let sealed = Seal::of("token", "key").seal(name, b"secret".to_vec()).unwrap();
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(Seal::of("token", "key").open(name, sealed.clone()).unwrap(), b"secret");
        assert!(Seal::of("other", "key").open(name, sealed.clone()).is_none());
        assert!(Seal::of("token", "other").open(name, sealed.clone()).is_none());
        assert!(Seal::of("token", "key").open(other, sealed.clone()).is_none());
        assert!(Seal::of("token", "key").open(name, sealed[..5].to_vec()).is_none());
        assert_ne!(Seal::of("token", "key").seal(name, b"secret".to_vec()).unwrap(), sealed);
    }
}
