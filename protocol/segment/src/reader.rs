//! Reads records in order while the log grows, rolls and is trimmed.

use std::io;

use crate::cursor::Cursor;
use crate::error::{Blame, LostRange, ReadError, StorageFault};
use crate::layout::{FileKind, RecordHeader};
use crate::sparse;
use crate::storage::Storage;
use crate::view::{Located, LogView, Place, Tail};

/// What a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Records that survive a power cut.
    Durable,
    /// Also records that are only written. They may be taken back, and their indexes given to others.
    Written,
}

/// A record and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the log.
    pub index: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A place in the log. Each reader has its own open file and needs no lock to read a record that it knows to be
/// visible.
#[derive(Debug)]
pub struct Reader<S: Storage> {
    log: LogView<S>,
    visibility: Visibility,
    next: u64,
    open: Option<Open<S::File>>,
}

/// The segment being read.
#[derive(Debug)]
struct Open<F> {
    first: u64,
    cursor: Cursor<F>,
    offset: u64,
    visible: Tail,
    generation: u64,
}

impl<S: Storage> Reader<S> {
    pub(crate) fn new(log: LogView<S>, next: u64, visibility: Visibility) -> Self {
        Self { log, visibility, next, open: None }
    }

    /// The index of the record that is read next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Goes to another index.
    pub fn seek(&mut self, index: u64) {
        if index != self.next {
            self.next = index;
            self.open = None;
        }
    }

    /// The next record, or `None` while there is none yet.
    ///
    /// # Errors
    /// [`ReadError::Lost`] once for each lost range, after which reading goes on behind it; [`ReadError::Trimmed`] until
    /// [`Reader::seek`] goes to what is kept.
    #[expect(clippy::should_implement_trait, reason = "an end is not final: more may come")]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            if !self.find()? {
                return Ok(None);
            }
            if let Some(record) = self.step()? {
                return Ok(Some(record));
            }
        }
    }

    /// Opens the segment that holds the next record. False if it is not there yet.
    fn find(&mut self) -> Result<bool, ReadError> {
        let mut missing = None;
        loop {
            let place = self.log.read(|state| {
                let known = self.open.as_ref().is_some_and(|open| {
                    open.generation == state.generation
                        && self.next < open.visible.next
                        && self.next >= state.first
                });
                (!known).then(|| state.place(&self.log.dir, self.next, self.visibility))
            });
            let located = match place {
                None => return Ok(true),
                Some(Place::Ahead) => return Ok(false),
                Some(Place::Trimmed { first }) => {
                    self.open = None;
                    return Err(ReadError::Trimmed { wanted: self.next, first });
                }
                Some(Place::Gap { to, after }) => {
                    let reason = "no segment holds them".to_owned();
                    return Err(
                        self.lose(to, LostRange { from: self.next, to, file: after, offset: None, reason })
                    );
                }
                Some(Place::In(located)) => located,
            };
            if let Some(open) = &mut self.open
                && (open.first, open.generation) == (located.first, located.generation)
            {
                open.visible = located.visible;
                return Ok(true);
            }
            match self.open(&located) {
                Ok(open) => self.open = Some(open),
                // Trimmed between the look and the opening: look again, once.
                Err(error) if error.kind() == io::ErrorKind::NotFound && missing != Some(located.first) => {
                    missing = Some(located.first);
                }
                Err(error) => {
                    let path = FileKind::Segment.path(&self.log.dir, located.first);
                    return Err(StorageFault::new("open", &path, error).into());
                }
            }
        }
    }

    fn open(&self, located: &Located) -> io::Result<Open<S::File>> {
        let LogView { storage, dir, .. } = &self.log;
        let file = storage.open_read_only(&FileKind::Segment.path(dir, located.first))?;
        let offset = match &located.sealed {
            Some(sealed) => sparse::read_entries(storage, dir, sealed).locate(self.next),
            None => located.hint,
        };
        Ok(Open {
            first: located.first,
            cursor: Cursor::new(file),
            offset,
            visible: located.visible,
            generation: located.generation,
        })
    }

    /// Reads what stands at the current offset. `None` if it was before the wanted record.
    fn step(&mut self) -> Result<Option<Record>, ReadError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let path = FileKind::Segment.path(&self.log.dir, open.first);
        let (offset, end) = (open.offset, open.visible.end);
        let read = open.cursor.read(offset, end).blame("read", &path)?;
        let (header, payload) = match read {
            Ok(record) => record,
            Err(reason) => return self.step_over_damage(reason),
        };
        let RecordHeader { index, .. } = header;
        if index > self.next {
            let reason = "they were damaged and put aside".to_owned();
            let lost = LostRange { from: self.next, to: index, file: path, offset: Some(offset), reason };
            return Err(self.lose(index, lost));
        }
        open.offset += header.size();
        if index < self.next {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(Record { index, payload }))
    }

    fn step_over_damage(&mut self, reason: &'static str) -> Result<Option<Record>, ReadError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        if open.generation != self.log.read(|state| state.generation) {
            // Not damage: what was written but not durable was taken back while we read it.
            self.open = None;
            return Ok(None);
        }
        let path = FileKind::Segment.path(&self.log.dir, open.first);
        let damaged = open.offset;
        // What is read first may be older than what is wanted: the last good record before the damage is not known.
        let above = open.first.saturating_sub(1);
        let found = open.cursor.resync(damaged, open.visible.end, above).blame("read", &path)?;
        let (offset, to) = match found {
            Some((offset, header)) => (offset, header.index),
            None => (open.visible.end, open.visible.next),
        };
        open.offset = offset;
        if to <= self.next {
            return Ok(None);
        }
        let reason = reason.to_owned();
        let lost = LostRange { from: self.next, to, file: path, offset: Some(damaged), reason };
        Err(self.lose(to, lost))
    }

    fn lose(&mut self, to: u64, lost: LostRange) -> ReadError {
        self.next = to;
        ReadError::Lost(lost)
    }
}

impl<S: Storage> LogView<S> {
    /// Reads one durable record.
    ///
    /// # Errors
    /// It was trimmed, is lost, or cannot be read. `None`: it is not durable yet.
    pub fn get(&self, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.reader(index).next()?.map(|record| record.payload))
    }
}
