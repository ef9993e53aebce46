//! Where a SQLite source may resume.
//!
//! Layout: one byte of version, then protobuf. With triggers a position says up to which change everything was
//! emitted, and how far the tables are copied:
//!
//! ```text
//!   changes   1 … last_id │ last_id+1 … batch_end            │ later
//!             emitted     │ emitted for the groups in `done` │ not yet
//!   tables    1 … copied_through │ copying: rows up to `key` │ later
//! ```
//!
//! The changes of a batch are emitted table by table, so that writes that alternate between tables do not make a
//! frame each. The marks are random numbers that each change carries: a database that was put back to an earlier
//! state counts on with the same ids, but not with the same marks.

use bytes::Bytes;
use prost::{Message, Oneof};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::Position;
use towpath_record::limits::MAX_POSITION_BYTES;

const VERSION: u8 = 1;

/// Where a source stands.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SourcePosition {
    /// With triggers.
    #[prost(message, optional, tag = "1")]
    pub(super) changes: Option<ChangePosition>,
    /// With polling.
    #[prost(message, optional, tag = "2")]
    pub(super) polled: Option<PolledPosition>,
    /// What was installed was removed: rows may have changed unseen since.
    #[prost(bool, tag = "3")]
    pub(super) removed: bool,
}

/// Where a source stands in the changes that triggers wrote.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangePosition {
    /// Which installation wrote them.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) installation: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub(super) last_id: i64,
    #[prost(sfixed64, tag = "3")]
    pub(super) last_mark: i64,
    /// The last change of the batch that is being emitted, if it is not `last_id`.
    #[prost(int64, tag = "4")]
    pub(super) batch_end: i64,
    #[prost(sfixed64, tag = "5")]
    pub(super) batch_mark: i64,
    /// The groups of that batch that were emitted.
    #[prost(int64, repeated, tag = "6")]
    pub(super) done: Vec<i64>,
    /// Every table version up to this one is copied, or was given up for a later one.
    #[prost(int64, tag = "7")]
    pub(super) copied_through: i64,
    #[prost(message, optional, tag = "8")]
    pub(super) copying: Option<Copying>,
}

/// A table version that is being copied.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Copying {
    #[prost(int64, tag = "1")]
    pub(super) table: i64,
    /// The key of the last row that was emitted; empty before the first.
    #[prost(message, repeated, tag = "2")]
    pub(super) key: Vec<Value>,
}

/// Where a source stands that polls.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PolledPosition {
    /// What tells the database file from others.
    #[prost(fixed64, repeated, tag = "1")]
    pub(super) file: Vec<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(super) tables: Vec<PolledTable>,
    /// Tables that are to be emptied at the sinks before they are read again.
    #[prost(bool, tag = "3")]
    pub(super) again: bool,
}

/// How far a table was read by its watermark.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PolledTable {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// The highest watermark that was read; absent before the first row.
    #[prost(message, optional, tag = "2")]
    pub(super) watermark: Option<Value>,
    /// Eight bytes of BLAKE3 of each row that was read at that watermark.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) ties: Vec<u8>,
    /// The key of the last row that was read at that watermark, once there were too many to remember each.
    #[prost(message, repeated, tag = "4")]
    pub(super) after: Vec<Value>,
}

/// A SQLite value, exactly.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(sint64, tag = "1")]
    Integer(i64),
    #[prost(double, tag = "2")]
    Real(f64),
    /// Text, which need not be UTF-8.
    #[prost(bytes, tag = "3")]
    Text(Vec<u8>),
    #[prost(bytes, tag = "4")]
    Blob(Vec<u8>),
}

impl Value {
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        let kind = match value {
            ValueRef::Null => None,
            ValueRef::Integer(value) => Some(Kind::Integer(value)),
            ValueRef::Real(value) => Some(Kind::Real(value)),
            ValueRef::Text(bytes) => Some(Kind::Text(bytes.to_vec())),
            ValueRef::Blob(bytes) => Some(Kind::Blob(bytes.to_vec())),
        };
        Self { kind }
    }

    pub(super) fn as_ref(&self) -> ValueRef<'_> {
        match &self.kind {
            None => ValueRef::Null,
            Some(Kind::Integer(value)) => ValueRef::Integer(*value),
            Some(Kind::Real(value)) => ValueRef::Real(*value),
            Some(Kind::Text(bytes)) => ValueRef::Text(bytes),
            Some(Kind::Blob(bytes)) => ValueRef::Blob(bytes),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.as_ref()))
    }
}

impl ChangePosition {
    pub(super) fn new(installation: Vec<u8>) -> Self {
        Self { installation, ..Self::default() }
    }

    /// Everything up to the end of the batch was emitted.
    pub(super) fn finish_batch(&mut self) {
        (self.last_id, self.last_mark) = (self.batch_end, self.batch_mark);
        (self.batch_end, self.batch_mark) = (0, 0);
        self.done.clear();
    }
}

impl SourcePosition {
    /// Reads a position; the empty one is the beginning.
    ///
    /// # Errors
    /// It was not written by this adapter, or by a later version of it.
    pub(super) fn read(position: &Position) -> Result<Self, AdapterError> {
        let fault =
            |message: String| Err(lost(format!("{message}; update the agent, or start the source anew")));
        match &*position.0 {
            [] => Ok(Self::default()),
            [VERSION, rest @ ..] => match Self::decode(rest) {
                Ok(read) => Ok(read),
                Err(error) => fault(format!("it is damaged: {error}")),
            },
            [other, ..] => fault(format!("it has version {other}, and this agent knows version {VERSION}")),
        }
    }

    /// The position's bytes.
    ///
    /// # Errors
    /// A key in it is too large.
    pub(super) fn write(&self) -> Result<Position, AdapterError> {
        let mut bytes = Vec::with_capacity(1 + self.encoded_len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.encode_to_vec());
        if bytes.len() > MAX_POSITION_BYTES {
            let message = format!(
                "a position of {} bytes exceeds the {MAX_POSITION_BYTES} that are allowed: keys are too long, \
                 or too many tables are polled; exclude some",
                bytes.len()
            );
            return Err(AdapterError::new(ErrorKind::Config, "position of the sqlite source", message));
        }
        Ok(Position(Bytes::from(bytes)))
    }
}

fn lost(message: String) -> AdapterError {
    AdapterError::new(ErrorKind::PositionLost, "position of the sqlite source", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Real(f64::NEG_INFINITY),
            ValueRef::Text(b"\xff\0"),
            ValueRef::Blob(b""),
        ];
        let key: Vec<_> = values.into_iter().map(Value::of).collect();
        let changes = ChangePosition {
            last_id: i64::MAX,
            last_mark: -1,
            done: vec![2, 7],
            copying: Some(Copying { table: 3, key: key.clone() }),
            ..ChangePosition::new(vec![7; 16])
        };
        let position = SourcePosition { changes: Some(changes), ..SourcePosition::default() };
        let back = SourcePosition::read(&position.write().unwrap()).unwrap();
        assert_eq!(back, position);
        let back = back.changes.unwrap().copying.unwrap().key;
        assert!(back.iter().map(Value::as_ref).eq(values));
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

    #[test]
    fn a_key_that_no_position_can_hold_is_refused() {
        let key = vec![Value::of(ValueRef::Blob(&[1; MAX_POSITION_BYTES]))];
        let changes =
            ChangePosition { copying: Some(Copying { table: 1, key }), ..ChangePosition::default() };
        let position = SourcePosition { changes: Some(changes), ..SourcePosition::default() };
        assert_eq!(position.write().unwrap_err().kind, ErrorKind::Config);
    }
}
