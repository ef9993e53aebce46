//! The fact that a file is done with, carried by the frame that makes it true.

use std::path::PathBuf;

use bytes::Bytes;
use prost::Message;
use towpath_record::Mark;

use crate::identity::Identity;
use crate::os;

/// A file that is done with.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileDone {
    /// Its path below the source's folder.
    #[prost(bytes = "vec", tag = "1")]
    path: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    identity: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub(crate) size: u64,
    #[prost(int64, tag = "4")]
    pub(crate) modified_ns: i64,
    #[prost(uint64, tag = "5")]
    pub(crate) rows: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) bad_rows: u64,
    #[prost(enumeration = "Outcome", tag = "7")]
    outcome: i32,
    /// Why it was rejected, if it was.
    #[prost(string, tag = "8")]
    pub(crate) reason: String,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Outcome {
    /// Its good rows were emitted.
    Loaded = 0,
    /// Its content was loaded before.
    Duplicate = 1,
    /// It could not be read, or had too many bad rows.
    Rejected = 2,
}

/// The longest reason that a mark keeps, in bytes; the whole of it is in the dead letter.
const MAX_REASON_BYTES: usize = 2 << 10;

impl FileDone {
    pub(crate) fn new(
        path: &std::path::Path,
        identity: Identity,
        (size, modified_ns): (u64, i64),
        (rows, bad_rows): (u64, u64),
        outcome: Outcome,
        reason: &str,
    ) -> Self {
        Self {
            path: os::path_bytes(path).to_vec(),
            identity: identity.0.to_vec(),
            size,
            modified_ns,
            rows,
            bad_rows,
            outcome: outcome.into(),
            reason: reason[..reason.floor_char_boundary(MAX_REASON_BYTES)].to_owned(),
        }
    }

    /// The mark in a form that any later version of this adapter can read; `None` if it is another kind.
    pub(crate) fn read(mark: &Mark) -> Option<Self> {
        Self::decode(mark.0.clone()).ok().filter(|done| done.identity.len() == 32)
    }

    pub(crate) fn write(&self) -> Mark {
        Mark(Bytes::from(self.encode_to_vec()))
    }

    pub(crate) fn path(&self) -> PathBuf {
        os::path_from_bytes(&self.path)
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity(self.identity.as_slice().try_into().unwrap_or_default())
    }

    /// Whether the same content under another name is a duplicate. Content that was rejected is tried again.
    pub(crate) fn counts(&self) -> bool {
        self.outcome() != Outcome::Rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let path = os::path_from_bytes(b"in/\xff.csv");
        let done =
            FileDone::new(&path, Identity([7; 32]), (10, -5), (3, 1), Outcome::Rejected, &"ü".repeat(5_000));
        let back = FileDone::read(&done.write()).unwrap();
        assert_eq!(back, done);
        assert_eq!((back.path(), back.identity()), (path, Identity([7; 32])));
        assert!(done.write().0.len() < towpath_record::limits::MAX_MARK_BYTES);
        assert_eq!(FileDone::read(&Mark(Bytes::from_static(b"\xff\xff"))), None);
    }
}
