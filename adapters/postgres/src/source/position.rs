//! Where a PostgreSQL source may resume.
//!
//! Layout: one byte of version, then protobuf. A transaction stands in the log at its commit, so a position is the
//! place of a commit record and how many of its transaction's changes were emitted. Beside it stand the copies
//! whose snapshots still matter: a change that follows in the log may be in the copy already.
//!
//! A copy goes through the tables by name and through each table by key. A run is what one process copied
//! under one snapshot; where a process was stopped in the middle, the next one goes on with a run of its own. So
//! each key of each table belongs to exactly one run, and its snapshot says which changes the copy has.

use bytes::Bytes;
use prost::Message;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::Position;
use towpath_record::limits::MAX_POSITION_BYTES;

use super::snapshot::Snapshot;

const VERSION: u8 = 1;
/// What a position may take before the copy begins anew rather than remember one run more.
const ROOM: usize = MAX_POSITION_BYTES / 4;

/// Where a source stands.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourcePosition {
    /// The first commit that was not emitted completely lies here or later.
    #[prost(uint64, tag = "1")]
    pub(crate) lsn: u64,
    /// How many changes of the transaction that is committed exactly there were emitted.
    #[prost(uint64, tag = "2")]
    pub(crate) changes: u64,
    /// Whether the copy is going on; then nothing after `lsn` was emitted.
    #[prost(bool, tag = "3")]
    pub(crate) copying: bool,
    /// The runs of the copy, in the order in which they copied, while their snapshots matter.
    #[prost(message, repeated, tag = "4")]
    pub(crate) runs: Vec<Run>,
    /// Whether the copy replaces an earlier one: each table begins behind a record that truncates it. With no place
    /// in the log, the slot is still to be made.
    #[prost(bool, tag = "5")]
    pub(crate) anew: bool,
    /// The tables that the copy is of, while its runs matter; all of them if empty.
    #[prost(string, repeated, tag = "6")]
    pub(crate) only: Vec<String>,
    /// The digest of the set of tables that were copied; 0 for none.
    #[prost(uint64, tag = "7")]
    pub(crate) known: u64,
}

/// What one process copied under one snapshot: everything that no earlier run has, up to its end.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Run {
    #[prost(message, required, tag = "1")]
    pub(crate) snapshot: Snapshot,
    /// No commit that the snapshot shows lies here or later in the log.
    #[prost(uint64, tag = "2")]
    pub(crate) until: u64,
    /// All tables up to this one, by name, are complete; absent for none.
    #[prost(string, optional, tag = "3")]
    pub(crate) done: Option<String>,
    /// The table that is complete up to a key.
    #[prost(message, optional, tag = "4")]
    pub(crate) part: Option<Part>,
}

/// A part of a table.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Part {
    #[prost(string, tag = "1")]
    pub(crate) table: String,
    /// The file that the server keeps the table in; another one after `TRUNCATE`.
    #[prost(uint32, tag = "2")]
    pub(crate) file: u32,
    /// The last key that was copied, as texts; empty where the table has none to go on from.
    #[prost(string, repeated, tag = "3")]
    pub(crate) key: Vec<String>,
}

impl SourcePosition {
    /// Where a source stands that is to copy everything anew.
    pub(crate) fn anew() -> Self {
        Self { copying: true, anew: true, ..Self::default() }
    }

    /// Reads a position; the empty one is the beginning.
    ///
    /// # Errors
    /// It was not written by this adapter, or by a later version of it.
    pub(crate) fn read(position: &Position) -> Result<Option<Self>, AdapterError> {
        let fault = |message: String| {
            let resource = "position of the postgres source";
            let message = format!("{message}; update the agent, or start the source anew");
            Err(AdapterError::new(ErrorKind::PositionLost, resource, message))
        };
        match &*position.0 {
            [] => Ok(None),
            [VERSION, rest @ ..] => match Self::decode(rest) {
                Ok(read) => Ok(Some(read)),
                Err(error) => fault(format!("it is damaged: {error}")),
            },
            [other, ..] => fault(format!("it has version {other}, and this agent knows version {VERSION}")),
        }
    }

    /// The form that is stored.
    pub(crate) fn write(&self) -> Position {
        let mut bytes = Vec::with_capacity(1 + self.encoded_len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.encode_to_vec());
        Position(Bytes::from(bytes))
    }

    /// Whether the runs leave room for another one and for a longer key.
    pub(crate) fn has_room(&self) -> bool {
        self.encoded_len() < ROOM
    }

    /// Moves to a commit or beyond it, and forgets the runs that no longer matter.
    pub(crate) fn move_to(&mut self, lsn: u64, changes: u64) {
        (self.lsn, self.changes) = (lsn, changes);
        if !self.runs.is_empty() && self.runs.iter().all(|run| run.until <= lsn) {
            self.runs.clear();
        }
        if self.runs.is_empty() && !self.copying {
            self.only.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was() {
        let run = Run {
            snapshot: Snapshot { xmin: 1, xmax: 9, running: vec![3, 4] },
            until: 77,
            done: Some("public.a".to_owned()),
            part: Some(Part { table: "public.b".to_owned(), file: 7, key: vec!["1".to_owned()] }),
        };
        let position = SourcePosition {
            lsn: 1 << 40,
            changes: 5,
            copying: true,
            runs: vec![run],
            ..SourcePosition::anew()
        };
        let position = SourcePosition { only: vec!["public.b".to_owned()], known: 9, ..position };
        assert_eq!(SourcePosition::read(&position.write()).unwrap(), Some(position));
        assert_eq!(SourcePosition::read(&Position::default()).unwrap(), None);
        let unknown = SourcePosition::read(&Position(Bytes::from_static(&[9]))).unwrap_err();
        assert_eq!(unknown.kind, ErrorKind::PositionLost);
    }

    #[test]
    fn runs_are_forgotten_once_the_log_is_read_beyond_them() {
        let run = |until| Run { until, ..Run::default() };
        let mut position = SourcePosition { runs: vec![run(5), run(9)], ..SourcePosition::default() };
        position.move_to(8, 0);
        assert_eq!(position.runs.len(), 2);
        position.move_to(9, 0);
        assert!(position.runs.is_empty());
    }
}
