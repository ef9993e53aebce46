//! The lines of an export: events and checkpoints, byte for byte as they were written.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::checkpoint::{CheckpointFault, SignedCheckpoint};
use crate::hash::EventHash;
use crate::record::Record;

/// A line of an export.
#[derive(Clone, Debug)]
pub enum Line {
    /// An event.
    Event(EventLine),
    /// A checkpoint.
    Checkpoint(SignedCheckpoint),
}

/// An event and the hash of the one before it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    event: Box<RawValue>,
    previous: EventHash,
}

/// Why a line is not one of an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is neither an event nor a checkpoint.
    #[error("is neither an event nor a checkpoint: {0}")]
    Unreadable(String),
    /// It is nearly a checkpoint.
    #[error("is a checkpoint that {0}")]
    Checkpoint(#[from] CheckpointFault),
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// It is neither an event nor a checkpoint.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        if line.starts_with(br#"{"checkpoint""#) {
            return Ok(Self::Checkpoint(SignedCheckpoint::from_json(line)?));
        }
        let event = serde_json::from_slice(line).map_err(|error| LineError::Unreadable(error.to_string()))?;
        Ok(Self::Event(event))
    }
}

impl EventLine {
    /// The record it was made from.
    pub fn record(&self) -> Record<'_> {
        Record::link(self.previous, self.event.get().as_bytes())
    }
}

/// The line of an event, without the line feed. `None` if the record holds no JSON.
pub fn event_line(record: &Record<'_>) -> Option<String> {
    #[derive(Serialize)]
    struct Shown<'a> {
        event: &'a RawValue,
        previous: EventHash,
    }
    let event = serde_json::from_slice::<&RawValue>(record.json).ok()?;
    serde_json::to_string(&Shown { event, previous: record.previous }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_exported_event_is_the_record_byte_for_byte(seq: u64, text in ".*", number: f64, before: [u8; 8]) {
            let json = serde_json::to_vec(&serde_json::json!({ "seq": seq, "text": text, "number": number })).unwrap();
            let record = Record::link(EventHash::of(&before), &json);
            let line = event_line(&record).unwrap();
            prop_assert!(!line.contains('\n'));
            let Line::Event(back) = Line::parse(line.as_bytes()).unwrap() else { panic!("an event") };
            prop_assert_eq!(back.record(), record);
        }
    }

    #[test]
    fn what_is_no_line_of_an_export_is_named() {
        for bad in ["", "{}", "[1]", r#"{"checkpoint":{}}"#, r#"{"event":{},"previous":"00"}"#] {
            assert!(Line::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
