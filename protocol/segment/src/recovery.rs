//! Brings a directory of segments into a state that can be appended to, and reports what it found.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use crate::cursor::Cursor;
use crate::error::{Blame, LostRange, OpenError, StorageFault};
use crate::layout::{FileKind, HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::Config;
use crate::quarantine::{self, Quarantined};
use crate::scan::{Damage, Scan, scan};
use crate::sparse::{self, Sealed};
use crate::storage::{Storage, StorageFile};

const REWRITE_BYTES: usize = 1 << 20;

const PUT_ASIDE: &str =
    "they were damaged and put aside, see the files ending in `.quarantined` and `.reason`";

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The torn end of the last segment that was cut off. None of it was ever acknowledged, as far as the log's own
    /// evidence goes.
    pub cut: Option<Cut>,
    /// Records that were acknowledged once and are gone, oldest first. Listed at every opening until they are trimmed.
    pub lost: Vec<LostRange>,
    /// Segments that were put aside by this opening.
    pub quarantined: Vec<Quarantined>,
}

impl Recovery {
    /// Whether nothing was cut, lost or put aside.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// The torn end of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// What was wrong at that place.
    pub reason: String,
}

/// A directory that can be appended to.
pub(crate) struct Recovered<F> {
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: F,
    pub(crate) active_header: SegmentHeader,
    pub(crate) active_scan: Scan,
    pub(crate) report: Recovery,
}

pub(crate) fn recover<S: Storage>(
    storage: &S,
    dir: &Path,
    config: &Config,
) -> Result<Recovered<S::File>, OpenError> {
    let mut firsts = settle_names(storage, dir)?;
    let mut report = Recovery::default();
    let mut floor = 0;
    if let Some(&last) = firsts.last()
        && remove_unborn(storage, dir, last)?
    {
        // Its birth began after everything before it was durable.
        floor = last;
        firsts.pop();
    }
    let Some(last) = firsts.pop() else {
        let first = floor.max(config.first_index);
        let (active, active_header) = create_segment(storage, dir, first)?;
        let active_scan = Scan { next: first, end: SEGMENT_HEADER_BYTES, ..Scan::default() };
        return Ok(Recovered { sealed: VecDeque::new(), active, active_header, active_scan, report });
    };
    let mut sealed = VecDeque::new();
    for (at, &first) in firsts.iter().enumerate() {
        let following = firsts.get(at + 1).copied().unwrap_or(last);
        sealed.push_back(recover_sealed(storage, dir, first, following, &mut report)?);
    }
    let (active, active_header, active_scan) = recover_last(storage, dir, last, floor, &mut report)?;
    make_durable(&active, &active_scan).blame("sync", &FileKind::Segment.path(dir, last))?;
    Ok(Recovered { sealed, active, active_header, active_scan, report })
}

/// Creates a segment whose header and name are durable.
pub(crate) fn create_segment<S: Storage>(
    storage: &S,
    dir: &Path,
    first: u64,
) -> Result<(S::File, SegmentHeader), StorageFault> {
    let path = FileKind::Segment.path(dir, first);
    let header = SegmentHeader { first, created_us: storage.now_us() };
    let file = storage.create(&path).blame("create", &path)?;
    file.write_at(&mut [IoSlice::new(&header.encode())], 0).blame("write to", &path)?;
    file.sync().blame("sync", &path)?;
    storage.sync_dir(dir).blame("sync", dir)?;
    Ok((file, header))
}

/// Finishes interrupted quarantines, removes orphans, and lists the segments in order.
fn settle_names<S: Storage>(storage: &S, dir: &Path) -> Result<Vec<u64>, StorageFault> {
    let mut kinds: BTreeMap<u64, Vec<FileKind>> = BTreeMap::new();
    for (first, kind) in storage.list(dir).blame("list", dir)?.iter().filter_map(|name| FileKind::parse(name))
    {
        kinds.entry(first).or_default().push(kind);
    }
    let mut firsts = Vec::new();
    for (first, kinds) in kinds {
        let segment_exists = kinds.contains(&FileKind::Segment);
        let interrupted = kinds.contains(&FileKind::Salvage);
        if interrupted {
            quarantine::finish_interrupted(storage, dir, first, segment_exists)?;
        }
        if segment_exists || interrupted {
            firsts.push(first);
        } else if kinds.contains(&FileKind::Sidecar) {
            let orphan = FileKind::Sidecar.path(dir, first);
            storage.remove(&orphan).blame("remove", &orphan)?;
        }
    }
    Ok(firsts)
}

/// Removes the last segment if its header was still being written: it cannot hold a record yet.
fn remove_unborn<S: Storage>(storage: &S, dir: &Path, first: u64) -> Result<bool, StorageFault> {
    let path = FileKind::Segment.path(dir, first);
    let file = storage.open(&path).blame("open", &path)?;
    if file.size().blame("read", &path)? > SEGMENT_HEADER_BYTES {
        return Ok(false);
    }
    if !matches!(read_header(&file).blame("read", &path)?, Err(HeaderFault::Damaged)) {
        return Ok(false);
    }
    storage.remove(&path).blame("remove", &path)?;
    storage.sync_dir(dir).blame("sync", dir)?;
    Ok(true)
}

fn read_header<F: StorageFile>(file: &F) -> io::Result<Result<SegmentHeader, HeaderFault>> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    let read = file.read_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes[..read]))
}

/// A segment file that was opened and whose header was looked at.
struct Opened<F> {
    path: PathBuf,
    file: F,
    header: SegmentHeader,
    header_fault: Option<&'static str>,
    size: u64,
}

fn open_segment<S: Storage>(storage: &S, dir: &Path, first: u64) -> Result<Opened<S::File>, OpenError> {
    let path = FileKind::Segment.path(dir, first);
    let file = storage.open(&path).blame("open", &path)?;
    let size = file.size().blame("read", &path)?;
    let (header, header_fault) = match read_header(&file).blame("read", &path)? {
        Ok(header) if header.first == first => (header, None),
        Err(HeaderFault::Version(found)) => return Err(OpenError::Version { file: path, found }),
        // The age is unknown. Taking it for new keeps its records longer, never shorter, than retention says.
        Ok(_) => (
            SegmentHeader { first, created_us: storage.now_us() },
            Some("its header belongs to another segment"),
        ),
        Err(HeaderFault::Damaged) => {
            (SegmentHeader { first, created_us: storage.now_us() }, Some("its header is damaged"))
        }
    };
    Ok(Opened { path, file, header, header_fault, size })
}

fn recover_sealed<S: Storage>(
    storage: &S,
    dir: &Path,
    first: u64,
    following: u64,
    report: &mut Recovery,
) -> Result<Sealed, OpenError> {
    let opened = open_segment(storage, dir, first)?;
    if opened.header_fault.is_none()
        && let Some(sealed) = sparse::read_summary(storage, dir, first)
        && (sealed.bytes, sealed.created_us) == (opened.size, opened.header.created_us)
        && sealed.next == following
        && sealed.records == following - first
    {
        return Ok(sealed);
    }
    let found = scan_file(&opened)?;
    list_lost(&opened, &found, following, report);
    let (opened, found) = replace_damaged(storage, dir, opened, found, report)?;
    let sealed = Sealed {
        first,
        next: found.next.min(following),
        created_us: opened.header.created_us,
        bytes: opened.size,
        records: found.records,
    };
    if let Err(error) = sparse::write(storage, dir, &sealed, &found.sparse) {
        // Only a shortcut is missing: the next opening scans the segment again.
        tracing::debug!(%error, segment = %opened.path.display(), "no sidecar was written");
    }
    Ok(sealed)
}

fn recover_last<S: Storage>(
    storage: &S,
    dir: &Path,
    first: u64,
    floor: u64,
    report: &mut Recovery,
) -> Result<(S::File, SegmentHeader, Scan), OpenError> {
    let mut opened = open_segment(storage, dir, first)?;
    let mut found = scan_file(&opened)?;
    let proven = found.proven.max(floor);
    let torn = found.damage.iter().find(|damage| damage.from >= proven).copied();
    if let Some(torn) = torn {
        cut(&opened, &torn).blame("cut the torn end of", &opened.path)?;
        report.cut = Some(Cut {
            file: opened.path.clone(),
            offset: torn.offset,
            bytes: opened.size - torn.offset,
            reason: torn.reason.to_owned(),
        });
        opened.size = torn.offset;
        found = scan_file(&opened)?;
    }
    list_lost(&opened, &found, proven, report);
    let (opened, mut found) = replace_damaged(storage, dir, opened, found, report)?;
    // Numbers that were acknowledged are never given to other records.
    found.next = found.next.max(floor);
    found.end = opened.size;
    Ok((opened.file, opened.header, found))
}

fn scan_file<F: StorageFile>(opened: &Opened<F>) -> Result<Scan, StorageFault> {
    let mut cursor = Cursor::new(&opened.file);
    scan(&mut cursor, opened.header.first, opened.size, |_, _, _| Ok(())).blame("read", &opened.path)
}

fn cut<F: StorageFile>(opened: &Opened<F>, torn: &Damage) -> io::Result<()> {
    opened.file.truncate(torn.offset)?;
    opened.file.sync()
}

/// Adds what is missing from this segment, of which every index below `limit` was durable once.
fn list_lost<F>(opened: &Opened<F>, found: &Scan, limit: u64, report: &mut Recovery) {
    let path = &opened.path;
    let mut lost: Vec<LostRange> = Vec::new();
    let mut push = |from: u64, to: u64, offset: Option<u64>, reason: &str| {
        if from < to {
            lost.push(LostRange { from, to, file: path.clone(), offset, reason: reason.to_owned() });
        }
    };
    for damage in &found.damage {
        push(damage.from, damage.to.unwrap_or(limit), Some(damage.offset), damage.reason);
    }
    for &(from, to) in &found.holes {
        push(from, to, None, PUT_ASIDE);
    }
    if found.damage.last().is_none_or(|damage| damage.to.is_some()) {
        push(found.next, limit, Some(found.end), "the segment ends early");
    }
    lost.sort_by_key(|range| range.from);
    report.lost.extend(lost);
}

/// Puts a damaged segment aside and goes on with a copy of its intact records. Where the disk has no room for the
/// copy the damaged file stays: readers step over the damage just as well.
fn replace_damaged<S: Storage>(
    storage: &S,
    dir: &Path,
    opened: Opened<S::File>,
    found: Scan,
    report: &mut Recovery,
) -> Result<(Opened<S::File>, Scan), OpenError> {
    let Some(reason) = describe(&opened, &found) else { return Ok((opened, found)) };
    match quarantine::put_aside(storage, dir, opened.header, &opened.file, &found, reason) {
        Ok(quarantined) => report.quarantined.push(quarantined),
        Err(fault) if fault.is_no_space() && opened.header_fault.is_none() => {
            tracing::warn!(segment = %opened.path.display(), "a damaged segment stays in place: no space for a copy");
            return Ok((opened, found));
        }
        Err(fault) => return Err(fault.into()),
    }
    let opened = open_segment(storage, dir, opened.header.first)?;
    let found = scan_file(&opened)?;
    Ok((opened, found))
}

fn describe<F>(opened: &Opened<F>, found: &Scan) -> Option<String> {
    let of_header = opened.header_fault.map(str::to_owned);
    let of_records = found.damage.iter().map(|d| {
        let upto = d.to.map_or_else(|| "on".to_owned(), |to| format!("to {}", to - 1));
        format!("records {} {upto}, bytes {} to {}: {}", d.from, d.offset, d.end, d.reason)
    });
    let all: Vec<String> = of_header.into_iter().chain(of_records).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// Makes what was found durable. Records that no later one proves to have been durable are written once more, since
/// after a failed sync the system may show bytes that the disk never got, and a second sync would not send them.
fn make_durable<F: StorageFile>(file: &F, found: &Scan) -> io::Result<()> {
    let mut buffer = vec![0; REWRITE_BYTES];
    let mut at = found.sparse.locate(found.proven);
    while at < found.end {
        let wanted = (found.end - at).min(REWRITE_BYTES as u64) as usize;
        let read = file.read_at(&mut buffer[..wanted], at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&mut [IoSlice::new(&buffer[..read])], at)?;
        at += read as u64;
    }
    file.sync()
}
