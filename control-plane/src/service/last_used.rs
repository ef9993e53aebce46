//! When each key was last used. It serves to find keys that nobody uses, and is no part of the truth: it is noted to the
//! minute and kept in a file of its own, `last-used.json`, which may be lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use towpath_resource::KeyId;
use towpath_segment::private;

/// How exact it is, and how often it is written.
pub(super) const EXACT_TO: std::time::Duration = std::time::Duration::from_secs(60);

const FILE: &str = "last-used.json";

/// When each key was last used.
pub(super) struct LastUsed {
    path: PathBuf,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    at: BTreeMap<KeyId, Timestamp>,
    is_unwritten: bool,
}

impl LastUsed {
    /// What was noted in this directory.
    pub(super) fn open(dir: &std::path::Path) -> Self {
        let path = dir.join(FILE);
        let at = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "when keys were last used is not known any more");
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Self { path, noted: Mutex::new(Noted { at, is_unwritten: false }) }
    }

    /// Notes that a key is used now.
    pub(super) fn note(&self, key: KeyId, now: Timestamp) {
        let mut noted = self.noted.lock();
        let exact = SignedDuration::try_from(EXACT_TO).expect("a minute is a duration");
        if noted.at.get(&key).is_none_or(|last| now.duration_since(*last) >= exact) {
            noted.at.insert(key, now);
            noted.is_unwritten = true;
        }
    }

    /// When a key was last used.
    pub(super) fn of(&self, key: KeyId) -> Option<Timestamp> {
        self.noted.lock().at.get(&key).copied()
    }

    /// Writes what is new, of the keys that there still are. Blocks.
    pub(super) fn write(&self, is_there: impl Fn(KeyId) -> bool) {
        let text = {
            let mut noted = self.noted.lock();
            if !std::mem::take(&mut noted.is_unwritten) {
                return;
            }
            noted.at.retain(|key, _| is_there(*key));
            serde_json::to_vec(&noted.at).expect("times by key are JSON")
        };
        if let Err(error) = private::replace_file(&self.path, &text) {
            tracing::warn!(path = %self.path.display(), %error, "when keys were last used cannot be written; trying again");
            self.noted.lock().is_unwritten = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_last_use_is_known_to_the_minute_and_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyId::from(Uuid::from_u128(1));
        let used = LastUsed::open(dir.path());
        used.note(key, at(1_000));
        used.note(key, at(1_059));
        assert_eq!(used.of(key), Some(at(1_000)));
        used.note(key, at(1_060));
        used.write(|_| true);
        assert_eq!(LastUsed::open(dir.path()).of(key), Some(at(1_060)));
    }

    #[test]
    fn a_key_that_is_gone_is_forgotten_and_a_broken_file_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyId::from(Uuid::from_u128(1));
        let used = LastUsed::open(dir.path());
        used.note(key, at(1_000));
        used.write(|_| false);
        assert_eq!(used.of(key), None);
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(LastUsed::open(dir.path()).of(key), None);
    }
}
