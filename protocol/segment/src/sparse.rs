//! The sparse index of a segment: where about each 64 KiB a record begins. Kept in memory while the segment
//! grows, in a sidecar file once it is sealed. A sidecar is only a shortcut: it carries checksums, is not synced,
//! and is made again from the segment whenever it is missing or does not match.
//!
//! ```text
//! magic "TOWPIDX\n" | version u32 | crc u32 | first u64 | next u64 | created_us u64 | segment bytes u64
//!   | records u64 | entries u32 | entries' crc u32                                        64 bytes
//! entries: index u64, offset u64 …                                                        16 bytes each
//! ```

use std::io::{self, IoSlice};
use std::path::Path;

use crate::layout::{FileKind, SEGMENT_HEADER_BYTES, VERSION, u32_at, u64_at};
use crate::storage::{Storage, StorageFile};

/// Distance of entries, in bytes of the segment.
const SPACING_BYTES: u64 = 64 << 10;

const MAGIC: [u8; 8] = *b"TOWPIDX\n";
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;

/// Where some records begin, in ascending order.
#[derive(Debug, Clone, Default)]
pub(crate) struct SparseIndex(Vec<(u64, u64)>);

impl SparseIndex {
    /// Notes a record, if the last noted one is far enough back.
    pub(crate) fn note(&mut self, index: u64, offset: u64) {
        let last = self.0.last().map_or(SEGMENT_HEADER_BYTES, |&(_, offset)| offset);
        if offset - last >= SPACING_BYTES {
            self.0.push((index, offset));
        }
    }

    /// Forgets what stands at this offset or behind it.
    pub(crate) fn cut(&mut self, offset: u64) {
        self.0.truncate(self.0.partition_point(|&(_, at)| at < offset));
    }

    /// The offset of a record at or before the one with this index.
    pub(crate) fn locate(&self, index: u64) -> u64 {
        match self.0.partition_point(|&(at, _)| at <= index) {
            0 => SEGMENT_HEADER_BYTES,
            after => self.0[after - 1].1,
        }
    }
}

/// What is known of a segment that no longer grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) first: u64,
    /// The index after its last record.
    pub(crate) next: u64,
    pub(crate) created_us: u64,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// How many records it holds: fewer than `next - first` when some were lost.
    pub(crate) records: u64,
}

/// The sidecar's bytes.
fn encode(sealed: &Sealed, sparse: &SparseIndex) -> Vec<u8> {
    let mut entries = Vec::with_capacity(sparse.0.len() * ENTRY_BYTES);
    for (index, offset) in &sparse.0 {
        entries.extend_from_slice(&index.to_le_bytes());
        entries.extend_from_slice(&offset.to_le_bytes());
    }
    let count =
        u32::try_from(sparse.0.len()).expect("a segment of at most 4 GiB has few entries 64 KiB apart");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for field in [sealed.first, sealed.next, sealed.created_us, sealed.bytes, sealed.records] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&entries).to_le_bytes());
    let crc = header_crc(&bytes);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&entries);
    bytes
}

/// Writes the sidecar of a sealed segment.
pub(crate) fn write<S: Storage>(
    storage: &S,
    dir: &Path,
    sealed: &Sealed,
    sparse: &SparseIndex,
) -> io::Result<()> {
    let bytes = encode(sealed, sparse);
    let path = FileKind::Sidecar.path(dir, sealed.first);
    match storage.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = storage.create(&path).and_then(|file| file.write_at(&mut [IoSlice::new(&bytes)], 0));
    if written.is_err() {
        // Half a sidecar is of no use and is made again when it is missed.
        let _ = storage.remove(&path);
    }
    written
}

/// The first byte of the sidecar that is not as this segment asks for. `None` also where there is no sidecar.
pub(crate) fn find_damage<S: Storage>(
    storage: &S,
    dir: &Path,
    sealed: &Sealed,
    sparse: &SparseIndex,
) -> io::Result<Option<u64>> {
    let file = match storage.open_read_only(&FileKind::Sidecar.path(dir, sealed.first)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let expected = encode(sealed, sparse);
    // One more byte than is expected, so that a longer file is found out too.
    let mut bytes = vec![0; expected.len() + 1];
    let read = file.read_at(&mut bytes, 0)?;
    let same = expected.iter().zip(&bytes[..read]).take_while(|(wanted, found)| wanted == found).count();
    Ok((same < expected.len() || read > expected.len()).then_some(same as u64))
}

/// What the sidecar says of the segment, or `None` if there is none to be trusted.
pub(crate) fn read_summary<S: Storage>(storage: &S, dir: &Path, first: u64) -> Option<Sealed> {
    let (_, header) = read_header(storage, dir, first)?;
    Some(summary(&header))
}

/// The sparse index in the sidecar, or an empty one if there is none to be trusted: then a search begins at the
/// segment's start.
pub(crate) fn read_entries<S: Storage>(storage: &S, dir: &Path, sealed: &Sealed) -> SparseIndex {
    let entries = || {
        let (file, header) = read_header(storage, dir, sealed.first)?;
        if summary(&header) != *sealed {
            return None;
        }
        let count = u32_at(&header, 56) as usize;
        if count as u64 > sealed.bytes / SPACING_BYTES {
            return None;
        }
        let mut bytes = vec![0; count * ENTRY_BYTES];
        let read = file.read_at(&mut bytes, HEADER_BYTES as u64).ok()?;
        if read < bytes.len() || crc32c::crc32c(&bytes) != u32_at(&header, 60) {
            return None;
        }
        Some(bytes.chunks_exact(ENTRY_BYTES).map(|entry| (u64_at(entry, 0), u64_at(entry, 8))).collect())
    };
    SparseIndex(entries().unwrap_or_default())
}

fn read_header<S: Storage>(storage: &S, dir: &Path, first: u64) -> Option<(S::File, [u8; HEADER_BYTES])> {
    let file = storage.open_read_only(&FileKind::Sidecar.path(dir, first)).ok()?;
    let mut header = [0; HEADER_BYTES];
    let read = file.read_at(&mut header, 0).ok()?;
    let sound = read == HEADER_BYTES
        && header[..8] == MAGIC
        && u32_at(&header, 12) == header_crc(&header)
        && u32_at(&header, 8) == VERSION
        && u64_at(&header, 16) == first;
    sound.then_some((file, header))
}

fn summary(header: &[u8; HEADER_BYTES]) -> Sealed {
    Sealed {
        first: u64_at(header, 16),
        next: u64_at(header, 24),
        created_us: u64_at(header, 32),
        bytes: u64_at(header, 40),
        records: u64_at(header, 48),
    }
}

fn header_crc(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..HEADER_BYTES])
}
