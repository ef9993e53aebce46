//! The state after some event, kept as a file when retention removes the events up to it.
//!
//! ```text
//! snapshots/00000000000000001024.json   {"seq", "head", "generation", "pieces": {"<kind>/<name>": …}}
//! ```
//!
//! Its BLAKE3 hash stands in a signed checkpoint, the anchor. The file is durable before the checkpoint is, and the
//! checkpoint before the first event is removed, so whenever the power fails there is either the snapshot with its
//! anchor or every event.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use towpath_audit::EventHash;
use towpath_segment::{Storage, StorageFault, StorageFile};

use crate::projection::Damage;
use crate::state::State;
use crate::transition::Key;

const READ_BYTES: usize = 1 << 20;

/// The state after an event, piece by piece.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    pub(crate) seq: u64,
    pub(crate) head: EventHash,
    generation: u64,
    pieces: BTreeMap<String, Box<RawValue>>,
}

impl Snapshot {
    /// Follows the state, which an event has just changed in these pieces.
    pub(crate) fn follow(&mut self, state: &State, touched: &[Key]) {
        for key in touched {
            match state.piece(key).map(String::from_utf8) {
                Some(Ok(piece)) => {
                    let piece = RawValue::from_string(piece).expect("every piece of the state is JSON");
                    self.pieces.insert(key.to_string(), piece);
                }
                _ => drop(self.pieces.remove(&key.to_string())),
            }
        }
        (self.seq, self.head, self.generation) = (state.seq, state.head, state.generation);
    }

    /// The state that it holds.
    pub(crate) fn state(&self) -> Result<State, Damage> {
        let mut state = State::default();
        for (key, piece) in &self.pieces {
            state.restore(key, piece.get().as_bytes())?;
        }
        (state.seq, state.head, state.generation) = (self.seq, self.head, self.generation);
        Ok(state)
    }

    /// Its pieces, by key.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (String, Option<Vec<u8>>)> {
        self.pieces.iter().map(|(key, piece)| (key.clone(), Some(piece.get().as_bytes().to_vec())))
    }

    /// Writes it durably and returns its hash.
    pub(crate) fn write<S: Storage>(&self, storage: &S, dir: &Path) -> Result<EventHash, StorageFault> {
        let bytes = serde_json::to_vec(self).expect("a snapshot is always JSON");
        let (path, partial) = (path_of(dir, self.seq), dir.join("partial"));
        storage.create_dir(dir).map_err(fault("create", dir))?;
        remove_if_there(storage, &partial).map_err(fault("remove", &partial))?;
        let written = storage
            .create(&partial)
            .and_then(|file| file.write_at(&mut [IoSlice::new(&bytes)], 0).and_then(|()| file.sync()));
        written.map_err(fault("write", &partial))?;
        storage.rename(&partial, &path).map_err(fault("write", &path))?;
        storage.sync_dir(dir).map_err(fault("sync", dir))?;
        Ok(EventHash::of(&bytes))
    }

    /// Reads the one of this event.
    pub(crate) fn read<S: Storage>(
        storage: &S,
        dir: &Path,
        seq: u64,
        expected: EventHash,
    ) -> Result<Self, SnapshotFault> {
        let path = path_of(dir, seq);
        let fault = |reason: String| SnapshotFault { path: path.clone(), reason };
        let bytes = read_all(storage, &path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        if EventHash::of(&bytes) != expected {
            return Err(fault("is not the one whose hash was signed".to_owned()));
        }
        serde_json::from_slice(&bytes).map_err(|error| fault(format!("cannot be understood: {error}")))
    }
}

/// A snapshot that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog's snapshot `{}` {reason}; restore it from a backup", path.display())]
pub struct SnapshotFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Removes every snapshot but that of this event.
pub(crate) fn keep_only<S: Storage>(storage: &S, dir: &Path, seq: u64) -> Result<(), StorageFault> {
    let kept = path_of(dir, seq);
    for name in storage.list(dir).map_err(fault("list", dir))? {
        let path = dir.join(name);
        if path != kept {
            storage.remove(&path).map_err(fault("remove", &path))?;
        }
    }
    storage.sync_dir(dir).map_err(fault("sync", dir))
}

fn path_of(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("{seq:020}.json"))
}

fn read_all<S: Storage>(storage: &S, path: &Path) -> io::Result<Vec<u8>> {
    let file = storage.open_read_only(path)?;
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; READ_BYTES]);
    loop {
        let read = file.read_at(&mut chunk, bytes.len() as u64)?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}

fn remove_if_there<S: Storage>(storage: &S, path: &Path) -> io::Result<()> {
    match storage.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageFault {
    let path = path.to_owned();
    move |cause| StorageFault { action, path, cause: Arc::new(cause) }
}
