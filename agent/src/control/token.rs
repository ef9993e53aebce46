//! The enrolment token, as the control plane wrote it: a secret to be used once, and the hash of the CA to meet.
//!
//! ```text
//! tp1.<secret: 32 bytes>.<SHA-256 of the CA's certificate: 32 bytes>      both base64url without padding
//! ```

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A token that was given to this machine.
pub struct EnrolmentToken {
    text: Zeroizing<String>,
    pin: CaPin,
}

/// The SHA-256 hash of the one CA that may answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CaPin([u8; 32]);

/// Why a text is not a token. It never repeats the text, which may be most of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid: {reason}; copy the whole line that `towpath token create` printed")]
pub struct TokenError {
    reason: &'static str,
}

impl EnrolmentToken {
    /// The text to present to the control plane.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The CA that the control plane must prove to be vouched for by.
    pub fn pin(&self) -> CaPin {
        self.pin
    }
}

impl CaPin {
    /// Whether this certificate is the pinned one.
    pub fn matches(&self, ca: &CertificateDer<'_>) -> bool {
        self.0 == <[u8; 32]>::from(Sha256::digest(ca))
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let parts: Vec<&str> = text.split('.').collect();
        match *parts {
            ["tp1", secret, pin] => {
                part(secret, "its secret is cut or has characters that do not belong")?;
                let pin = part(pin, "its last part is cut or has characters that do not belong")?;
                Ok(Self { text: Zeroizing::new(text.to_owned()), pin: CaPin(*pin) })
            }
            ["tp1", ..] => Err(TokenError { reason: "it has not three parts between dots" }),
            [version, ..] if version.len() < 6 && version.starts_with("tp") => {
                Err(TokenError { reason: "it was made by a newer control plane; upgrade this agent" })
            }
            _ => Err(TokenError { reason: "it does not begin with `tp1.`" }),
        }
    }
}

impl std::fmt::Debug for EnrolmentToken {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolmentToken").field("pin", &self.pin).finish_non_exhaustive()
    }
}

fn part(text: &str, reason: &'static str) -> Result<Zeroizing<[u8; 32]>, TokenError> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError { reason })?);
    <[u8; 32]>::try_from(&bytes[..]).map(Zeroizing::new).map_err(|_| TokenError { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same text stands in the control plane's test of its writer: secret 32 × 11, pin 32 × fe.
    const TOKEN: &str =
        "tp1.ERERERERERERERERERERERERERERERERERERERERERE._v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v4";

    #[test]
    fn a_token_is_read_as_the_control_plane_writes_it() {
        let token: EnrolmentToken = format!("  {TOKEN}\n").parse().unwrap();
        assert_eq!(token.reveal(), TOKEN);
        assert_eq!(token.pin(), CaPin([0xfe; 32]));
        assert!(!format!("{token:?}").contains("ERER"));
    }

    #[test]
    fn a_damaged_token_is_refused_with_what_is_wrong_and_without_the_secret() {
        let said = |text: &str| {
            let error = text.parse::<EnrolmentToken>().unwrap_err().to_string();
            assert!(!error.contains("ERER") && error.contains("towpath token create"), "{error}");
            error
        };
        assert!(said("").contains("begin with `tp1.`"));
        assert!(said(&TOKEN[4..]).contains("begin with `tp1.`"));
        assert!(said(&TOKEN[..TOKEN.len() - 1]).contains("last part"));
        assert!(said(&TOKEN[..40]).contains("three parts"));
        assert!(said(&TOKEN.replacen("tp1", "tp2", 1)).contains("upgrade"));
        assert!(said(&TOKEN.replacen("ER", "E*", 1).replace("ERER", "")).contains("its secret"));
    }
}
