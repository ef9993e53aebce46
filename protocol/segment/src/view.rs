//! What the writer shows its readers: which segments there are, and how far each may be read.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::layout::FileKind;
use crate::reader::{Reader, Visibility};
use crate::sparse::{Sealed, SparseIndex};
use crate::storage::Storage;

/// A cheap handle to a log that reads while another thread appends. It stays valid after the log is gone, and then
/// shows what was there last.
#[derive(Debug)]
pub struct LogView<S> {
    pub(crate) storage: S,
    pub(crate) dir: Arc<Path>,
    state: Arc<RwLock<State>>,
}

/// One segment, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Index of its first record.
    pub first_index: u64,
    /// The index after its last record.
    pub next_index: u64,
    /// When it was created, in microseconds since 1970-01-01 UTC.
    pub created_us: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Whether it no longer grows.
    pub sealed: bool,
    /// The file.
    pub file: PathBuf,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: Active,
    /// The oldest index that may be read; what stands before it in its segment was trimmed.
    pub(crate) first: u64,
    /// Counts the times that written records were taken back. Readers then look anew.
    pub(crate) generation: u64,
}

/// The segment that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) first: u64,
    pub(crate) created_us: u64,
    pub(crate) records: u64,
    pub(crate) written: Tail,
    pub(crate) durable: Tail,
    pub(crate) sparse: SparseIndex,
}

/// How far something reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The index behind it.
    pub(crate) next: u64,
    /// The offset behind it.
    pub(crate) end: u64,
}

/// The segment that a reader needs.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) first: u64,
    pub(crate) visible: Tail,
    pub(crate) generation: u64,
    pub(crate) sealed: Option<Sealed>,
    /// Where to begin looking, for the segment that grows.
    pub(crate) hint: u64,
}

/// Where an index stands.
#[derive(Debug)]
pub(crate) enum Place {
    /// Before the oldest kept record.
    Trimmed { first: u64 },
    /// Behind what is visible.
    Ahead,
    /// Between two segments: the records up to this index are gone.
    Gap { to: u64, after: PathBuf },
    /// In this segment.
    In(Located),
}

impl<S> LogView<S> {
    pub(crate) fn new(storage: S, dir: &Path, state: State) -> Self {
        Self { storage, dir: dir.into(), state: Arc::new(RwLock::new(state)) }
    }

    /// The directory of the log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The oldest index that can be read.
    pub fn first_index(&self) -> u64 {
        self.state.read().first
    }

    /// The index that the next record gets.
    pub fn next_index(&self) -> u64 {
        self.state.read().active.written.next
    }

    /// Every record with an index below this one is durable.
    pub fn durable_index(&self) -> u64 {
        self.state.read().active.durable.next
    }

    /// Bytes of all segments, records trimmed within a segment included.
    pub fn bytes(&self) -> u64 {
        let state = self.state.read();
        state.sealed.iter().map(|s| s.bytes).sum::<u64>() + state.active.written.end
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let state = self.state.read();
        let file = |first| FileKind::Segment.path(&self.dir, first);
        let sealed = state.sealed.iter().map(|s| SegmentInfo {
            first_index: s.first,
            next_index: s.next,
            created_us: s.created_us,
            bytes: s.bytes,
            sealed: true,
            file: file(s.first),
        });
        let active = SegmentInfo {
            first_index: state.active.first,
            next_index: state.active.written.next,
            created_us: state.active.created_us,
            bytes: state.active.written.end,
            sealed: false,
            file: file(state.active.first),
        };
        sealed.chain([active]).collect()
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read())
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write())
    }
}

impl<S: Storage> LogView<S> {
    /// Reads on from this index; sees a record as soon as it is durable.
    pub fn reader(&self, from: u64) -> Reader<S> {
        Reader::new(self.clone(), from, Visibility::Durable)
    }

    /// Reads on from this index, with a choice of what is seen.
    pub fn reader_of(&self, from: u64, visibility: Visibility) -> Reader<S> {
        Reader::new(self.clone(), from, visibility)
    }
}

impl<S: Clone> Clone for LogView<S> {
    fn clone(&self) -> Self {
        Self { storage: self.storage.clone(), dir: self.dir.clone(), state: self.state.clone() }
    }
}

impl State {
    pub(crate) fn place(&self, dir: &Path, index: u64, visibility: Visibility) -> Place {
        let active = &self.active;
        let tail = match visibility {
            Visibility::Durable => active.durable,
            Visibility::Written => active.written,
        };
        if index < self.first {
            return Place::Trimmed { first: self.first };
        }
        if index >= tail.next {
            return Place::Ahead;
        }
        if index >= active.first {
            let hint = active.sparse.locate(index);
            let generation = self.generation;
            return Place::In(Located { first: active.first, visible: tail, generation, sealed: None, hint });
        }
        let after = self.sealed.partition_point(|s| s.first <= index);
        let following = self.sealed.get(after).map_or(active.first, |s| s.first);
        match after.checked_sub(1).map(|at| self.sealed[at]) {
            Some(sealed) if index < sealed.next => Place::In(Located {
                first: sealed.first,
                visible: Tail { next: sealed.next, end: sealed.bytes },
                generation: self.generation,
                sealed: Some(sealed),
                hint: 0,
            }),
            before => {
                let first = before.map_or(following, |s| s.first);
                Place::Gap { to: following, after: FileKind::Segment.path(dir, first) }
            }
        }
    }
}
