//! What a verification finds.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hash::EventHash;

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What it is: `event 7`, `checkpoint 3`, `events 4 to 9` or a file.
    pub subject: String,
    /// Where it stands: a file with the byte, or the line of an export. Empty where it has no place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// What is wrong with it.
    pub fault: String,
}

/// What a verification looked at, and what it found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// How many events could be read.
    pub events: u64,
    /// The number of the oldest.
    pub first: u64,
    /// The number of the newest.
    pub last: u64,
    /// The hash of the newest.
    pub head: EventHash,
    /// How many checkpoints could be read.
    pub checkpoints: u64,
    /// The number of the newest event that a signature vouches for; 0 if there is none.
    pub vouched: u64,
    /// What is not as it was written. Empty: all is well.
    pub findings: Vec<Finding>,
}

impl Finding {
    /// A finding.
    pub fn new(subject: impl Into<String>, place: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { subject: subject.into(), place: place.into(), fault: fault.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.fault)?;
        if self.place.is_empty() { Ok(()) } else { write!(f, " ({})", self.place) }
    }
}

impl Verification {
    /// Whether everything is as it was written.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}
