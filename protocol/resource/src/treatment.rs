//! What becomes of a field that may not stand as it is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::secret::{SecretReference, check_reference};
use towpath_record::ResourceName;

/// Most decimals that are kept.
const MOST_DECIMALS: u8 = 8;

/// What becomes of a field: `allow`, `drop`, `block`, or a change such as `{mask: {keep_last: 4}}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Treatment {
    /// It stays as it is.
    Allow,
    /// A part of it stays.
    Mask(Mask),
    /// It is made coarse: numbers by a width, times by a unit.
    Bucket(Bucket),
    /// Each value becomes a token of the same form, always the same one; who has the key can go back (FF1 of NIST
    /// SP 800-38G).
    Tokenise(Tokenise),
    /// It is encrypted to those who may read it (HPKE, RFC 9180); nobody between can.
    Encrypt(Encrypt),
    /// Each value becomes its keyed hash (BLAKE3), always the same one; nobody can go back.
    Hash(Hash),
    /// It is left out.
    Drop,
    /// Nothing of the stream may pass while it has this field.
    Block,
}

/// Which part of a value stays.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// So many characters at the end; the others become `*`.
    KeepLast(u8),
    /// So many characters at the beginning; the others become `*`.
    KeepFirst(u8),
    /// What stands behind the `@` of an e-mail address.
    Domain,
    /// Nothing: every value becomes the text `***`.
    All,
}

/// How values are made coarse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// Numbers become the lower end of the bucket of this width that they lie in.
    Width(#[schemars(range(min = 1))] u32),
    /// Numbers keep so many decimals, as for coordinates: 1 is about 11 km.
    Decimals(#[schemars(range(max = MOST_DECIMALS))] u8),
    /// Times become the first day of their month.
    Month,
    /// Times become the first day of their year.
    Year,
}

/// How values become tokens.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokenise {
    /// The key of 32 bytes in hexadecimal, as `${env:NAME}` or `${file:/path}` on the agent's machine.
    #[schemars(with = "SecretReference")]
    pub key: String,
}

/// How values are hashed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    /// The key of 32 bytes in hexadecimal, as `${env:NAME}` or `${file:/path}` on the agent's machine.
    #[schemars(with = "SecretReference")]
    pub key: String,
}

/// For whom values are encrypted.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encrypt {
    /// The agent whose sinks may read it.
    pub to: ResourceName,
}

impl Treatment {
    /// The word for it, which also stands in the schemas of streams.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Mask(_) => "mask",
            Self::Bucket(_) => "bucket",
            Self::Tokenise(_) => "tokenise",
            Self::Encrypt(_) => "encrypt",
            Self::Hash(_) => "hash",
            Self::Drop => "drop",
            Self::Block => "block",
        }
    }

    /// How strict it is, from 0 for `allow`: where two rules are equally special, the stricter one counts.
    pub const fn strictness(&self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Bucket(_) => 1,
            Self::Mask(_) => 2,
            Self::Tokenise(_) => 3,
            Self::Encrypt(_) => 4,
            Self::Hash(_) => 5,
            Self::Drop => 6,
            Self::Block => 7,
        }
    }

    pub(crate) fn check(&self, path: &str, faults: &mut Faults) {
        match self {
            Self::Tokenise(Tokenise { key }) | Self::Hash(Hash { key }) => {
                check_reference(key, &format!("{path}.{}.key", self.as_str()), "agent", faults);
            }
            Self::Bucket(Bucket::Width(width)) => {
                faults
                    .require(*width > 0, &format!("{path}.bucket.width"), || "must be at least 1".to_owned());
            }
            Self::Bucket(Bucket::Decimals(decimals)) => {
                faults.require(*decimals <= MOST_DECIMALS, &format!("{path}.bucket.decimals"), || {
                    format!("may be 0 to {MOST_DECIMALS}")
                });
            }
            _ => {}
        }
    }
}

impl fmt::Display for Treatment {
    /// With everything but the key: how values look afterwards, which is what a schema says of a field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::Mask(Mask::KeepLast(n)) => write!(f, " keep_last {n}"),
            Self::Mask(Mask::KeepFirst(n)) => write!(f, " keep_first {n}"),
            Self::Mask(Mask::Domain) => f.write_str(" domain"),
            Self::Mask(Mask::All) => f.write_str(" all"),
            Self::Bucket(Bucket::Width(width)) => write!(f, " width {width}"),
            Self::Bucket(Bucket::Decimals(decimals)) => write!(f, " decimals {decimals}"),
            Self::Bucket(Bucket::Month) => f.write_str(" month"),
            Self::Bucket(Bucket::Year) => f.write_str(" year"),
            Self::Encrypt(Encrypt { to }) => write!(f, " to {to}"),
            Self::Allow | Self::Tokenise(_) | Self::Hash(_) | Self::Drop | Self::Block => Ok(()),
        }
    }
}
