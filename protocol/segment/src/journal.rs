//! The latest value of each key, for small state that must be truth: cursors, the last link of each lane.
//!
//! Every change is a record in a [`SegmentLog`]; the values are held in memory. When more than half of the log is
//! out of date, all values are written into fresh segments and the older ones are trimmed. At any point of that,
//! replaying what is on the disk gives the same values: the copies repeat the last value of each key, and the older
//! segments go oldest first, only after the copies are durable.
//!
//! ```text
//! record: 1 (put) or 2 (remove) u8 | key length u32 | key | value
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::disk::DiskStorage;
use crate::error::{AppendError, OpenError, ReadError};
use crate::layout::{RECORD_HEADER_BYTES, u32_at};
use crate::log::{Config, SegmentLog};
use crate::reader::Reader;
use crate::recovery::Recovery;
use crate::storage::Storage;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const PREFIX_BYTES: usize = 5;

/// Under this size a journal is not worth compacting. Opening reads it all, so it stays small.
const WORTH_COMPACTING_BYTES: u64 = 4 << 20;

/// A durable map with all values in memory.
#[derive(Debug)]
pub struct Journal<S: Storage = DiskStorage> {
    log: SegmentLog<S>,
    worth_compacting_bytes: u64,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    live_bytes: u64,
}

impl<S: Storage> Journal<S> {
    /// Opens the journal in `dir`, creating it if it is not there.
    ///
    /// # Errors
    /// As [`SegmentLog::open`], or the log holds something that no release up to this one writes into a journal.
    pub fn open(storage: S, dir: &Path, config: Config) -> Result<(Self, Recovery), OpenError> {
        let worth_compacting_bytes = config.segment_bytes.min(WORTH_COMPACTING_BYTES);
        let (log, recovery) = SegmentLog::open(storage, dir, config)?;
        let mut journal = Self { log, worth_compacting_bytes, values: BTreeMap::new(), live_bytes: 0 };
        journal.load()?;
        Ok((journal, recovery))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// All keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Gives a key a value. Durable after [`Journal::sync`].
    ///
    /// # Errors
    /// As [`SegmentLog::append`]; the key keeps its value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), AppendError> {
        self.log.append(&[&prefix(PUT, key), key, value])?;
        self.note_put(key, value);
        Ok(())
    }

    /// Takes a key away. Durable after [`Journal::sync`].
    ///
    /// # Errors
    /// As [`SegmentLog::append`]; the key keeps its value.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), AppendError> {
        if self.values.contains_key(key) {
            self.log.append(&[&prefix(REMOVE, key), key])?;
            self.note_remove(key);
        }
        Ok(())
    }

    /// Makes every change durable, and compacts when it is worth it.
    ///
    /// # Errors
    /// As [`SegmentLog::sync`]. After [`AppendError::Poisoned`] nothing is acknowledged until [`Journal::reopen`].
    pub fn sync(&mut self) -> Result<(), AppendError> {
        self.log.sync()?;
        let wasteful = self.log.bytes() > self.worth_compacting_bytes.max(2 * self.live_bytes);
        if wasteful && self.has_room_to_compact() {
            self.compact()?;
        }
        Ok(())
    }

    /// After [`AppendError::Poisoned`]: goes back to the values that are known to be durable.
    ///
    /// # Errors
    /// The disk still refuses.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        if let Err(AppendError::Poisoned(fault) | AppendError::NoSpace(fault)) = self.log.reopen() {
            return Err(fault.into());
        }
        self.load()
    }

    fn has_room_to_compact(&self) -> bool {
        let view = self.log.view();
        view.storage
            .free_bytes(view.dir())
            .is_ok_and(|free| free > 2 * self.live_bytes + self.worth_compacting_bytes)
    }

    fn compact(&mut self) -> Result<(), AppendError> {
        self.log.roll()?;
        let start = self.log.next_index();
        for (key, value) in &self.values {
            self.log.append(&[&prefix(PUT, key), key, value])?;
        }
        self.log.sync()?;
        self.log.trim_before(start)
    }

    fn load(&mut self) -> Result<(), OpenError> {
        self.values.clear();
        self.live_bytes = 0;
        let mut reader = self.log.reader(self.log.first_index());
        while let Some(record) = next_kept(&mut reader)? {
            let parsed = parse(&record.payload);
            match parsed {
                Some((PUT, key, value)) => self.note_put(key, value),
                Some((REMOVE, key, _)) => self.note_remove(key),
                _ => {
                    return Err(OpenError::Foreign {
                        dir: self.log.view().dir().to_owned(),
                        index: record.index,
                    });
                }
            }
        }
        Ok(())
    }

    fn note_put(&mut self, key: &[u8], value: &[u8]) {
        self.note_remove(key);
        self.live_bytes += live_bytes(key, value);
        self.values.insert(key.to_vec(), value.to_vec());
    }

    fn note_remove(&mut self, key: &[u8]) {
        if let Some(value) = self.values.remove(key) {
            self.live_bytes -= live_bytes(key, &value);
        }
    }
}

/// The next record that is not lost. What is lost was reported by the recovery.
fn next_kept<S: Storage>(reader: &mut Reader<S>) -> Result<Option<crate::reader::Record>, OpenError> {
    loop {
        match reader.next() {
            Ok(record) => return Ok(record),
            Err(ReadError::Lost(_)) => {}
            Err(ReadError::Trimmed { first, .. }) => reader.seek(first),
            Err(ReadError::Storage(fault)) => return Err(fault.into()),
        }
    }
}

fn prefix(operation: u8, key: &[u8]) -> [u8; PREFIX_BYTES] {
    let len = u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes();
    [operation, len[0], len[1], len[2], len[3]]
}

fn parse(payload: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (prefix, rest) = payload.split_at_checked(PREFIX_BYTES)?;
    let (key, value) = rest.split_at_checked(u32_at(prefix, 1) as usize)?;
    Some((prefix[0], key, value))
}

fn live_bytes(key: &[u8], value: &[u8]) -> u64 {
    RECORD_HEADER_BYTES + (PREFIX_BYTES + key.len() + value.len()) as u64
}
