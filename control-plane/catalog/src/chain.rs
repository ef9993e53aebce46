//! The chain of events: each record holds the hash of the one before it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Event;

const HASH_BYTES: usize = 32;

/// The BLAKE3 hash of an event's record, and thereby of every event before it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventHash([u8; HASH_BYTES]);

/// Why a record is not the next event of the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} {fault}; the events are not as they were written: compare with a backup")]
pub struct ChainFault {
    /// The number of the record.
    pub seq: u64,
    /// What is wrong with it.
    pub fault: String,
}

/// An event as it stands in the log.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Linked {
    pub(crate) event: Event,
    pub(crate) previous: EventHash,
    pub(crate) hash: EventHash,
}

/// The record of an event that follows the one with this hash.
pub(crate) fn encode(previous: EventHash, event: &Event) -> (Vec<u8>, EventHash) {
    let mut record = previous.0.to_vec();
    serde_json::to_writer(&mut record, event).expect("an event is always JSON, and memory takes all of it");
    let hash = EventHash::of(&record);
    (record, hash)
}

/// Reads the record with this number.
pub(crate) fn decode(seq: u64, record: &[u8]) -> Result<Linked, ChainFault> {
    let fault = |fault: String| ChainFault { seq, fault };
    let (previous, json) =
        record.split_first_chunk::<HASH_BYTES>().ok_or_else(|| fault("is cut short".to_owned()))?;
    let event: Event = serde_json::from_slice(json).map_err(|error| {
        fault(format!("cannot be read, perhaps because a later version wrote it: {error}"))
    })?;
    if event.seq != seq {
        return Err(fault(format!("says that it is event {}", event.seq)));
    }
    Ok(Linked { event, previous: EventHash(*previous), hash: EventHash::of(record) })
}

impl Linked {
    /// Whether it follows the event with this hash.
    pub(crate) fn check_follows(&self, head: EventHash) -> Result<(), ChainFault> {
        if self.previous == head {
            return Ok(());
        }
        let fault = format!("follows an event with hash {}, but that before it has {head}", self.previous);
        Err(ChainFault { seq: self.event.seq, fault })
    }
}

impl EventHash {
    fn of(record: &[u8]) -> Self {
        Self(*blake3::hash(record).as_bytes())
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventHash({self})")
    }
}

impl TryFrom<String> for EventHash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        let mut hash = [0; HASH_BYTES];
        hex::decode_to_slice(text, &mut hash)?;
        Ok(Self(hash))
    }
}

impl From<EventHash> for String {
    fn from(hash: EventHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventKind};
    use jiff::Timestamp;

    fn event(seq: u64) -> Event {
        let kind = EventKind::CertificateAuthorityCreated { fingerprint: "ab".repeat(32) };
        Event { seq, at: Timestamp::UNIX_EPOCH, cause: Actor::System.into(), kind }
    }

    #[test]
    fn an_event_comes_back_as_it_was_written_and_knows_its_predecessor() {
        let (first, head) = encode(EventHash::default(), &event(1));
        let (second, _) = encode(head, &event(2));
        let back = decode(1, &first).unwrap();
        assert_eq!(back.event, event(1));
        back.check_follows(EventHash::default()).unwrap();
        decode(2, &second).unwrap().check_follows(back.hash).unwrap();
        assert!(decode(2, &first).unwrap_err().to_string().contains("says that it is event 1"));
    }

    #[test]
    fn whichever_bit_of_an_event_is_flipped_the_next_one_tells() {
        let (first, head) = encode(EventHash::default(), &event(1));
        let (second, _) = encode(head, &event(2));
        let second = decode(2, &second).unwrap();
        for bit in 0..first.len() * 8 {
            let mut flipped = first.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let told = match decode(1, &flipped) {
                Ok(linked) => second.check_follows(linked.hash).is_err(),
                Err(_) => true,
            };
            assert!(told, "bit {bit}");
        }
    }
}
