//! Enrolment tokens: a secret that may be used once, and the hash of the CA that the agent will meet.
//!
//! ```text
//! tp1.<secret: 32 bytes>.<SHA-256 of the CA's certificate: 32 bytes>      both base64url without padding
//! ```
//!
//! The catalog keeps the token's hash only. The secret has 256 random bits, so a plain hash cannot be searched back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::ca::{CaError, CaFingerprint};

/// A token as the admin hands it to the one who installs the agent. It is shown once and kept nowhere.
pub struct EnrolmentToken(Zeroizing<String>);

/// The BLAKE3 hash of a token's text, by which the catalog knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl EnrolmentToken {
    /// A new token that pins this CA.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn mint(ca: &CaFingerprint) -> Result<Self, CaError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(CaError::Random)?;
        Ok(Self::assemble(&secret, ca))
    }

    fn assemble(secret: &[u8; 32], ca: &CaFingerprint) -> Self {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret));
        Self(Zeroizing::new(format!("tp1.{}.{}", *secret, URL_SAFE_NO_PAD.encode(ca.0))))
    }

    /// The token's text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash to keep.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl TokenHash {
    /// The hash of a token that was presented.
    pub fn of(token: &str) -> Self {
        Self(*blake3::hash(token.trim().as_bytes()).as_bytes())
    }
}

impl std::fmt::Display for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

impl std::fmt::Debug for EnrolmentToken {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolmentToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_written_as_agents_read_it() {
        let token = EnrolmentToken::assemble(&[0x11; 32], &CaFingerprint([0xfe; 32]));
        // The same text stands in the agent's tests of its parser.
        let text =
            "tp1.ERERERERERERERERERERERERERERERERERERERERERE._v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v4";
        assert_eq!(token.reveal(), text);
        assert_eq!(TokenHash::of(&format!(" {text}\n")), token.hash());
    }

    #[test]
    fn no_two_tokens_are_alike_and_none_shows_its_secret_by_accident() {
        let ca = CaFingerprint([7; 32]);
        let (one, two) = (EnrolmentToken::mint(&ca).unwrap(), EnrolmentToken::mint(&ca).unwrap());
        assert_ne!(one.hash(), two.hash());
        assert_eq!(format!("{one:?}"), "EnrolmentToken(…)");
    }
}
