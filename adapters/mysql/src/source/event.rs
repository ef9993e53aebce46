//! The events of the binlog, as far as a reader of changes needs them.

use std::io::Read;

use flate2::read::ZlibDecoder;
use mysql_async::binlog::events::{AnonymousGtidEvent, Event, GtidEvent};

use super::bytes::{Reader, high_first};
use super::gtid::Gtid;
use super::large::MAX_EVENT_BYTES;
use super::map::TableMap;
use crate::client::Flavor;
use crate::error::MysqlError;

/// What happened.
#[derive(Debug)]
pub(crate) enum Happened {
    /// What follows is in the file that this begins with, from this offset on.
    Rotate {
        file: Vec<u8>,
        offset: u64,
    },
    /// A file begins, or a connection in the middle of one; it was begun at this time.
    File {
        born: u32,
    },
    /// A transaction begins. One that stands alone is a single statement, and one that is prepared is committed later.
    Group {
        gtid: Option<Gtid>,
        at_us: Option<i64>,
        alone: Option<bool>,
        prepared: bool,
    },
    /// A statement.
    Query {
        schema: String,
        sql: String,
    },
    /// The table of the rows that follow.
    Map(TableMap),
    Rows(RowsEvent),
    /// A row of a table that is longer than is taken.
    LongRow {
        table: u64,
        bytes: u64,
    },
    /// Something that is longer than is taken; the connection ended with it.
    Cut,
    /// The transaction is complete.
    Commit,
    /// The transaction follows, compressed, and ends with this event.
    Payload,
    /// The server lives, and has nothing new up to here.
    Alive {
        file: String,
    },
    /// Rows that tell only in part what changed.
    Partial,
    /// The server says that its binlog has a gap.
    Incident,
    Other,
}

/// What was done to rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Insert,
    Update,
    Delete,
}

/// Rows of a table.
#[derive(Debug)]
pub(crate) struct RowsEvent {
    pub(crate) change: Change,
    pub(crate) table: u64,
    /// Which columns the rows have; of updates, the rows before them.
    pub(crate) present: Vec<u8>,
    /// Which columns the rows after an update have.
    pub(crate) present_after: Vec<u8>,
    pub(crate) rows: Vec<u8>,
}

/// What was compressed.
#[derive(PartialEq, Eq, Debug)]
enum Inflated {
    Whole(Vec<u8>),
    /// More bytes than are taken; so many.
    TooLong(u64),
}

/// Reads an event.
///
/// # Errors
/// It is damaged.
pub(crate) fn read(event: &Event, flavor: Flavor) -> Result<Happened, MysqlError> {
    parse(event, flavor).ok_or(MysqlError::Damaged("an event cannot be read"))?
}

fn parse(event: &Event, flavor: Flavor) -> Option<Result<Happened, MysqlError>> {
    let header = event.header();
    let mut body = Reader(event.data());
    Some(Ok(match header.event_type_raw() {
        2 | 165 => return query(body, header.event_type_raw() == 165).map(Ok),
        4 => {
            let offset = body.int(8)?;
            Happened::Rotate { file: body.0.to_vec(), offset }
        }
        // The time in the header is that of the file, also where the server repeats the event.
        15 => Happened::File { born: header.timestamp() },
        // A prepared transaction ends as well; what it prepared is committed by another.
        16 | 38 => Happened::Commit,
        19 => return Some(TableMap::read(body.0, flavor).map(Happened::Map)),
        kind @ (23..=25 | 30..=32 | 166..=171) => return rows(kind, body).map(Ok),
        26 => Happened::Incident,
        27 | 41 => Happened::Alive { file: String::from_utf8_lossy(body.0).into_owned() },
        33 | 42 => return mysql_group(event.read_event::<GtidEvent>().ok()?, true).map(Ok),
        34 => return mysql_group(event.read_event::<AnonymousGtidEvent>().ok()?.0, false).map(Ok),
        39 => Happened::Partial,
        40 => Happened::Payload,
        162 => {
            let (sequence, domain) = (body.int(8)?, body.int(4)? as u32);
            let flags = body.byte()?;
            Happened::Group {
                gtid: Some(Gtid::MariaDb { domain, server: header.server_id(), sequence }),
                at_us: Some(i64::from(header.timestamp()) * 1_000_000),
                alone: Some(flags & 1 > 0),
                prepared: flags & 64 > 0,
            }
        }
        _ => Happened::Other,
    }))
}

fn mysql_group(event: GtidEvent, named: bool) -> Option<Happened> {
    let gtid = named.then(|| {
        let hex: Vec<_> = event.sid().iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex[from..to].concat();
        let uuid = [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join("-");
        let source = event.tag().map_or(uuid.clone(), |tag| format!("{uuid}:{tag}"));
        Gtid::MySql { source, number: event.gno() }
    });
    let at_us = i64::try_from(event.immediate_commit_timestamp()).ok().filter(|at| *at > 0);
    Some(Happened::Group { gtid, at_us, alone: None, prepared: false })
}

fn query(mut body: Reader<'_>, compressed: bool) -> Option<Happened> {
    body.take(8)?;
    let schema = usize::from(body.byte()?);
    body.take(2)?;
    let status = body.int(2)? as usize;
    body.take(status)?;
    let schema = String::from_utf8_lossy(body.take(schema)?).into_owned();
    body.take(1)?;
    let sql = match compressed.then(|| inflated(body)) {
        None => body.0.to_vec(),
        Some(Some(Inflated::Whole(sql))) => sql,
        // Only its beginning is understood, and no statement about a table is so long.
        Some(Some(Inflated::TooLong(_))) => Vec::new(),
        Some(None) => return None,
    };
    Some(Happened::Query { schema, sql: String::from_utf8_lossy(&sql).into_owned() })
}

fn rows(kind: u8, mut body: Reader<'_>) -> Option<Happened> {
    let change = match kind {
        23 | 30 | 166 | 169 => Change::Insert,
        24 | 31 | 167 | 170 => Change::Update,
        _ => Change::Delete,
    };
    let table = body.int(6)?;
    body.take(2)?;
    if matches!(kind, 30..=32 | 169..=171) {
        let extra = (body.int(2)? as usize).checked_sub(2)?;
        body.take(extra)?;
    }
    let bits = body.length()?.div_ceil(8);
    let present = body.take(bits)?.to_vec();
    let present_after = if change == Change::Update { body.take(bits)?.to_vec() } else { Vec::new() };
    let rows = match kind {
        166.. => match inflated(body)? {
            Inflated::Whole(rows) => rows,
            Inflated::TooLong(bytes) => return Some(Happened::LongRow { table, bytes }),
        },
        _ => body.0.to_vec(),
    };
    Some(Happened::Rows(RowsEvent { change, table, present, present_after, rows }))
}

/// MariaDB's compression: a byte that tells the method and how many bytes of length follow, the length, the highest
/// byte first, and a zlib stream.
fn inflated(mut body: Reader<'_>) -> Option<Inflated> {
    let head = body.byte()?;
    if head & 0xf0 != 0x80 {
        return None;
    }
    let length = high_first(body.take(usize::from(head & 7))?);
    if length > MAX_EVENT_BYTES as u64 {
        return Some(Inflated::TooLong(length));
    }
    let mut plain = Vec::new();
    ZlibDecoder::new(body.0).take(length.checked_add(1)?).read_to_end(&mut plain).ok()?;
    (plain.len() as u64 == length).then_some(Inflated::Whole(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn rows_are_found_behind_what_describes_them() {
        let body = [&[7, 0, 0, 0, 0, 0, 1, 0, 4, 0, 9, 9, 2, 3, 1][..], b"rows"].concat();
        let Some(Happened::Rows(event)) = rows(31, Reader(&body)) else { panic!("it has rows") };
        assert_eq!((event.table, event.change), (7, Change::Update));
        assert_eq!((event.present, event.present_after, event.rows), (vec![3], vec![1], b"rows".to_vec()));
        assert!(rows(31, Reader(&body[..13])).is_none());
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let mut packed = flate2::write::ZlibEncoder::new(vec![0x81, 5], flate2::Compression::fast());
        packed.write_all(b"hello").unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(inflated(Reader(&packed)), Some(Inflated::Whole(b"hello".to_vec())));
        assert_eq!(inflated(Reader(&packed[..6])), None);
        let lies = [&[0x81, 4], &packed[2..]].concat();
        assert_eq!(inflated(Reader(&lies)), None);
        let huge = [&[0x84, 0xff, 0xff, 0xff, 0xff], &packed[2..]].concat();
        assert_eq!(inflated(Reader(&huge)), Some(Inflated::TooLong(u32::MAX.into())));
    }

    #[test]
    fn a_statement_is_found_behind_its_session() {
        let body = [&[0; 8][..], &[1, 0, 0, 2, 0, 5, 5], b"d\0", b"TRUNCATE t"].concat();
        let Some(Happened::Query { schema, sql }) = query(Reader(&body), false) else { panic!("it is one") };
        assert_eq!((schema.as_str(), sql.as_str()), ("d", "TRUNCATE t"));
    }
}
