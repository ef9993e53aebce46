//! Walks a whole segment and says what is intact, what is damaged, and what can be proved to have been durable.

use std::io;

use crate::cursor::{Cursor, Found};
use crate::layout::{RecordHeader, SEGMENT_HEADER_BYTES};
use crate::sparse::SparseIndex;
use crate::storage::StorageFile;

/// What a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The index after the last intact record.
    pub(crate) next: u64,
    /// The offset behind the last intact record.
    pub(crate) end: u64,
    /// How many intact records there are.
    pub(crate) records: u64,
    /// Every index below this one was durable once: a later record says so.
    pub(crate) proven: u64,
    /// Stretches that hold no intact record, in order. The last may reach to the end of the file.
    pub(crate) damage: Vec<Damage>,
    /// Indexes that are missing though nothing is damaged here: an earlier recovery put the damage aside.
    pub(crate) holes: Vec<(u64, u64)>,
    pub(crate) sparse: SparseIndex,
}

/// A stretch of a segment without an intact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The index that was expected at its beginning.
    pub(crate) from: u64,
    /// The index of the next intact record, if there is one.
    pub(crate) to: Option<u64>,
    /// Where it begins.
    pub(crate) offset: u64,
    /// Where it ends.
    pub(crate) end: u64,
    /// What is wrong at its beginning.
    pub(crate) reason: &'static str,
}

/// Scans the segment that begins with index `first`, up to `end`; `visit` sees each intact record.
pub(crate) fn scan<F: StorageFile>(
    cursor: &mut Cursor<F>,
    first: u64,
    end: u64,
    mut visit: impl FnMut(&mut Cursor<F>, u64, RecordHeader) -> io::Result<()>,
) -> io::Result<Scan> {
    let mut scan = Scan { next: first, end: SEGMENT_HEADER_BYTES.min(end), proven: first, ..Scan::default() };
    let mut offset = scan.end;
    while offset < end {
        let (at, header) = match cursor.check(offset, end)? {
            Found::Intact(header) if header.index >= scan.next => {
                if header.index > scan.next {
                    scan.holes.push((scan.next, header.index));
                }
                (offset, header)
            }
            found => {
                let reason = match found {
                    Found::Damaged(reason) => reason,
                    Found::Intact(_) => "the record's number is out of order",
                };
                let behind = cursor.resync(offset, end, scan.next)?;
                scan.damage.push(Damage {
                    from: scan.next,
                    to: behind.map(|(_, header)| header.index),
                    offset,
                    end: behind.map_or(end, |(at, _)| at),
                    reason,
                });
                let Some(behind) = behind else { break };
                behind
            }
        };
        visit(cursor, at, header)?;
        scan.sparse.note(header.index, at);
        scan.records += 1;
        scan.proven = scan.proven.max(header.proves());
        scan.next = header.index + 1;
        offset = at + header.size();
        scan.end = offset;
    }
    Ok(scan)
}
