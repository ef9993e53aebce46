//! The log itself: appends, makes durable, rolls to a new segment and trims old ones. One owner writes; readers use
//! a [`LogView`].

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::path::Path;

use crate::disk::DiskStorage;
use crate::error::{AppendError, Blame, OpenError, StorageFault, is_no_space};
use crate::layout::{
    FileKind, MAX_RECORD_BYTES, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use crate::quarantine::remove_if_there;
use crate::reader::Reader;
use crate::recovery::{Recovered, Recovery, create_segment, recover};
use crate::scan::Scan;
use crate::sparse::{self, Sealed, SparseIndex};
use crate::storage::{LockOutcome, Storage, StorageFile};
use crate::view::{Active, LogView, SegmentInfo, State, Tail};

/// How a log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Size at which a segment is sealed and another begun, in bytes; less than 4 GiB. A record that is larger gets a
    /// segment to itself.
    pub segment_bytes: u64,
    /// Largest record, in bytes; at most [`MAX_RECORD_BYTES`].
    pub max_record_bytes: usize,
    /// The number of the first record of a new log, at least 1. A log that exists keeps its numbers.
    pub first_index: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, max_record_bytes: MAX_RECORD_BYTES, first_index: 1 }
    }
}

/// An append-only log of numbered records in one directory.
#[derive(Debug)]
pub struct SegmentLog<S: Storage = DiskStorage> {
    config: Config,
    view: LogView<S>,
    active: S::File,
    poison: Option<StorageFault>,
    /// Whether the disk may still hold what a refused append wrote and took back, behind the end of the segment.
    taken_back: bool,
    _lock: S::Lock,
}

impl<S: Storage> SegmentLog<S> {
    /// Opens the log in `dir`, creating it if it is not there, and recovers it from whatever ended its last owner.
    ///
    /// # Errors
    /// Another owner has it, a newer release wrote it, the configuration is not valid, or the file system refuses.
    /// Damage is no error: it is reported in [`Recovery`].
    pub fn open(storage: S, dir: &Path, config: Config) -> Result<(Self, Recovery), OpenError> {
        check_config(dir, &config)?;
        storage.create_dir(dir).blame("create", dir)?;
        let lock = match storage.lock(dir).blame("lock", dir)? {
            LockOutcome::Taken(lock) => lock,
            LockOutcome::HeldBy(pid) => return Err(OpenError::Locked { dir: dir.to_owned(), pid }),
        };
        let Recovered { sealed, active, active_header, active_scan, report } =
            recover(&storage, dir, &config)?;
        let state = state_of(sealed, active_header, active_scan);
        let view = LogView::new(storage, dir, state);
        Ok((Self { config, view, active, poison: None, taken_back: false, _lock: lock }, report))
    }

    /// A handle for readers on other threads.
    pub fn view(&self) -> &LogView<S> {
        &self.view
    }

    /// How the log is kept.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a failed write or sync stopped the log until [`SegmentLog::reopen`].
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_some()
    }

    /// The oldest index that can be read.
    pub fn first_index(&self) -> u64 {
        self.view.first_index()
    }

    /// The index that the next record gets.
    pub fn next_index(&self) -> u64 {
        self.view.next_index()
    }

    /// Every record with an index below this one is durable.
    pub fn durable_index(&self) -> u64 {
        self.view.durable_index()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.view.bytes()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.view.segments()
    }

    /// Reads on from this index; sees a record as soon as it is durable.
    pub fn reader(&self, from: u64) -> Reader<S> {
        self.view.reader(from)
    }

    /// Appends one record, whose payload is the parts one behind the other. It is durable after [`SegmentLog::sync`].
    ///
    /// # Errors
    /// [`AppendError::NoSpace`] leaves the log as it was, usable as soon as there is space; after
    /// [`AppendError::Poisoned`] it must be reopened.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<u64, AppendError> {
        self.append_batch(&[parts]).map(|indexes| indexes.start)
    }

    /// Appends as many of these records as fit into one segment, at least one, with a single write, and says which
    /// indexes they got. Call again for the rest. On error none of them is appended.
    ///
    /// # Errors
    /// As [`SegmentLog::append`].
    pub fn append_batch<P: AsRef<[R]>, R: AsRef<[u8]>>(
        &mut self,
        records: &[P],
    ) -> Result<Range<u64>, AppendError> {
        self.check_poison()?;
        let sizes = self.sizes(records)?;
        let Some(&size) = sizes.first() else {
            let next = self.next_index();
            return Ok(next..next);
        };
        let (records_there, end) =
            self.view.read(|s| (s.active.written.next > s.active.first, s.active.written.end));
        if records_there && end + size > self.config.segment_bytes {
            self.roll()?;
        }
        let start = self.view.read(|s| s.active.written);
        let mut room = self.config.segment_bytes.saturating_sub(start.end).max(size);
        let fitting = sizes.iter().take_while(|&&size| {
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        let count = fitting.count();
        self.write(start, &records[..count])?;
        self.view.update(|state| {
            let active = &mut state.active;
            for size in &sizes[..count] {
                active.sparse.note(active.written.next, active.written.end);
                active.written.next += 1;
                active.written.end += size;
            }
            active.records += count as u64;
        });
        Ok(start.next..start.next + count as u64)
    }

    /// Makes everything appended durable, and says below which index everything is.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`]: nothing more is acknowledged until [`SegmentLog::reopen`].
    pub fn sync(&mut self) -> Result<u64, AppendError> {
        self.check_poison()?;
        let (written, durable) = self.view.read(|s| (s.active.written, s.active.durable));
        if written != durable || self.taken_back {
            self.active.sync().map_err(|cause| self.poisoned("sync", cause))?;
            self.taken_back = false;
            self.view.update(|state| state.active.durable = written);
        }
        Ok(written.next)
    }

    /// Seals the segment that grows and begins another. Everything before is durable then. An empty segment stays.
    ///
    /// # Errors
    /// As [`SegmentLog::append`].
    pub fn roll(&mut self) -> Result<(), AppendError> {
        let next = self.sync()?;
        if self.view.read(|state| state.active.records == 0) { Ok(()) } else { self.roll_to(next) }
    }

    /// Leaves out the numbers before this index, because they are known to have been given: by a copy of this log that
    /// was ahead, or to records that a damaged end has lost. Readers find them lost. Does nothing if the log is there.
    ///
    /// # Errors
    /// As [`SegmentLog::append`].
    pub fn advance_to(&mut self, index: u64) -> Result<(), AppendError> {
        if self.sync()? < index { self.roll_to(index) } else { Ok(()) }
    }

    fn roll_to(&mut self, first: u64) -> Result<(), AppendError> {
        let (file, header) = self.begin_segment(first)?;
        let state = Active::begin(header);
        let (sealed, sparse) = self.view.update(|all| {
            let old = std::mem::replace(&mut all.active, state);
            let sealed = old.seal();
            all.sealed.push_back(sealed);
            (sealed, old.sparse)
        });
        self.active = file;
        if let Err(error) = sparse::write(&self.view.storage, &self.view.dir, &sealed, &sparse) {
            // Only a shortcut is missing: the next opening scans the segment instead.
            tracing::debug!(%error, dir = %self.view.dir.display(), "no sidecar was written");
        }
        Ok(())
    }

    /// Forgets records before this index. Whole segments are removed; within a segment they are only hidden, until
    /// the next opening. A growing segment of which nothing is wanted any more is removed once it is half full.
    ///
    /// # Errors
    /// As [`SegmentLog::append`]; what was removed until then stays removed.
    pub fn trim_before(&mut self, index: u64) -> Result<(), AppendError> {
        let index = index.min(self.durable_index());
        let spent = self.view.read(|s| {
            index == s.active.written.next && s.active.written.end >= self.config.segment_bytes / 2
        });
        if spent {
            self.roll()?;
        }
        self.view.update(|state| state.first = state.first.max(index));
        self.remove_trimmed()
    }

    /// Forgets every record, at once and from the disk. Numbering goes on.
    ///
    /// # Errors
    /// As [`SegmentLog::append`].
    pub fn clear(&mut self) -> Result<(), AppendError> {
        self.roll()?;
        let next = self.next_index();
        self.trim_before(next)
    }

    /// Takes back what is not known to be durable and goes on from there: after [`AppendError::Poisoned`], or whenever
    /// records that were appended and not synced are unwanted.
    ///
    /// # Errors
    /// The disk still refuses; the log is poisoned and this can be tried again.
    pub fn reopen(&mut self) -> Result<(), AppendError> {
        let (first, durable) = self.view.read(|s| (s.active.first, s.active.durable));
        let path = FileKind::Segment.path(&self.view.dir, first);
        if let Err(fault) = self.settle_poison(&path, first, durable) {
            // What is written and not durable is still there, so nothing may be appended behind it.
            self.poison = Some(fault.clone());
            return Err(AppendError::Poisoned(fault));
        }
        self.view.update(|state| {
            let active = &mut state.active;
            active.records -= active.written.next - durable.next;
            active.written = durable;
            active.sparse.cut(durable.end);
            state.generation += 1;
        });
        (self.poison, self.taken_back) = (None, false);
        Ok(())
    }

    fn settle_poison(&mut self, path: &Path, active: u64, durable: Tail) -> Result<(), StorageFault> {
        // A successor whose birth failed must not come back after a power cut.
        for name in self.view.storage.list(&self.view.dir).blame("list", &self.view.dir)? {
            if let Some((first, FileKind::Segment)) = FileKind::parse(&name) {
                let successor = FileKind::Segment.path(&self.view.dir, first);
                if first > active {
                    remove_if_there(&self.view.storage, &successor).blame("remove", &successor)?;
                }
            }
        }
        self.view.storage.sync_dir(&self.view.dir).blame("sync", &self.view.dir)?;
        let file = self.view.storage.open(path).blame("open", path)?;
        file.truncate(durable.end).blame("cut", path)?;
        file.sync().blame("sync", path)?;
        self.active = file;
        Ok(())
    }

    fn sizes<P: AsRef<[R]>, R: AsRef<[u8]>>(&self, records: &[P]) -> Result<Vec<u64>, AppendError> {
        let limit = self.config.max_record_bytes;
        let size = |record: &P| {
            let bytes = record.as_ref().iter().map(|part| part.as_ref().len()).sum::<usize>();
            if bytes > limit {
                return Err(AppendError::TooLarge { bytes, limit });
            }
            Ok(RECORD_HEADER_BYTES + bytes as u64)
        };
        records.iter().map(size).collect()
    }

    fn write<P: AsRef<[R]>, R: AsRef<[u8]>>(
        &mut self,
        start: Tail,
        records: &[P],
    ) -> Result<(), AppendError> {
        let durable = self.durable_index();
        let parts = |record: &'_ P| record.as_ref().iter().map(|part| part.as_ref().len()).sum::<usize>();
        let headers: Vec<_> = records
            .iter()
            .zip(start.next..)
            .map(|(record, index)| {
                let len = u32::try_from(parts(record)).expect("a record is at most 64 MiB");
                let unproven =
                    u32::try_from(index - durable).expect("a segment numbers fewer than 2^32 records");
                RecordHeader::of(index, unproven, len, record.as_ref()).encode()
            })
            .collect();
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(records.len() * 2);
        for (header, record) in headers.iter().zip(records) {
            slices.push(IoSlice::new(header));
            slices.extend(record.as_ref().iter().map(|part| IoSlice::new(part.as_ref())));
        }
        let Err(cause) = self.active.write_at(&mut slices, start.end) else { return Ok(()) };
        // Some of it may be written. Take it back, so that the log ends in a whole record again.
        let taken_back = self.active.truncate(start.end);
        match taken_back {
            Ok(()) if is_no_space(&cause) => {
                self.taken_back = true;
                Err(AppendError::NoSpace(self.fault("append to", cause)))
            }
            _ => Err(self.poisoned("append to", cause)),
        }
    }

    fn begin_segment(&mut self, first: u64) -> Result<(S::File, SegmentHeader), AppendError> {
        let (storage, dir) = (&self.view.storage, &self.view.dir);
        let path = FileKind::Segment.path(dir, first);
        let fault = match create_segment(storage, dir, first) {
            Ok(begun) => return Ok(begun),
            Err(fault) => fault,
        };
        // The old segment goes on growing, so the new one must be gone for good.
        let gone = remove_if_there(storage, &path).and_then(|()| storage.sync_dir(dir));
        if gone.is_ok() && fault.is_no_space() {
            return Err(AppendError::NoSpace(fault));
        }
        self.poison = Some(fault.clone());
        Err(AppendError::Poisoned(fault))
    }

    fn remove_trimmed(&mut self) -> Result<(), AppendError> {
        let LogView { storage, dir, .. } = &self.view;
        let oldest = || {
            self.view.read(|state| {
                state.sealed.front().filter(|oldest| oldest.next <= state.first).map(|s| s.first)
            })
        };
        while let Some(first) = oldest() {
            // One by one and oldest first, so that neither a power cut nor an error leaves a gap between segments.
            for kind in [FileKind::Segment, FileKind::Sidecar, FileKind::Quarantined, FileKind::Reason] {
                let path = kind.path(dir, first);
                remove_if_there(storage, &path).blame("remove", &path)?;
            }
            storage.sync_dir(dir).blame("sync", dir)?;
            self.view.update(|state| state.sealed.pop_front());
        }
        Ok(())
    }

    fn check_poison(&self) -> Result<(), AppendError> {
        self.poison.as_ref().map_or(Ok(()), |fault| Err(AppendError::Poisoned(fault.clone())))
    }

    fn fault(&self, action: &'static str, cause: std::io::Error) -> StorageFault {
        let first = self.view.read(|state| state.active.first);
        StorageFault::new(action, &FileKind::Segment.path(&self.view.dir, first), cause)
    }

    fn poisoned(&mut self, action: &'static str, cause: std::io::Error) -> AppendError {
        let fault = self.fault(action, cause);
        self.poison = Some(fault.clone());
        AppendError::Poisoned(fault)
    }
}

fn check_config(dir: &Path, config: &Config) -> Result<(), OpenError> {
    let reason = if config.first_index == 0 {
        "the first index must be at least 1".to_owned()
    } else if config.max_record_bytes > MAX_RECORD_BYTES {
        format!("a record may have at most {MAX_RECORD_BYTES} bytes, not {}", config.max_record_bytes)
    } else if config.segment_bytes <= SEGMENT_HEADER_BYTES || config.segment_bytes > u64::from(u32::MAX) {
        format!(
            "a segment may have {SEGMENT_HEADER_BYTES} to {} bytes, not {}",
            u32::MAX,
            config.segment_bytes
        )
    } else {
        return Ok(());
    };
    Err(OpenError::Config { dir: dir.to_owned(), reason })
}

fn state_of(sealed: VecDeque<Sealed>, header: SegmentHeader, scan: Scan) -> State {
    let tail = Tail { next: scan.next, end: scan.end };
    let first = sealed.front().map_or(header.first, |oldest| oldest.first);
    let active = Active {
        records: scan.records,
        written: tail,
        durable: tail,
        sparse: scan.sparse,
        ..Active::begin(header)
    };
    State { sealed, active, first, generation: 0 }
}

impl Active {
    fn begin(header: SegmentHeader) -> Self {
        let tail = Tail { next: header.first, end: SEGMENT_HEADER_BYTES };
        Self {
            first: header.first,
            created_us: header.created_us,
            records: 0,
            written: tail,
            durable: tail,
            sparse: SparseIndex::default(),
        }
    }

    fn seal(&self) -> Sealed {
        Sealed {
            first: self.first,
            next: self.written.next,
            created_us: self.created_us,
            bytes: self.written.end,
            records: self.records,
        }
    }
}
