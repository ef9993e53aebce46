//! Puts a damaged segment aside and keeps what is intact of it.
//!
//! The order of steps makes a crash between any two of them harmless: the copy is durable before the damaged file
//! gives up its name, and [`finish_interrupted`] completes or forgets a copy that was left behind.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use crate::error::{Blame, StorageFault};
use crate::layout::{FileKind, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::scan::Scan;
use crate::storage::{Storage, StorageFile};

const COPY_BYTES: usize = 1 << 20;

/// A damaged segment that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The damaged file, under its new name.
    pub file: PathBuf,
    /// The text file that says why.
    pub reason_file: PathBuf,
    /// What that file says.
    pub reason: String,
    /// How many of its records were intact and kept.
    pub kept_records: u64,
}

/// Copies the intact records of a segment into a fresh one of the same name and puts the damaged one aside.
pub(crate) fn put_aside<S: Storage>(
    storage: &S,
    dir: &Path,
    header: SegmentHeader,
    damaged: &S::File,
    scan: &Scan,
    reason: String,
) -> Result<Quarantined, StorageFault> {
    let path = |kind: FileKind| kind.path(dir, header.first);
    let salvage = path(FileKind::Salvage);
    let copied = copy_intact(storage, &salvage, header, damaged, scan)
        .and_then(|()| write_reason(storage, &path(FileKind::Reason), &reason))
        .and_then(|()| storage.sync_dir(dir));
    if copied.is_err() {
        // The damaged segment still has its name; half a copy is of no use.
        let _ = storage.remove(&salvage);
    }
    copied.blame("copy the intact records of a damaged segment to", &salvage)?;

    let quarantined = Quarantined {
        file: path(FileKind::Quarantined),
        reason_file: path(FileKind::Reason),
        reason,
        kept_records: scan.records,
    };
    swap(storage, dir, header.first)?;
    tracing::warn!(
        file = %quarantined.file.display(),
        reason = quarantined.reason,
        kept_records = quarantined.kept_records,
        "a damaged segment was put aside"
    );
    Ok(quarantined)
}

/// Completes, or forgets, what [`put_aside`] was doing for this segment when the process ended.
pub(crate) fn finish_interrupted<S: Storage>(
    storage: &S,
    dir: &Path,
    first: u64,
    segment_exists: bool,
) -> Result<(), StorageFault> {
    let salvage = FileKind::Salvage.path(dir, first);
    if segment_exists {
        storage.remove(&salvage).blame("remove", &salvage)?;
        return storage.sync_dir(dir).blame("sync", dir);
    }
    let segment = FileKind::Segment.path(dir, first);
    storage.rename(&salvage, &segment).blame("rename", &salvage)?;
    storage.sync_dir(dir).blame("sync", dir)
}

fn copy_intact<S: Storage>(
    storage: &S,
    to: &Path,
    header: SegmentHeader,
    from: &S::File,
    scan: &Scan,
) -> io::Result<()> {
    remove_if_there(storage, to)?;
    let file = storage.create(to)?;
    file.write_at(&mut [IoSlice::new(&header.encode())], 0)?;
    let mut written = SEGMENT_HEADER_BYTES;
    let mut at = SEGMENT_HEADER_BYTES;
    let mut buffer = vec![0; COPY_BYTES];
    let damage = scan.damage.iter().map(|d| (d.offset, d.end));
    for (stop, resume) in damage.chain([(scan.end, scan.end)]) {
        while at < stop {
            let wanted = (stop - at).min(COPY_BYTES as u64) as usize;
            let read = from.read_at(&mut buffer[..wanted], at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_at(&mut [IoSlice::new(&buffer[..read])], written)?;
            at += read as u64;
            written += read as u64;
        }
        at = resume;
    }
    file.sync()
}

fn write_reason<S: Storage>(storage: &S, path: &Path, reason: &str) -> io::Result<()> {
    remove_if_there(storage, path)?;
    let file = storage.create(path)?;
    file.write_at(&mut [IoSlice::new(reason.as_bytes()), IoSlice::new(b"\n")], 0)?;
    file.sync()
}

fn swap<S: Storage>(storage: &S, dir: &Path, first: u64) -> Result<(), StorageFault> {
    let segment = FileKind::Segment.path(dir, first);
    let sidecar = FileKind::Sidecar.path(dir, first);
    // The sidecar speaks of the damaged file. It would be found out by its size, but need not be.
    remove_if_there(storage, &sidecar).blame("remove", &sidecar)?;
    storage.rename(&segment, &FileKind::Quarantined.path(dir, first)).blame("put aside", &segment)?;
    storage.sync_dir(dir).blame("sync", dir)?;
    storage.rename(&FileKind::Salvage.path(dir, first), &segment).blame("replace", &segment)?;
    storage.sync_dir(dir).blame("sync", dir)
}

pub(crate) fn remove_if_there<S: Storage>(storage: &S, path: &Path) -> io::Result<()> {
    match storage.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
