//! When each key was last used, to the minute. It serves to find keys that nobody uses.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use towpath_catalog::State;
use towpath_resource::KeyId;

use super::lossy::Lossy;

const EXACT_TO: SignedDuration = SignedDuration::from_secs(60);

/// When each key was last used.
pub(super) struct LastUsed(Lossy<BTreeMap<KeyId, Timestamp>>);

impl LastUsed {
    /// What was noted in this directory.
    pub(super) fn open(dir: &Path) -> Self {
        Self(Lossy::open(dir.join("last-used.json")))
    }

    /// Notes that a key is used now.
    pub(super) fn note(&self, key: KeyId, now: Timestamp) {
        self.0.change(|noted| {
            let is_new = noted.get(&key).is_none_or(|last| now.duration_since(*last) >= EXACT_TO);
            if is_new {
                noted.insert(key, now);
            }
            ((), is_new)
        });
    }

    /// When a key was last used.
    pub(super) fn of(&self, key: KeyId) -> Option<Timestamp> {
        self.0.read(|noted| noted.get(&key).copied())
    }

    /// Writes what is new, of the keys that there still are. Blocks.
    pub(super) fn write(&self, state: &State) {
        self.0.write(|noted| noted.retain(|key, _| state.keys.contains_key(key)));
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
    fn the_last_use_is_known_to_the_minute_and_forgotten_with_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyId::from(Uuid::from_u128(1));
        let used = LastUsed::open(dir.path());
        used.note(key, at(1_000));
        used.note(key, at(1_059));
        assert_eq!(used.of(key), Some(at(1_000)));
        used.note(key, at(1_060));
        assert_eq!(used.of(key), Some(at(1_060)));
        used.write(&State::default());
        assert_eq!(used.of(key), None);
    }
}
