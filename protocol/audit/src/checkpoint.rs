//! Checkpoints: from time to time the hash of the newest event is signed, and thereby all that came before it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hash::EventHash;
use crate::key::{AuditKey, KeyName, PublicKey, Signature};

/// Stands before what is signed, so that a signature of the same key over something else is never taken for one of these.
const DOMAIN: &[u8] = b"towpath checkpoint v1\n";

/// What a checkpoint says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// The number of the newest event that it vouches for.
    pub seq: u64,
    /// The hash of that event.
    pub head: EventHash,
    /// When it was made.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The hash of the checkpoint before it; zeros for the first.
    pub previous: EventHash,
    /// Of an anchor: the hash of the snapshot of the state after that event. The events up to it may be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<EventHash>,
}

/// A checkpoint with its signature, byte for byte as it was signed.
#[derive(Clone)]
pub struct SignedCheckpoint {
    said: Checkpoint,
    written: Written,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    checkpoint: Box<RawValue>,
    key: KeyName,
    signature: Signature,
}

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// It has not the form of one.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It was signed with a key that is not among those given.
    #[error("is signed with key {0}, which is not among those given")]
    UnknownKey(KeyName),
    /// The signature is not of what it says.
    #[error("is not what was signed: its signature does not hold")]
    Forged,
}

impl Checkpoint {
    /// Signs it.
    pub fn sign(self, key: &AuditKey) -> SignedCheckpoint {
        let json = serde_json::value::to_raw_value(&self).expect("a checkpoint is always JSON");
        let signature = key.sign(&message(&json));
        SignedCheckpoint {
            said: self,
            written: Written { checkpoint: json, key: key.public().name(), signature },
        }
    }
}

impl SignedCheckpoint {
    /// Reads one, without looking at its signature.
    ///
    /// # Errors
    /// It has not the form of a checkpoint.
    pub fn from_json(json: &[u8]) -> Result<Self, CheckpointFault> {
        let unreadable = |error: serde_json::Error| CheckpointFault::Unreadable(error.to_string());
        let written: Written = serde_json::from_slice(json).map_err(unreadable)?;
        let said = serde_json::from_str(written.checkpoint.get()).map_err(unreadable)?;
        Ok(Self { said, written })
    }

    /// The JSON from which it comes back, one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.written).expect("a checkpoint is always JSON")
    }

    /// What it says. Believe it only after [`SignedCheckpoint::check`].
    pub fn said(&self) -> &Checkpoint {
        &self.said
    }

    /// The key it was signed with, as it says.
    pub fn key(&self) -> KeyName {
        self.written.key
    }

    /// The hash that the next checkpoint carries.
    pub fn hash(&self) -> EventHash {
        EventHash::of(self.written.checkpoint.get().as_bytes())
    }

    /// Whether one of these keys signed just this.
    ///
    /// # Errors
    /// None of them did.
    pub fn check(&self, keys: &[PublicKey]) -> Result<(), CheckpointFault> {
        let key = keys.iter().find(|key| key.name() == self.written.key);
        let key = key.ok_or(CheckpointFault::UnknownKey(self.written.key))?;
        let holds = key.verifies(&message(&self.written.checkpoint), &self.written.signature);
        holds.then_some(()).ok_or(CheckpointFault::Forged)
    }
}

impl PartialEq for SignedCheckpoint {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl fmt::Debug for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedCheckpoint({:?}, by {})", self.said, self.written.key)
    }
}

fn message(json: &RawValue) -> Vec<u8> {
    [DOMAIN, json.get().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let (at, head) = (Timestamp::UNIX_EPOCH, EventHash::of(b"event 5"));
        Checkpoint { number: 1, seq: 5, head, at, previous: EventHash::default(), snapshot: None }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_signed() {
        let key = AuditKey::generate().unwrap();
        let signed = checkpoint().sign(&key);
        let back = SignedCheckpoint::from_json(signed.to_json().as_bytes()).unwrap();
        assert_eq!((back.said(), back.hash()), (&checkpoint(), signed.hash()));
        back.check(&[key.public()]).unwrap();
        let other = AuditKey::generate().unwrap().public();
        assert_eq!(back.check(&[other]), Err(CheckpointFault::UnknownKey(key.public().name())));
    }

    #[test]
    fn whichever_bit_of_a_signed_checkpoint_is_flipped_it_is_refused() {
        let key = AuditKey::generate().unwrap();
        let good = checkpoint().sign(&key).to_json().into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let taken = SignedCheckpoint::from_json(&bad).and_then(|read| read.check(&[key.public()]));
            assert!(taken.is_err(), "bit {bit}: {}", String::from_utf8_lossy(&bad));
        }
    }
}
