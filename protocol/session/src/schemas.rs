//! Which schemas were said on this connection, in either direction.

use std::collections::HashMap;

use towpath_record::SchemaHash;

use crate::limits::MAX_SCHEMAS;

/// The schemas that this side says.
#[derive(Debug, Default)]
pub(crate) struct Offers(HashMap<SchemaHash, Offer>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Offer {
    Wanted,
    Said,
}

impl Offers {
    /// Whether frames that need this schema may go.
    pub(crate) fn is_said(&self, hash: SchemaHash) -> bool {
        self.0.get(&hash) == Some(&Offer::Said)
    }

    /// Notes that the schema is needed; whether its owner must be asked for it now.
    pub(crate) fn want(&mut self, hash: SchemaHash) -> bool {
        let new = !self.0.contains_key(&hash);
        self.0.entry(hash).or_insert(Offer::Wanted);
        new
    }

    /// Notes that it is being said; whether that was waited for.
    pub(crate) fn say(&mut self, hash: SchemaHash) -> bool {
        self.0.insert(hash, Offer::Said) == Some(Offer::Wanted)
    }

    /// Notes that its owner does not have it, so that it may be asked again.
    pub(crate) fn forget(&mut self, hash: SchemaHash) {
        self.0.remove(&hash);
    }

    /// Whether no more may be said on this connection.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() > MAX_SCHEMAS
    }
}

/// What is known of a schema that the peer's frames need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// It was said, and its owner has not decided on it yet.
    Pending,
    /// Frames that need it may pass.
    Usable,
    /// Its owner refuses it.
    Refused { reason: String, remedy: String },
}

/// The schemas that the peer says.
#[derive(Debug, Default)]
pub(crate) struct Learned(HashMap<SchemaHash, Known>);

impl Learned {
    pub(crate) fn get(&self, hash: SchemaHash) -> Option<&Known> {
        self.0.get(&hash)
    }

    /// Whether the schema is new here.
    pub(crate) fn is_new(&self, hash: SchemaHash) -> bool {
        !self.0.contains_key(&hash)
    }

    pub(crate) fn set(&mut self, hash: SchemaHash, known: Known) {
        self.0.insert(hash, known);
    }

    /// Whether the peer has said all that it may say.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MAX_SCHEMAS
    }
}
