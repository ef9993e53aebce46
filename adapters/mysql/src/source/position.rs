//! Where a MySQL source may resume.
//!
//! Layout: one byte of version, then protobuf. The place is where a transaction begins in the server's binlog, and
//! how much of that transaction was emitted. The binlog has rows only of transactions that are committed.
//!
//! While a copy goes on, the position also says how far it is. The copy is kept level with the binlog: at every
//! position, what was copied is as it was at that place in the binlog, so that a key range, once copied, needs no
//! memory of when that was.

use bytes::Bytes;
use prost::Message;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::Position;

const VERSION: u8 = 1;
/// The text of executed transactions is a help after a failover; where it is longer, it is left out.
const MAX_GTIDS_BYTES: usize = 4 << 10;

/// Where a source stands.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourcePosition {
    /// Everything before this place was emitted.
    #[prost(message, required, tag = "1")]
    pub(crate) place: Place,
    /// How many rows of the transaction that begins there, of whatever table, were emitted or passed over.
    #[prost(uint64, tag = "2")]
    pub(crate) changes: u64,
    /// Every transaction before the place, as the server writes such sets; empty if unknown.
    #[prost(string, tag = "4")]
    pub(crate) gtids: String,
    /// The server whose binlog it is, as it names itself.
    #[prost(string, tag = "5")]
    pub(crate) server: String,
    /// When the server began the binlog file, which tells it from one of the same name after a reset.
    #[prost(uint32, tag = "6")]
    pub(crate) file_born: u32,
    /// How far the copy is, while one goes on.
    #[prost(message, optional, tag = "7")]
    pub(crate) copy: Option<Copying>,
}

/// A place in the binlog, in the order of the binlog.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(crate) struct Place {
    /// The file's number, which its name ends with.
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) offset: u64,
    /// The file's name.
    #[prost(string, tag = "3")]
    pub(crate) file: String,
}

/// How far a copy is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Copying {
    /// Whether all tables are copied, by name.
    #[prost(bool, tag = "1")]
    pub(crate) every: bool,
    /// Of those, all up to this one are complete; absent for none.
    #[prost(string, optional, tag = "2")]
    pub(crate) done: Option<String>,
    /// Tables that are copied again, whatever they had before.
    #[prost(string, repeated, tag = "3")]
    pub(crate) again: Vec<String>,
    /// Whether what streams had before is taken back, table by table.
    #[prost(bool, tag = "4")]
    pub(crate) anew: bool,
    /// The table that is complete up to a key.
    #[prost(message, optional, tag = "5")]
    pub(crate) part: Option<Part>,
}

/// A part of a table.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Part {
    #[prost(string, tag = "1")]
    pub(crate) table: String,
    /// The last key that was copied; empty where the table has none to go on from.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) key: Vec<Vec<u8>>,
    /// The names of the key's columns.
    #[prost(string, repeated, tag = "3")]
    pub(crate) columns: Vec<String>,
}

impl Place {
    /// A place in a file, whose name is that of the binlog and a number.
    pub(crate) fn new(file: &str, offset: u64) -> Self {
        let number = file.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
        Self { number, offset, file: file.to_owned() }
    }
}

impl SourcePosition {
    /// Reads a position; the empty one is the beginning.
    ///
    /// # Errors
    /// It was not written by this adapter, or by a later version of it.
    pub(crate) fn read(position: &Position) -> Result<Option<Self>, AdapterError> {
        let fault = |message: String| {
            let resource = "position of the mysql source";
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
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.encode_to_vec());
        Position(Bytes::from(bytes))
    }

    /// Moves to the end of a transaction.
    pub(crate) fn move_to(&mut self, place: Place, gtids: String) {
        self.place = place;
        self.changes = 0;
        self.gtids = if gtids.len() <= MAX_GTIDS_BYTES { gtids } else { String::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was() {
        let part = Part { table: "d.t".to_owned(), key: vec![vec![b'i', 1]], columns: vec!["id".to_owned()] };
        let copy = Copying {
            every: true,
            done: Some("d.a".to_owned()),
            again: vec!["d.b".to_owned()],
            anew: true,
            part: Some(part),
        };
        let position = SourcePosition {
            place: Place::new("bin.000007", 1 << 33),
            changes: 2,
            gtids: "0-1-7".to_owned(),
            server: "1".to_owned(),
            file_born: 5,
            copy: Some(copy),
        };
        assert_eq!(SourcePosition::read(&position.write()).unwrap(), Some(position));
        assert_eq!(SourcePosition::read(&Position::default()).unwrap(), None);
        let unknown = SourcePosition::read(&Position(Bytes::from_static(&[9]))).unwrap_err();
        assert_eq!(unknown.kind, ErrorKind::PositionLost);
    }

    #[test]
    fn places_are_ordered_as_the_binlog_is() {
        assert!(Place::new("bin.999999", 900) < Place::new("bin.1000000", 4));
        assert!(Place::new("bin.000001", 900) < Place::new("bin.000001", 1000));
    }
}
