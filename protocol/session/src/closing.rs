//! How a session ends, and what an agent does then.

use std::time::Duration;

use towpath_proto::link::{Goodbye, GoodbyeCode};

use crate::limits::{FAULT_PAUSE, MAX_REASON_BYTES, SUPERSEDED_PAUSE};

/// Who ended a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// This side.
    Us,
    /// The other side.
    Peer,
    /// Nobody: the connection was lost.
    Transport,
}

/// A session is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Who ended it.
    pub by: Party,
    /// Why, for machines.
    pub code: GoodbyeCode,
    /// Why, for people.
    pub reason: String,
    /// What a person may do about it; empty when nothing needs doing.
    pub remedy: String,
}

/// When an agent dials again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Soon, as its backoff says.
    Backoff,
    /// Not before this has passed.
    After(Duration),
    /// Not until a person has acted.
    Never,
}

impl Closed {
    pub(crate) fn lost(reason: &str) -> Self {
        let code = GoodbyeCode::Unspecified;
        Self { by: Party::Transport, code, reason: shortened(reason), remedy: String::new() }
    }

    pub(crate) fn by_us(code: GoodbyeCode, reason: &str, remedy: &str) -> Self {
        Self { by: Party::Us, code, reason: shortened(reason), remedy: shortened(remedy) }
    }

    pub(crate) fn by_peer(goodbye: Goodbye) -> Self {
        Self { by: Party::Peer, code: goodbye.code(), reason: goodbye.reason, remedy: goodbye.remedy }
    }

    pub(crate) fn goodbye(&self) -> Goodbye {
        Goodbye { code: self.code.into(), reason: self.reason.clone(), remedy: self.remedy.clone() }
    }

    /// When an agent dials again after this.
    pub fn retry(&self) -> Retry {
        match self.code {
            GoodbyeCode::Unspecified
            | GoodbyeCode::Shutdown
            | GoodbyeCode::Silent
            | GoodbyeCode::Unavailable => Retry::Backoff,
            GoodbyeCode::Superseded => Retry::After(SUPERSEDED_PAUSE),
            GoodbyeCode::Violation | GoodbyeCode::Version => Retry::After(FAULT_PAUSE),
            GoodbyeCode::Revoked => Retry::Never,
        }
    }
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = match self.by {
            Party::Us => "this side ended the link",
            Party::Peer => "the other side ended the link",
            Party::Transport => "the connection was lost",
        };
        write!(f, "{by}: {}", self.reason)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// The text, cut to what a message may carry.
pub(crate) fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_REASON_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_agent_stays_away_and_a_superseded_one_waits() {
        let closed = |code| Closed::by_us(code, "", "").retry();
        assert_eq!(closed(GoodbyeCode::Revoked), Retry::Never);
        assert_eq!(closed(GoodbyeCode::Superseded), Retry::After(SUPERSEDED_PAUSE));
        assert_eq!(Closed::lost("reset").retry(), Retry::Backoff);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shortened(&"ü".repeat(MAX_REASON_BYTES)).len(), MAX_REASON_BYTES);
        assert_eq!(shortened(&format!("x{}", "ü".repeat(MAX_REASON_BYTES))).len(), MAX_REASON_BYTES - 1);
    }
}
