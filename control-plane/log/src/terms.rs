//! The log's identities: one for each time it was opened, and the offset from which on it was known by it.
//!
//! A place in the log is told with the identity of its time. Whatever is lost of a log, to a damaged disk or because it
//! was restored from an older copy, is lost between two openings; so an older identity tells where the place is
//! now, and nobody passes over a new frame that took the offset of a lost one.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use towpath_record::{LogId, LogOffset, RegionName};
use towpath_segment::private;

use crate::error::LogError;

const FILE: &str = "log.json";
/// Identities that are remembered. Who comes with an older one is offered the whole log again.
const MAX_TERMS: usize = 1_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    region: RegionName,
    /// Oldest first.
    terms: Vec<Term>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    log: LogId,
    /// The first offset that was given in it.
    from: LogOffset,
}

impl Terms {
    /// Reads the identities of the log in `dir`; none when it is new.
    pub(crate) fn read(dir: &Path, region: &RegionName) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let damaged = |reason| LogError::Damaged { path: path.clone(), reason };
        let found: Self = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { region: region.clone(), terms: Vec::new() });
            }
            Err(source) => return Err(LogError::Io { path, doing: "read it", source }),
        };
        if found.region != *region {
            return Err(damaged(format!("it belongs to region {}, not {region}", found.region)));
        }
        Ok(found)
    }

    /// Takes a new identity, from this offset on, durably.
    pub(crate) fn begin(&mut self, dir: &Path, from: LogOffset) -> Result<(), LogError> {
        self.terms.push(Term { log: LogId::from(uuid::Uuid::now_v7()), from });
        let too_many = self.terms.len().saturating_sub(MAX_TERMS);
        self.terms.drain(..too_many);
        let path = dir.join(FILE);
        let bytes = serde_json::to_vec(self).expect("identities are always JSON");
        private::replace_file(&path, &bytes).map_err(|source| LogError::Io {
            path,
            doing: "write it",
            source,
        })
    }

    /// The identity of now.
    pub(crate) fn id(&self) -> LogId {
        self.terms.last().expect("opening begins a term").log
    }

    /// Where somebody stands now who stood at this offset when the log was known as `id`.
    pub(crate) fn place_of(&self, id: LogId, offset: LogOffset) -> Option<LogOffset> {
        let term = self.terms.iter().position(|term| term.log == id)?;
        let end = self.terms.get(term + 1).map(|next| LogOffset(next.from.0 - 1));
        Some(end.map_or(offset, |end| offset.min(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path, from: u64) -> Terms {
        let mut terms = Terms::read(dir, &RegionName::main()).unwrap();
        terms.begin(dir, LogOffset(from)).unwrap();
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
    fn the_newest_identities_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path(), 1).id();
        let mut terms = Terms::read(dir.path(), &RegionName::main()).unwrap();
        for from in 0..MAX_TERMS as u64 {
            terms.terms.push(Term { log: LogId::from(uuid::Uuid::now_v7()), from: LogOffset(from + 2) });
        }
        terms.begin(dir.path(), LogOffset(5_000)).unwrap();
        let terms = opened(dir.path(), 5_001);
        assert_eq!(terms.terms.len(), MAX_TERMS);
        assert_eq!(terms.place_of(first, LogOffset(1)), None);
    }
}
