//! Where a file source may resume.
//!
//! Layout: one byte of version, then protobuf. It must stay below `MAX_POSITION_BYTES`: each part is bounded where it is
//! made (completed files by `ledger::MOST_OUTSTANDING`, inferred columns by `format::fits_position`, followed files by
//! `tail::MOST_FILES`).

use bytes::Bytes;
use prost::Message;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::{ColumnType, Position};

use crate::identity::Identity;
use crate::infer::InferredColumn;
use crate::read::Counts;

const VERSION: u8 = 1;

/// Where a source stands.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourcePosition {
    /// Files that are complete and not yet released.
    #[prost(message, repeated, tag = "1")]
    pub(crate) completed: Vec<Completed>,
    /// The file that is being read.
    #[prost(message, optional, tag = "2")]
    pub(crate) reading: Option<Reading>,
    /// Files that are being followed.
    #[prost(message, repeated, tag = "3")]
    pub(crate) followed: Vec<Followed>,
}

/// A file that is complete and not yet released.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Completed {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) identity: Vec<u8>,
    /// The first 16 bytes of BLAKE3 of its path.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) path_key: Vec<u8>,
    /// Whether the same content under another name is a duplicate.
    #[prost(bool, tag = "3")]
    pub(crate) counts: bool,
}

/// A place in a file that is read whole.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reading {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) path: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) identity: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub(crate) size: u64,
    #[prost(message, optional, tag = "4")]
    pub(crate) place: Option<Place>,
    /// How many of the dead letters that follow the place were emitted already.
    #[prost(uint64, tag = "5")]
    pub(crate) letters_done: u64,
    /// The inferred columns, by name and type; none if they are declared or have no room.
    #[prost(string, repeated, tag = "6")]
    pub(crate) inferred_names: Vec<String>,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) inferred_types: Vec<u8>,
}

/// A place in a text.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Place {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(uint64, tag = "2")]
    line: u64,
    #[prost(uint64, tag = "3")]
    good: u64,
    #[prost(uint64, tag = "4")]
    bad: u64,
}

/// A place in a file that is followed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Followed {
    #[prost(fixed64, tag = "1")]
    pub(crate) device: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) inode: u64,
    /// The first 16 bytes of BLAKE3 of the file's first `head_bytes`.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) head: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub(crate) head_bytes: u32,
    #[prost(uint64, tag = "5")]
    pub(crate) offset: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) line: u64,
    /// How many of the dead letters that follow the place were emitted already.
    #[prost(uint64, tag = "7")]
    pub(crate) letters_done: u64,
    /// Which rule it was found by.
    #[prost(uint32, tag = "8")]
    pub(crate) rule: u32,
    /// How long it was then.
    #[prost(uint64, tag = "9")]
    pub(crate) size: u64,
}

/// The types that inference can find; a position names one by its place here. Append only.
const INFERRED_TYPES: [ColumnType; 7] = [
    ColumnType::String,
    ColumnType::Boolean,
    ColumnType::Int64,
    ColumnType::Float64,
    ColumnType::Date,
    ColumnType::LocalTimestamp,
    ColumnType::Timestamp,
];

impl SourcePosition {
    /// Reads a position; the empty one is the beginning.
    ///
    /// # Errors
    /// It was not written by this adapter, or by a later version of it.
    pub(crate) fn read(position: &Position) -> Result<Self, AdapterError> {
        let fault = |message: &str| {
            let remedy = "; update the agent, or start the source anew";
            Err(AdapterError::new(
                ErrorKind::PositionLost,
                "position of the file source",
                format!("{message}{remedy}"),
            ))
        };
        match &*position.0 {
            [] => Ok(Self::default()),
            [VERSION, rest @ ..] => match Self::decode(rest) {
                Ok(read) => Ok(read),
                Err(error) => fault(&format!("it is damaged: {error}")),
            },
            [other, ..] => fault(&format!("it has version {other}, and this agent knows version {VERSION}")),
        }
    }

    pub(crate) fn write(&self) -> Position {
        let mut bytes = Vec::with_capacity(1 + self.encoded_len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.encode_to_vec());
        Position(Bytes::from(bytes))
    }
}

impl Reading {
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity.as_slice().try_into().ok().map(Identity)
    }

    pub(crate) fn set_inferred(&mut self, columns: &[InferredColumn]) {
        let code = |column: &InferredColumn| INFERRED_TYPES.iter().position(|t| *t == column.column_type);
        self.inferred_types =
            columns.iter().filter_map(|c| code(c).and_then(|at| u8::try_from(at).ok())).collect();
        self.inferred_names = columns.iter().map(|column| column.name.clone()).collect();
    }

    pub(crate) fn inferred(&self) -> Option<Vec<InferredColumn>> {
        if self.inferred_names.is_empty() || self.inferred_names.len() != self.inferred_types.len() {
            return None;
        }
        let column = |(name, code): (&String, &u8)| {
            let column_type = INFERRED_TYPES.get(usize::from(*code))?.clone();
            Some(InferredColumn { name: name.clone(), column_type })
        };
        self.inferred_names.iter().zip(&self.inferred_types).map(column).collect()
    }
}

impl From<Counts> for Place {
    fn from(counts: Counts) -> Self {
        let Counts { offset, line, good, bad } = counts;
        Self { offset, line, good, bad }
    }
}

impl From<Place> for Counts {
    fn from(place: Place) -> Self {
        let Place { offset, line, good, bad } = place;
        Self { offset, line, good, bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was() {
        let counts = Counts { offset: 5_000_000_000, line: 7, good: 4, bad: 2 };
        let mut reading =
            Reading { path: b"a/\xff.csv".to_vec(), place: Some(counts.into()), ..Reading::default() };
        let columns: Vec<_> = INFERRED_TYPES
            .into_iter()
            .map(|column_type| InferredColumn { name: format!("{column_type:?}"), column_type })
            .collect();
        reading.set_inferred(&columns);
        let position = SourcePosition { reading: Some(reading), ..SourcePosition::default() };
        let back = SourcePosition::read(&position.write()).unwrap();
        assert_eq!(back, position);
        let reading = back.reading.unwrap();
        assert_eq!(reading.inferred(), Some(columns));
        assert_eq!(Counts::from(reading.place.unwrap()), counts);
    }

    #[test]
    fn the_empty_position_is_the_beginning_and_an_unknown_one_is_refused() {
        assert_eq!(SourcePosition::read(&Position::default()).unwrap(), SourcePosition::default());
        let said =
            |bytes: &'static [u8]| SourcePosition::read(&Position(Bytes::from_static(bytes))).unwrap_err();
        assert_eq!(said(&[9]).kind, ErrorKind::PositionLost);
        assert!(said(&[9]).message.contains("version 9"));
        assert!(said(&[1, 0xff]).message.contains("damaged"));
    }
}
