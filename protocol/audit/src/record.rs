//! One event, as it stands in the log.

use serde::Deserialize;

use crate::hash::EventHash;

/// Size of a hash, in bytes.
pub const HASH_BYTES: usize = 32;

/// A record: the hash of the one before it, and the event. Both are kept byte for byte, since the hash is over them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// The hash of the record before it.
    pub previous: EventHash,
    /// The event, JSON.
    pub json: &'a [u8],
    /// Its own hash.
    pub hash: EventHash,
}

/// The one member of every event that the chain itself needs.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl<'a> Record<'a> {
    /// Takes the bytes apart. `None` if they are too few.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (previous, json) = bytes.split_first_chunk::<HASH_BYTES>()?;
        Some(Self { previous: EventHash(*previous), json, hash: EventHash::of(bytes) })
    }

    /// The record that `previous` and the JSON of an event make.
    pub fn link(previous: EventHash, json: &'a [u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&previous.0).update(json);
        Self { previous, json, hash: EventHash(*hasher.finalize().as_bytes()) }
    }

    /// The bytes of the record.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.previous.0, self.json].concat()
    }

    /// The number that the event says it has, if it can be read.
    pub fn seq(&self) -> Option<u64> {
        serde_json::from_slice::<Numbered>(self.json).ok().map(|numbered| numbered.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_the_same_from_its_parts_and_from_its_bytes() {
        let json = br#"{"seq":7,"event":"x"}"#;
        let made = Record::link(EventHash::of(b"before"), json);
        let bytes = made.bytes();
        let read = Record::parse(&bytes).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.seq(), Some(7));
        assert_eq!(Record::parse(&bytes[..31]), None);
    }
}
