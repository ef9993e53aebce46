//! Looks at a log without owning or changing it: for `check` commands, also beside a running owner.

use std::path::{Path, PathBuf};

use crate::cursor::Cursor;
use crate::error::{Blame, LostRange, StorageFault};
use crate::layout::{FileKind, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::recovery::Cut;
use crate::scan::{Scan, scan};
use crate::sparse::{self, Sealed};
use crate::storage::{Storage, StorageFile};

/// What was found in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// How many segments there are.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Intact records.
    pub records: u64,
    /// What is missing or damaged.
    pub lost: Vec<LostRange>,
    /// Segments whose header is damaged.
    pub damaged_headers: Vec<PathBuf>,
    /// Sparse indexes that do not fit their segment, and the first byte that does not. They cost time, not records: the
    /// next opening makes them anew.
    pub damaged_sidecars: Vec<(PathBuf, u64)>,
    /// The unfinished end of the last segment: a write in progress, or one that a crash cut short.
    pub unfinished: Option<Cut>,
    /// Segments that earlier openings put aside.
    pub quarantined: Vec<PathBuf>,
}

impl Inspection {
    /// Whether every record that was ever acknowledged can be read.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && self.damaged_headers.is_empty()
    }
}

/// An intact record that an inspection came by.
#[derive(Debug, Clone)]
pub struct Inspected<'a> {
    /// Its number in the log.
    pub index: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The segment it stands in.
    pub file: &'a Path,
    /// Where its header begins there.
    pub offset: u64,
}

/// Reads every record of the log in `dir` and shows each intact one to `visit`, in the order of the files.
///
/// # Errors
/// The file system refuses.
pub fn inspect<S: Storage>(
    storage: &S,
    dir: &Path,
    mut visit: impl FnMut(Inspected<'_>),
) -> Result<Inspection, StorageFault> {
    let mut found = Inspection::default();
    let mut firsts = Vec::new();
    for (first, kind) in storage.list(dir).blame("list", dir)?.iter().filter_map(|name| FileKind::parse(name))
    {
        match kind {
            FileKind::Segment => firsts.push(first),
            FileKind::Quarantined => found.quarantined.push(kind.path(dir, first)),
            _ => {}
        }
    }
    firsts.sort_unstable();
    found.quarantined.sort_unstable();
    for (at, &first) in firsts.iter().enumerate() {
        inspect_segment(storage, dir, first, firsts.get(at + 1).copied(), &mut found, &mut visit)?;
    }
    Ok(found)
}

fn inspect_segment<S: Storage>(
    storage: &S,
    dir: &Path,
    first: u64,
    following: Option<u64>,
    found: &mut Inspection,
    visit: &mut impl FnMut(Inspected<'_>),
) -> Result<(), StorageFault> {
    let path = FileKind::Segment.path(dir, first);
    let file = storage.open_read_only(&path).blame("open", &path)?;
    let size = file.size().blame("read", &path)?;
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    let read = file.read_at(&mut header, 0).blame("read", &path)?;
    let header = SegmentHeader::decode(&header[..read]).ok().filter(|header| header.first == first);
    if header.is_none() {
        found.damaged_headers.push(path.clone());
    }
    let shown = |cursor: &mut Cursor<S::File>, offset, _| {
        if let Ok((header, payload)) = cursor.read(offset, size)? {
            visit(Inspected { index: header.index, payload, file: &path, offset });
        }
        Ok(())
    };
    let scanned = scan(&mut Cursor::new(file), first, size, shown).blame("read", &path)?;
    found.segments += 1;
    found.bytes += size;
    found.records += scanned.records;
    let mut lose = |from: u64, to: u64, offset: Option<u64>, reason: &str| {
        if from < to {
            found.lost.push(LostRange { from, to, file: path.clone(), offset, reason: reason.to_owned() });
        }
    };
    for damage in &scanned.damage {
        if following.is_none() && damage.from >= scanned.proven {
            let (bytes, reason) = (size - damage.offset, damage.reason.to_owned());
            found.unfinished = Some(Cut { file: path.clone(), offset: damage.offset, bytes, reason });
            break;
        }
        let to = damage.to.or(following).unwrap_or(scanned.proven);
        lose(damage.from, to, Some(damage.offset), damage.reason);
    }
    for &(from, to) in &scanned.holes {
        lose(from, to, None, "they were damaged and put aside");
    }
    if let Some(following) = following
        && scanned.damage.last().is_none_or(|damage| damage.to.is_some())
    {
        lose(scanned.next, following, None, "the segment ends early");
    }
    if let (Some(following), Some(header)) = (following, header) {
        inspect_sidecar(storage, dir, (header, size), following, &scanned, found)?;
    }
    Ok(())
}

/// Only a sealed segment's sidecar is ever read.
fn inspect_sidecar<S: Storage>(
    storage: &S,
    dir: &Path,
    (header, bytes): (SegmentHeader, u64),
    following: u64,
    scanned: &Scan,
    found: &mut Inspection,
) -> Result<(), StorageFault> {
    let SegmentHeader { first, created_us } = header;
    let next = scanned.next.min(following);
    let sealed = Sealed { first, next, created_us, bytes, records: scanned.records };
    let path = FileKind::Sidecar.path(dir, first);
    let damage = sparse::find_damage(storage, dir, &sealed, &scanned.sparse).blame("read", &path)?;
    found.damaged_sidecars.extend(damage.map(|offset| (path, offset)));
    Ok(())
}
