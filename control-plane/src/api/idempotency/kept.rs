//! Keys on the disk: a journal, so that what was done is known after a crash.
//!
//! ```text
//! key: the name, 32 bytes        value: asked 32 bytes | noted, ns since 1970, i128 | the sealed answer, if there is one
//! ```

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_segment::{AppendError, Config, DiskStorage, Journal, OpenError};

use super::book::{Name, Noted};

/// Small segments, so that what is out of date goes soon.
const SEGMENT_BYTES: u64 = 8 << 20;
const HASH_BYTES: usize = 32;
const TIME_BYTES: usize = 16;

/// A key as it is kept.
pub(super) struct Record {
    pub(super) asked: blake3::Hash,
    pub(super) noted: Timestamp,
    /// Nothing while it is under way.
    pub(super) sealed: Option<Vec<u8>>,
}

/// The keys on the disk. Cheap to clone. Its calls block on the disk.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<Journal<DiskStorage>>>);

impl Kept {
    /// Opens what is kept in this directory, or begins it there.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let config = Config { segment_bytes: SEGMENT_BYTES, ..Config::default() };
        let (journal, recovery) = Journal::open(DiskStorage, dir, config)?;
        for lost in &recovery.lost {
            tracing::error!(dir = %dir.display(), %lost, "idempotency keys are lost; a request that comes again may be done again");
        }
        Ok(Self(Arc::new(Mutex::new(journal))))
    }

    /// Everything that is kept, oldest first.
    pub(super) fn all(&self) -> Vec<(Name, Record)> {
        let journal = self.0.lock();
        let name = |key: &[u8]| Some(Name::from_bytes(key.try_into().ok()?));
        let records = journal.iter().filter_map(|(key, value)| Some((name(key)?, Record::read(value)?)));
        let mut records: Vec<_> = records.collect();
        records.sort_by_key(|(_, record)| record.noted);
        records
    }

    /// Keeps a key durably, and forgets others.
    pub(super) fn keep(&self, name: Name, record: &Record, forgotten: &[Noted]) -> Result<(), AppendError> {
        self.write(|journal| {
            forgotten.iter().try_for_each(|noted| remove(journal, noted))?;
            journal.put(name.as_bytes(), &record.written())
        })
    }

    /// Forgets a key durably.
    pub(super) fn forget(&self, noted: &Noted) -> Result<(), AppendError> {
        self.write(|journal| remove(journal, noted))
    }

    fn write(
        &self,
        change: impl FnOnce(&mut Journal<DiskStorage>) -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let mut journal = self.0.lock();
        let done = change(&mut journal).and_then(|()| journal.sync());
        if let Err(AppendError::Poisoned(_)) = done {
            // It goes back to what is durable. If the disk still refuses, so will the next call.
            drop(journal.reopen());
        }
        done
    }
}

/// Takes a key away, unless it was noted again since.
fn remove(journal: &mut Journal<DiskStorage>, (name, noted): &Noted) -> Result<(), AppendError> {
    let is_meant =
        journal.get(name.as_bytes()).and_then(Record::read).is_some_and(|record| record.noted == *noted);
    if is_meant { journal.remove(name.as_bytes()) } else { Ok(()) }
}

impl Record {
    fn written(&self) -> Vec<u8> {
        let sealed = self.sealed.as_deref().unwrap_or_default();
        [self.asked.as_bytes().as_slice(), &self.noted.as_nanosecond().to_le_bytes(), sealed].concat()
    }

    fn read(value: &[u8]) -> Option<Self> {
        let (asked, rest) = value.split_first_chunk::<HASH_BYTES>()?;
        let (noted, sealed) = rest.split_first_chunk::<TIME_BYTES>()?;
        Some(Self {
            asked: blake3::Hash::from_bytes(*asked),
            noted: Timestamp::from_nanosecond(i128::from_le_bytes(*noted)).ok()?,
            sealed: (!sealed.is_empty()).then(|| sealed.to_vec()),
        })
    }
}
