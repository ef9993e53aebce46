//! The key that signs checkpoints: Ed25519 (RFC 8032), kept as PKCS #8 PEM; its public half as the PEM that other tools
//! take (RFC 8410), so that `openssl pkeyutl -verify -rawin` checks a checkpoint as well as we do.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
const PEM_COLUMNS: usize = 64;
const PUBLIC_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// How much of the key's hash names it, in bytes.
const NAME_BYTES: usize = 8;
/// SubjectPublicKeyInfo of an Ed25519 key, up to the key itself: RFC 8410, section 4.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The private key.
pub struct AuditKey(Ed25519KeyPair);

/// Its public half.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PUBLIC_BYTES]);

/// The first bytes of a public key's BLAKE3 hash, by which a checkpoint says which key signed it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName([u8; NAME_BYTES]);

/// A signature. Written as 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; SIGNATURE_BYTES]);

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM of that kind of key.
    #[error("it is not an Ed25519 {0} in PEM")]
    NotPem(&'static str),
    /// The cryptographic library refuses.
    #[error("the cryptographic library refuses: {0}")]
    Refused(String),
}

/// A text that is not so many hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are written as {} lower-case hexadecimal digits", bytes * 2)]
pub struct HexError {
    bytes: usize,
}

impl AuditKey {
    /// Makes a key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        Ed25519KeyPair::generate().map(Self).map_err(|error| KeyError::Refused(error.to_string()))
    }

    /// Reads the key's PEM.
    ///
    /// # Errors
    /// It is not the PEM of such a key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = from_pem(pem, PRIVATE_LABEL).map(Zeroizing::new).ok_or(KeyError::NotPem("private key"))?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map(Self)
            .map_err(|error| KeyError::Refused(error.to_string()))
    }

    /// The key's PEM.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = self.0.to_pkcs8v1().map_err(|error| KeyError::Refused(error.to_string()))?;
        Ok(Zeroizing::new(to_pem(der.as_ref(), PRIVATE_LABEL)))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("the public half of an Ed25519 key has 32 bytes"))
    }

    /// Signs a message.
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let signature = self.0.sign(message);
        Signature(signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
    }
}

impl fmt::Debug for AuditKey {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.public().name())
    }
}

impl PublicKey {
    /// Reads the key's PEM.
    ///
    /// # Errors
    /// It is not the PEM of such a key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = from_pem(pem, PUBLIC_LABEL)
            .and_then(|der| der.strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok()));
        key.map(Self).ok_or(KeyError::NotPem("public key"))
    }

    /// The key's PEM.
    pub fn to_pem(&self) -> String {
        to_pem(&[SPKI_PREFIX.as_slice(), &self.0].concat(), PUBLIC_LABEL)
    }

    /// By what checkpoints name it.
    pub fn name(&self) -> KeyName {
        let hash = blake3::hash(&self.0);
        let (name, _) = hash.as_bytes().split_first_chunk().expect("a hash is longer than a key's name");
        KeyName(*name)
    }

    /// Whether the signature is this key's, of this message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature.0).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.name())
    }
}

fn to_pem(der: &[u8], label: &str) -> String {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(PEM_COLUMNS) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

fn from_pem(pem: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (text, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
    STANDARD.decode(text.as_bytes()).ok()
}

macro_rules! hexadecimal {
    ($name:ident, $bytes:ident, $about:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = HexError;

            fn try_from(text: String) -> Result<Self, HexError> {
                let mut bytes = [0; $bytes];
                let error = HexError { bytes: $bytes };
                hex::decode_to_slice(&text, &mut bytes).map_err(|_| error)?;
                // One value has one spelling, so that a changed letter is a changed value.
                if hex::encode(bytes) == text { Ok(Self(bytes)) } else { Err(error) }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": "^[0-9a-f]+$", "description": $about })
            }
        }
    };
}

hexadecimal!(KeyName, NAME_BYTES, "The name of a key: the first bytes of its BLAKE3 hash.");
hexadecimal!(Signature, SIGNATURE_BYTES, "An Ed25519 signature.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_of_a_key_come_back_from_their_pem() {
        let key = AuditKey::generate().unwrap();
        let again = AuditKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = key.public();
        assert_eq!(PublicKey::from_pem(&public.to_pem()), Ok(public));
        assert!(PublicKey::from_pem(&key.to_pem().unwrap()).is_err(), "a private key is not a public one");
        assert!(AuditKey::from_pem(&public.to_pem()).is_err());
        assert!(!format!("{key:?}").contains(key.to_pem().unwrap().lines().nth(1).unwrap()));
    }

    #[test]
    fn a_signature_is_of_one_message_and_one_key() {
        let (key, other) = (AuditKey::generate().unwrap(), AuditKey::generate().unwrap());
        let signature = key.sign(b"said");
        assert!(key.public().verifies(b"said", &signature));
        assert!(!key.public().verifies(b"sait", &signature));
        assert!(!other.public().verifies(b"said", &signature));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_public_key_of_the_standard_verifies_its_signature() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let public = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        let key = PublicKey(public.try_into().unwrap());
        assert!(key.verifies(&[0x72], &Signature::try_from(signature.to_owned()).unwrap()));
    }
}
