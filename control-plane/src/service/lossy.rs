//! What is kept in a file of its own, written a little later than it changes, and may be lost: nothing of it is part of
//! the truth. A file that cannot be read is begun anew.

use std::path::PathBuf;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use towpath_segment::private;

/// A value that is written to a file now and then.
pub(super) struct Lossy<T> {
    path: PathBuf,
    held: Mutex<Held<T>>,
}

struct Held<T> {
    value: T,
    is_unwritten: bool,
}

impl<T: Serialize + DeserializeOwned + Default> Lossy<T> {
    /// The value in this file, or a new one.
    pub(super) fn open(path: PathBuf) -> Self {
        let value = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the file cannot be read and is begun anew");
                T::default()
            }),
            Err(_) => T::default(),
        };
        Self { path, held: Mutex::new(Held { value, is_unwritten: false }) }
    }

    /// Looks at the value.
    pub(super) fn read<A>(&self, look: impl FnOnce(&T) -> A) -> A {
        look(&self.held.lock().value)
    }

    /// Changes the value. It is written later, if `change` says that it did.
    pub(super) fn change<A>(&self, change: impl FnOnce(&mut T) -> (A, bool)) -> A {
        let mut held = self.held.lock();
        let (answer, changed) = change(&mut held.value);
        held.is_unwritten |= changed;
        answer
    }

    /// Writes the value if it changed, after `tidy` has thrown out what nobody needs any more. Blocks.
    pub(super) fn write(&self, tidy: impl FnOnce(&mut T)) {
        let text = {
            let mut held = self.held.lock();
            if !std::mem::take(&mut held.is_unwritten) {
                return;
            }
            tidy(&mut held.value);
            serde_json::to_vec(&held.value).expect("what is held is JSON")
        };
        if let Err(error) = private::replace_file(&self.path, &text) {
            tracing::warn!(path = %self.path.display(), %error, "the file cannot be written; trying again");
            self.held.lock().is_unwritten = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_there_after_a_restart_and_a_broken_file_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        let kept = Lossy::<Vec<u8>>::open(path.clone());
        kept.change(|list| (list.push(1), true));
        kept.write(|list| list.push(2));
        assert_eq!(Lossy::<Vec<u8>>::open(path.clone()).read(Vec::clone), [1, 2]);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Lossy::<Vec<u8>>::open(path).read(Vec::clone), Vec::<u8>::new());
    }
}
