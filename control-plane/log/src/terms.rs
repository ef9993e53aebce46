//! The log's identities: one for each time it was opened, and the offset from which on it was known by it.
//!
//! A place in the log is told with the identity of its time. Whatever is lost of a log, to a damaged disk or because it
//! was restored from an older copy, is lost between two openings; so an older identity tells where the place is
//! now, and nobody passes over a new frame that took the offset of a lost one.
//!
//! `log.json` says whose log this is. `terms` is a ring of 1,024 slots of 64 bytes, little-endian:
//!
//! ```text
//!   0  u64       which opening this was, from 1 on; a slot that was never used is all zeros
//!   8  u64       the first offset that was given in it
//!  16  [u8; 16]  the identity
//!  32  u32       CRC32C of the 32 bytes before
//! ```
//!
//! A new identity overwrites the oldest in place, so a log whose disk is full can be opened. One that was torn while it
//! was written was never told to anybody, and is left out.

use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use towpath_record::{LogId, LogOffset, RegionName};
use towpath_segment::private;

use crate::error::LogError;

const OWNER_FILE: &str = "log.json";
const RING_FILE: &str = "terms";
/// Identities that are remembered. Who comes with an older one is offered the whole log again.
const SLOTS: usize = 1_024;
const SLOT_BYTES: usize = 64;
const CHECKED_BYTES: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    region: RegionName,
}

#[derive(Debug)]
pub(crate) struct Terms {
    ring: PathBuf,
    /// Oldest first.
    terms: Vec<Term>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Term {
    /// Which opening it began with.
    opening: u64,
    /// The first offset that was given in it.
    from: LogOffset,
    log: LogId,
}

impl Terms {
    /// Reads the identities of the log in `dir`; none when it is new, which then belongs to the region.
    pub(crate) fn read(dir: &Path, region: &RegionName) -> Result<Self, LogError> {
        claim(&dir.join(OWNER_FILE), region)?;
        let ring = dir.join(RING_FILE);
        let bytes = match fs::read(&ring) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(LogError::Io { path: ring, doing: "read it", source }),
        };
        let mut terms: Vec<Term> =
            bytes.chunks_exact(SLOT_BYTES).take(SLOTS).filter_map(Term::decode).collect();
        terms.sort_unstable_by_key(|term| term.opening);
        if bytes.len() < SLOTS * SLOT_BYTES {
            write_ring(&ring, &terms).map_err(|source| LogError::Io {
                path: ring.clone(),
                doing: "make it",
                source,
            })?;
        }
        Ok(Self { ring, terms })
    }

    /// Takes a new identity, from this offset on, durably.
    pub(crate) fn begin(&mut self, from: LogOffset) -> Result<(), LogError> {
        let opening = self.terms.last().map_or(0, |term| term.opening) + 1;
        let term = Term { opening, from, log: LogId::from(uuid::Uuid::now_v7()) };
        self.store(term).map_err(|source| LogError::Io {
            path: self.ring.clone(),
            doing: "write it",
            source,
        })?;
        self.terms.push(term);
        self.terms.retain(|term| term.opening + SLOTS as u64 > opening);
        Ok(())
    }

    fn store(&self, term: Term) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.ring)?;
        file.seek(SeekFrom::Start(term.slot() * SLOT_BYTES as u64))?;
        file.write_all(&term.encode())?;
        file.sync_data()
    }

    /// The identity of now.
    pub(crate) fn id(&self) -> LogId {
        self.terms.last().expect("opening begins a term").log
    }

    /// Where somebody stands now who stood at this offset when the log was known as `id`.
    pub(crate) fn place_of(&self, id: LogId, offset: LogOffset) -> Option<LogOffset> {
        let term = self.terms.iter().position(|term| term.log == id)?;
        let later = self.terms[term + 1..].iter().map(|next| LogOffset(next.from.0 - 1));
        Some(later.fold(offset, LogOffset::min))
    }
}

impl Term {
    fn slot(&self) -> u64 {
        self.opening % SLOTS as u64
    }

    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(&self.opening.to_le_bytes());
        slot[8..16].copy_from_slice(&self.from.0.to_le_bytes());
        slot[16..CHECKED_BYTES].copy_from_slice(self.log.as_bytes());
        let crc = crc32c::crc32c(&slot[..CHECKED_BYTES]);
        slot[CHECKED_BYTES..CHECKED_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    /// None for a slot that was never used, or was torn.
    fn decode(slot: &[u8]) -> Option<Self> {
        let (checked, rest) = slot.split_at_checked(CHECKED_BYTES)?;
        let number = |at: usize| Some(u64::from_le_bytes(checked.get(at..at + 8)?.try_into().ok()?));
        let opening = number(0).filter(|opening| *opening > 0)?;
        let intact = rest.get(..4)? == crc32c::crc32c(checked).to_le_bytes();
        let log = LogId::from_bytes(checked.get(16..)?.try_into().ok()?);
        Some(Self { opening, from: LogOffset(number(8)?), log }).filter(|_| intact)
    }
}

/// Makes the log this region's, or finds that it is already.
fn claim(path: &Path, region: &RegionName) -> Result<(), LogError> {
    let path = || path.to_owned();
    let damaged = |reason| LogError::Damaged { path: path(), reason };
    match fs::read(path()) {
        Ok(bytes) => {
            let owner: Owner = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
            let ours = owner.region == *region;
            if ours {
                Ok(())
            } else {
                Err(damaged(format!("it belongs to region {}, not {region}", owner.region)))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let owner = serde_json::to_vec(&Owner { region: region.clone() }).expect("a name is always JSON");
            private::replace_file(&path(), &owner).map_err(|source| LogError::Io {
                path: path(),
                doing: "write it",
                source,
            })
        }
        Err(source) => Err(LogError::Io { path: path(), doing: "read it", source }),
    }
}

fn write_ring(path: &Path, terms: &[Term]) -> io::Result<()> {
    let mut ring = vec![0; SLOTS * SLOT_BYTES];
    for term in terms {
        let at = term.slot() as usize * SLOT_BYTES;
        ring[at..at + SLOT_BYTES].copy_from_slice(&term.encode());
    }
    private::replace_file(path, &ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path, from: u64) -> Terms {
        let mut terms = Terms::read(dir, &RegionName::main()).unwrap();
        terms.begin(LogOffset(from)).unwrap();
        terms
    }

    #[test]
    fn a_place_is_told_by_the_identity_of_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path(), 1).id();
        // It came to offset 9, and all from 6 on was lost.
        let second = opened(dir.path(), 6).id();
        let now = opened(dir.path(), 20);
        assert_eq!(now.place_of(first, LogOffset(9)), Some(LogOffset(5)));
        assert_eq!(now.place_of(first, LogOffset(3)), Some(LogOffset(3)));
        assert_eq!(now.place_of(second, LogOffset(9)), Some(LogOffset(9)));
        assert_eq!(now.place_of(now.id(), LogOffset(25)), Some(LogOffset(25)));
        assert_eq!(now.place_of(LogId::from_bytes([1; 16]), LogOffset(3)), None);
    }

    #[test]
    fn what_was_lost_twice_sets_a_place_back_twice() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path(), 1).id();
        opened(dir.path(), 6);
        // A restored copy of the log had no more than two frames.
        let now = opened(dir.path(), 3);
        assert_eq!(now.place_of(first, LogOffset(9)), Some(LogOffset(2)));
    }

    #[test]
    fn the_newest_identities_are_remembered_in_a_file_that_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path(), 1).id();
        let size = || fs::metadata(dir.path().join(RING_FILE)).unwrap().len();
        let before = size();
        let mut terms = Terms::read(dir.path(), &RegionName::main()).unwrap();
        let ids: Vec<LogId> = (0..SLOTS as u64)
            .map(|opening| {
                terms.begin(LogOffset(opening + 2)).unwrap();
                terms.id()
            })
            .collect();
        let terms = Terms::read(dir.path(), &RegionName::main()).unwrap();
        assert_eq!((terms.terms.len(), terms.id(), size()), (SLOTS, *ids.last().unwrap(), before));
        assert_eq!(terms.place_of(first, LogOffset(1)), None);
        assert_eq!(terms.place_of(ids[0], LogOffset(1)), Some(LogOffset(1)));
    }

    #[test]
    fn an_identity_that_was_torn_or_cut_off_is_left_out_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path(), 1).id();
        let second = opened(dir.path(), 4).id();
        let ring = dir.path().join(RING_FILE);
        let mut bytes = fs::read(&ring).unwrap();
        bytes[2 * SLOT_BYTES + 20] ^= 1;
        fs::write(&ring, &bytes[..3 * SLOT_BYTES + 7]).unwrap();
        let now = opened(dir.path(), 9);
        assert_eq!(now.place_of(second, LogOffset(4)), None);
        assert_eq!(now.place_of(first, LogOffset(3)), Some(LogOffset(3)));
        assert_eq!(fs::metadata(&ring).unwrap().len(), (SLOTS * SLOT_BYTES) as u64);
    }

    #[test]
    fn a_log_of_another_region_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        opened(dir.path(), 1);
        let other: RegionName = "eu".parse().unwrap();
        assert!(matches!(Terms::read(dir.path(), &other), Err(LogError::Damaged { .. })));
    }
}
