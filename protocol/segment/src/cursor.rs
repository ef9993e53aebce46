//! Reads one segment file piece by piece, in bounded memory, and checks each record's sum.

use std::io;

use crate::layout::{MAX_RECORD_BYTES, RECORD_HEADER_BYTES, RecordHeader};
use crate::storage::StorageFile;

/// How much is read at once. Small records share a read; larger ones are read straight into their buffer.
const CHUNK_BYTES: usize = 64 << 10;

/// A window on a file. It never looks past the `end` it is given, because what stands there may still change.
#[derive(Debug)]
pub(crate) struct Cursor<F> {
    file: F,
    window: Vec<u8>,
    window_at: u64,
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record whose checksum holds.
    Intact(RecordHeader),
    /// Something else, and why it is not a record.
    Damaged(&'static str),
}

impl<F: StorageFile> Cursor<F> {
    pub(crate) fn new(file: F) -> Self {
        Self { file, window: Vec::new(), window_at: 0 }
    }

    /// Checks what stands at `offset` without keeping the payload.
    pub(crate) fn check(&mut self, offset: u64, end: u64) -> io::Result<Found> {
        let header = match self.header(offset, end)? {
            Ok(header) => header,
            Err(damage) => return Ok(Found::Damaged(damage)),
        };
        let mut crc = header.seed();
        let payload_end = offset + header.size();
        let mut at = offset + RECORD_HEADER_BYTES;
        while at < payload_end {
            let wanted = (payload_end - at).min(CHUNK_BYTES as u64) as usize;
            let chunk = self.peek(at, wanted, end)?;
            if chunk.len() < wanted {
                return Ok(Found::Damaged("the file ends inside the record"));
            }
            crc = crc32c::crc32c_append(crc, chunk);
            at += wanted as u64;
        }
        Ok(if crc == header.crc {
            Found::Intact(header)
        } else {
            Found::Damaged("the checksum does not match")
        })
    }

    /// Reads the record at `offset`.
    pub(crate) fn read(
        &mut self,
        offset: u64,
        end: u64,
    ) -> io::Result<Result<(RecordHeader, Vec<u8>), &'static str>> {
        let header = match self.header(offset, end)? {
            Ok(header) => header,
            Err(damage) => return Ok(Err(damage)),
        };
        let len = header.len as usize;
        let at = offset + RECORD_HEADER_BYTES;
        let mut payload = Vec::with_capacity(len);
        if len <= CHUNK_BYTES {
            payload.extend_from_slice(self.peek(at, len, end)?);
        } else {
            payload.extend_from_slice(self.buffered(at));
            let from_window = payload.len();
            payload.resize(len, 0);
            let read = self.file.read_at(&mut payload[from_window..], at + from_window as u64)?;
            payload.truncate(from_window + read);
        }
        if payload.len() < len {
            return Ok(Err("the file ends inside the record"));
        }
        let intact = crc32c::crc32c_append(header.seed(), &payload) == header.crc;
        Ok(if intact { Ok((header, payload)) } else { Err("the checksum does not match") })
    }

    /// Looks behind damage for the next intact record with an index above `above`. The place that the damaged
    /// record's own length points to is tried first: it is mostly right, and keeps us from mistaking a payload
    /// that holds a segment for records of this one.
    pub(crate) fn resync(
        &mut self,
        damaged: u64,
        end: u64,
        above: u64,
    ) -> io::Result<Option<(u64, RecordHeader)>> {
        // A segment numbers fewer than 2^32 records, so a number beyond is none of its own.
        let most = above.saturating_add(u64::from(u32::MAX));
        if let Ok(header) = self.header(damaged, end)?
            && let Some(found) = self.intact_at(damaged + header.size(), end, above, most)?
        {
            return Ok(Some(found));
        }
        for offset in damaged + 1..end.saturating_sub(RECORD_HEADER_BYTES - 1) {
            if let Some(found) = self.intact_at(offset, end, above, most)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn intact_at(
        &mut self,
        offset: u64,
        end: u64,
        above: u64,
        most: u64,
    ) -> io::Result<Option<(u64, RecordHeader)>> {
        match self.header(offset, end)? {
            Ok(header) if header.index > above && header.index <= most => {}
            _ => return Ok(None),
        }
        Ok(match self.check(offset, end)? {
            Found::Intact(header) => Some((offset, header)),
            Found::Damaged(_) => None,
        })
    }

    fn header(&mut self, offset: u64, end: u64) -> io::Result<Result<RecordHeader, &'static str>> {
        let Some(header) = RecordHeader::decode(self.peek(offset, RECORD_HEADER_BYTES as usize, end)?) else {
            return Ok(Err("the file ends inside the record's header"));
        };
        if header.len as usize > MAX_RECORD_BYTES || header.size() > end - offset {
            return Ok(Err("the record's length points past the end"));
        }
        Ok(Ok(header))
    }

    /// Up to `len` bytes at `offset`, fewer only at `end` or where the file is shorter than that.
    pub(crate) fn peek(&mut self, offset: u64, len: usize, end: u64) -> io::Result<&[u8]> {
        let len = len.min(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
        if self.buffered(offset).len() < len {
            let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(CHUNK_BYTES.max(len));
            self.window.resize(most, 0);
            self.window_at = offset;
            let read = self.file.read_at(&mut self.window, offset);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        let buffered = self.buffered(offset);
        Ok(&buffered[..len.min(buffered.len())])
    }

    fn buffered(&self, offset: u64) -> &[u8] {
        let skip = offset.checked_sub(self.window_at).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.window.get(skip..)).unwrap_or_default()
    }
}
