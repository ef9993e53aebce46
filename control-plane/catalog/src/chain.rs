//! The chain of events: each record holds the hash of the one before it.

use towpath_audit::{EventHash, Record};

use crate::event::Event;
use crate::forms;

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
    let json = forms::write(event);
    let record = Record::link(previous, &json);
    (record.bytes(), record.hash)
}

/// Reads the record with this number.
pub(crate) fn decode(seq: u64, bytes: &[u8]) -> Result<Linked, ChainFault> {
    let fault = |fault: String| ChainFault { seq, fault };
    let record = Record::parse(bytes).ok_or_else(|| fault("is cut short".to_owned()))?;
    let event = forms::read(record.json).map_err(|error| {
        fault(format!("cannot be read, perhaps because a later version wrote it: {error}"))
    })?;
    if event.seq != seq {
        return Err(fault(format!("says that it is event {}", event.seq)));
    }
    Ok(Linked { event, previous: record.previous, hash: record.hash })
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
