//! The messages of PostgreSQL's output plugin `pgoutput`, protocol versions 1 and 2.
//!
//! Source: PostgreSQL manual, "Logical Replication Message Formats". Numbers are big-endian, names end with NUL.
//! Inside a streamed block each message about data carries the transaction, or subtransaction, that it belongs to.

use bytes::{Buf, Bytes};

use crate::error::PostgresError;

/// Microseconds between 1970-01-01 and 2000-01-01, from which PostgreSQL counts.
pub(crate) const EPOCH_US: i64 = 946_684_800_000_000;

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A transaction follows that is committed already.
    Begin(Commit),
    /// It ends.
    Commit {
        end: u64,
    },
    /// What a table is like from here on.
    Relation(Relation),
    Insert {
        table: u32,
        new: Tuple,
    },
    Update {
        table: u32,
        old: Option<Old>,
        new: Tuple,
    },
    Delete {
        table: u32,
        old: Old,
    },
    Truncate {
        tables: Vec<u32>,
    },
    /// A block of a transaction that is not committed yet.
    StreamStart {
        xid: u32,
    },
    StreamStop,
    /// Such a transaction is committed.
    StreamCommit {
        commit: Commit,
        end: u64,
    },
    /// Such a transaction, or a part of it, is rolled back.
    StreamAbort {
        xid: u32,
        part: u32,
    },
    /// Nothing that concerns records.
    Other,
}

/// When and where a transaction was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) xid: u32,
    /// Where its commit record begins.
    pub(crate) lsn: u64,
    /// In microseconds since 1970-01-01 UTC.
    pub(crate) at_us: i64,
}

/// A table, as the changes that follow see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The setting `REPLICA IDENTITY`, as in `pg_class.relreplident`.
    pub(crate) identity: u8,
    pub(crate) columns: Vec<RelationColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelationColumn {
    pub(crate) name: String,
    /// Whether it is part of the replica identity.
    pub(crate) identifies: bool,
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
}

/// What the server tells of a row before its change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Old {
    /// Whether it is the whole row and not its key alone.
    pub(crate) whole: bool,
    pub(crate) values: Tuple,
}

/// The values of a row.
pub(crate) type Tuple = Vec<Value>;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    /// It is stored apart, did not change and was not sent.
    Unchanged,
    /// As its type's output function prints it.
    Text(Bytes),
}

/// A message, and the subtransaction that it belongs to if it came `in_stream`.
///
/// # Errors
/// The bytes are no message.
pub(crate) fn read(body: Bytes, in_stream: bool) -> Result<(u32, Message), PostgresError> {
    let mut reader = Reader(body);
    let tag = reader.u8()?;
    let owned = in_stream && matches!(tag, b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M');
    let part = if owned { reader.u32()? } else { 0 };
    let message = match tag {
        b'B' => {
            let (lsn, at) = (reader.u64()?, reader.u64()?);
            Message::Begin(Commit { xid: reader.u32()?, lsn, at_us: unix_us(at) })
        }
        b'C' => {
            reader.skip(1 + 8)?;
            Message::Commit { end: reader.u64()? }
        }
        b'R' => Message::Relation(reader.relation()?),
        b'I' => {
            let table = reader.u32()?;
            reader.expect(b'N')?;
            Message::Insert { table, new: reader.tuple()? }
        }
        b'U' => {
            let table = reader.u32()?;
            let old = match reader.peek()? {
                b'N' => None,
                _ => Some(reader.old()?),
            };
            reader.expect(b'N')?;
            Message::Update { table, old, new: reader.tuple()? }
        }
        b'D' => Message::Delete { table: reader.u32()?, old: reader.old()? },
        b'T' => {
            let count = reader.u32()?;
            reader.skip(1)?;
            Message::Truncate { tables: (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()? }
        }
        b'S' => Message::StreamStart { xid: reader.u32()? },
        b'E' => Message::StreamStop,
        b'c' => {
            let xid = reader.u32()?;
            reader.skip(1)?;
            let (lsn, end, at) = (reader.u64()?, reader.u64()?, reader.u64()?);
            Message::StreamCommit { commit: Commit { xid, lsn, at_us: unix_us(at) }, end }
        }
        b'A' => Message::StreamAbort { xid: reader.u32()?, part: reader.u32()? },
        _ => Message::Other,
    };
    Ok((part, message))
}

/// The kind of a change and its table, from as much of a message as there is.
pub(crate) fn head(body: &Bytes, in_stream: bool) -> Result<(u8, u32), PostgresError> {
    let mut reader = Reader(body.clone());
    let tag = reader.u8()?;
    if in_stream {
        reader.skip(4)?;
    }
    Ok((tag, reader.u32()?))
}

fn unix_us(postgres: u64) -> i64 {
    postgres.cast_signed().saturating_add(EPOCH_US)
}

struct Reader(Bytes);

impl Reader {
    fn need(&self, bytes: usize) -> Result<(), PostgresError> {
        if self.0.len() >= bytes { Ok(()) } else { Err(PostgresError::Damaged("a message ends too early")) }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), PostgresError> {
        self.need(bytes).map(|()| self.0.advance(bytes))
    }

    fn peek(&self) -> Result<u8, PostgresError> {
        self.need(1).map(|()| self.0[0])
    }

    fn u8(&mut self) -> Result<u8, PostgresError> {
        self.need(1).map(|()| self.0.get_u8())
    }

    fn u16(&mut self) -> Result<u16, PostgresError> {
        self.need(2).map(|()| self.0.get_u16())
    }

    fn u32(&mut self) -> Result<u32, PostgresError> {
        self.need(4).map(|()| self.0.get_u32())
    }

    fn u64(&mut self) -> Result<u64, PostgresError> {
        self.need(8).map(|()| self.0.get_u64())
    }

    fn expect(&mut self, tag: u8) -> Result<(), PostgresError> {
        match self.u8()? {
            found if found == tag => Ok(()),
            _ => Err(PostgresError::Damaged("a message has an unknown part")),
        }
    }

    fn name(&mut self) -> Result<String, PostgresError> {
        let end = memchr::memchr(0, &self.0).ok_or(PostgresError::Damaged("a name has no end"))?;
        let name = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(name.into()).map_err(|_| PostgresError::Damaged("a name is not UTF-8"))
    }

    fn relation(&mut self) -> Result<Relation, PostgresError> {
        let (oid, schema, name) = (self.u32()?, self.name()?, self.name()?);
        let identity = self.u8()?;
        let count = self.u16()?;
        let columns = (0..count).map(|_| {
            Ok(RelationColumn {
                identifies: self.u8()? & 1 == 1,
                name: self.name()?,
                type_oid: self.u32()?,
                modifier: self.u32()?.cast_signed(),
            })
        });
        let columns = columns.collect::<Result<_, PostgresError>>()?;
        // An empty schema stands for the one of the system's own tables.
        let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
        Ok(Relation { oid, schema, name, identity, columns })
    }

    fn old(&mut self) -> Result<Old, PostgresError> {
        let whole = match self.u8()? {
            b'O' => true,
            b'K' => false,
            _ => return Err(PostgresError::Damaged("a message has an unknown part")),
        };
        Ok(Old { whole, values: self.tuple()? })
    }

    fn tuple(&mut self) -> Result<Tuple, PostgresError> {
        let count = self.u16()?;
        let mut values = Vec::with_capacity(count.into());
        for _ in 0..count {
            values.push(match self.u8()? {
                b'n' => Value::Null,
                b'u' => Value::Unchanged,
                b't' => {
                    let length = self.u32()? as usize;
                    self.need(length)?;
                    Value::Text(self.0.split_to(length))
                }
                _ => return Err(PostgresError::Damaged("a value has an unknown form")),
            });
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An update in a streamed block: transaction 7, table 9, key `1`, new row `2`, null and unchanged.
    const UPDATE: &[u8] = b"U\0\0\0\x07\0\0\0\x09K\0\x01t\0\0\0\x011N\0\x03t\0\0\0\x012nu";

    #[test]
    fn a_change_is_read_with_the_transaction_it_belongs_to() {
        let text = |text: &'static [u8]| Value::Text(Bytes::from_static(text));
        let old = Some(Old { whole: false, values: vec![text(b"1")] });
        let new = vec![text(b"2"), Value::Null, Value::Unchanged];
        let read = read(Bytes::from_static(UPDATE), true).unwrap();
        assert_eq!(read, (7, Message::Update { table: 9, old, new }));
        assert_eq!(head(&Bytes::from_static(UPDATE), true).unwrap(), (b'U', 9));
    }

    #[test]
    fn a_message_that_is_cut_anywhere_is_damaged_and_no_panic() {
        for end in 0..UPDATE.len() {
            assert!(read(Bytes::from_static(&UPDATE[..end]), true).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_commit_time_counts_from_1970() {
        let begin = [&b"B"[..], &5_u64.to_be_bytes(), &1_u64.to_be_bytes(), &3_u32.to_be_bytes()].concat();
        let commit = Commit { xid: 3, lsn: 5, at_us: EPOCH_US + 1 };
        assert_eq!(read(begin.into(), false).unwrap(), (0, Message::Begin(commit)));
    }
}
