//! Which files are done with.
//!
//! A file passes three stages. Emitted: its last frame was handed over; the position lists it, so that a restart does
//! not read it again. Released: the region's log has it; the cache lists its content from now on, and the file is
//! moved, deleted or left. Settled: that was done. Keys of the cache:
//!
//! ```text
//! i/ identity                  content that was loaded; the path it first had
//! s/ path key, identity        a file that was released, and whether it is still there or gone
//! f/ path                      what a file looked like when it was identified (identity.rs)
//! p/ path key, identity        a file that could not be moved; its mark (lifecycle)
//! m/ path key of a manifest, name     a file listed there that was settled (lifecycle)
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use towpath_adapter_api::{AdapterError, Cache, CacheError, ErrorKind};

use crate::identity::{Identity, Stat, recall};
use crate::mark::FileDone;
use crate::os;
use crate::position::Completed;

/// Most files that may be complete and not yet released. A position lists each with some 55 bytes.
pub(crate) const MOST_OUTSTANDING: usize = 64;

/// Which files are done with. Shared between reading and releasing.
pub(crate) struct Ledger {
    pub(crate) cache: Arc<dyn Cache>,
    outstanding: Mutex<Vec<Completed>>,
    /// Keys of files that are gone, kept until no position that may be resumed from lists them.
    gone: Mutex<Vec<(Completed, Vec<u8>)>>,
    /// Told whenever a file is released.
    pub(crate) released: Notify,
}

/// What is known of a file's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It was never loaded.
    New,
    /// This very file is done with.
    Done,
    /// It was loaded before, at first as this file.
    Duplicate(PathBuf),
}

impl Ledger {
    /// A ledger that begins with the files that a position lists as not yet released.
    ///
    /// # Errors
    /// The cache fails.
    pub(crate) fn new(cache: Arc<dyn Cache>, completed: Vec<Completed>) -> Result<Self, AdapterError> {
        let ledger =
            Self { cache, outstanding: Mutex::default(), gone: Mutex::default(), released: Notify::new() };
        // A release may have been acted on after the position was made; it will not come again.
        let mut outstanding = Vec::new();
        for file in completed {
            let key = [b"s/", &*file.path_key, &file.identity].concat();
            if ledger.cache.get(&key).map_err(failed)?.is_none() {
                outstanding.push(file);
            }
        }
        *lock(&ledger.outstanding) = outstanding;
        Ok(ledger)
    }

    /// Files that are complete and not yet released, oldest first.
    pub(crate) fn completed(&self) -> Vec<Completed> {
        lock(&self.outstanding).clone()
    }

    /// Whether another file may be completed before one is released.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.outstanding).len() < MOST_OUTSTANDING
    }

    /// Adds a file that is about to be emitted as complete.
    pub(crate) fn complete(&self, done: &FileDone) {
        lock(&self.outstanding).push(completed(done));
    }

    /// Notes that a file is released, before it is moved.
    ///
    /// # Errors
    /// The cache fails.
    pub(crate) fn release(&self, done: &FileDone) -> Result<(), AdapterError> {
        let (path, identity) = (done.path(), done.identity());
        self.cache.put(&file_key(b"s/", &path, identity), STILL_THERE).map_err(failed)?;
        let content = content_key(identity);
        if done.counts() && self.cache.get(&content).map_err(failed)?.is_none() {
            self.cache.put(&content, os::path_bytes(&path)).map_err(failed)?;
        }
        Ok(())
    }

    /// Notes what became of a released file: whether it still lies there.
    ///
    /// # Errors
    /// The cache fails.
    pub(crate) fn settle(&self, done: &FileDone, still_there: bool) -> Result<(), AdapterError> {
        let path = done.path();
        let file = completed(done);
        if !still_there {
            let key = file_key(b"s/", &path, done.identity());
            self.cache.put(&key, GONE).map_err(failed)?;
            crate::identity::forget(&*self.cache, &path);
            lock(&self.gone).push((file.clone(), key));
        }
        lock(&self.outstanding).retain(|waiting| *waiting != file);
        self.released.notify_one();
        Ok(())
    }

    /// Forgets files that are gone once a position is durable that no longer lists them.
    pub(crate) fn forget_gone(&self, position: &[Completed]) {
        lock(&self.gone).retain(|(file, key)| {
            let listed = position.contains(file);
            // A key that cannot be removed costs its few bytes.
            listed || self.cache.remove(key).is_err()
        });
    }

    /// What is known of a file with this content.
    ///
    /// # Errors
    /// The cache fails.
    pub(crate) fn standing(&self, path: &Path, identity: Identity) -> Result<Standing, AdapterError> {
        if self.is_done(path, identity)? {
            return Ok(Standing::Done);
        }
        if let Some(first) = self.cache.get(&content_key(identity)).map_err(failed)? {
            return Ok(Standing::Duplicate(os::path_from_bytes(&first)));
        }
        let same = |file: &Completed| file.counts && file.identity == identity.0;
        let waits = lock(&self.outstanding).iter().any(same);
        Ok(if waits { Standing::Duplicate(PathBuf::new()) } else { Standing::New })
    }

    /// Whether a file that looks like this is done with, as far as that can be told without reading it.
    ///
    /// # Errors
    /// The cache fails.
    pub(crate) fn is_known_done(&self, path: &Path, stat: &Stat) -> Result<bool, AdapterError> {
        recall(&*self.cache, path, stat).map_or(Ok(false), |identity| self.is_done(path, identity))
    }

    fn is_done(&self, path: &Path, identity: Identity) -> Result<bool, AdapterError> {
        let path_key = path_key(path);
        let waits = |file: &Completed| file.path_key == path_key && file.identity == identity.0;
        if lock(&self.outstanding).iter().any(waits) {
            return Ok(true);
        }
        let noted = self.cache.get(&file_key(b"s/", path, identity)).map_err(failed)?;
        Ok(noted.is_some_and(|state| state == STILL_THERE))
    }
}

const STILL_THERE: &[u8] = b"there";
const GONE: &[u8] = b"gone";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn completed(done: &FileDone) -> Completed {
    Completed {
        identity: done.identity().0.to_vec(),
        path_key: path_key(&done.path()).to_vec(),
        counts: done.counts(),
    }
}

fn content_key(identity: Identity) -> Vec<u8> {
    [b"i/", &identity.0[..]].concat()
}

/// Sixteen bytes that stand for a path.
pub(crate) fn path_key(path: &Path) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(os::path_bytes(path)).as_bytes()[..16]);
    key
}

/// The key of a file in the cache.
pub(crate) fn file_key(kind: &[u8], path: &Path, identity: Identity) -> Vec<u8> {
    [kind, &path_key(path), &identity.0].concat()
}

/// What a source does when it cannot know what it loaded: it stops, and the agent starts it again.
pub(crate) fn failed(error: CacheError) -> AdapterError {
    AdapterError::new(
        ErrorKind::Unavailable,
        "cache of the file source",
        "which files were loaded cannot be looked up or noted; check the agent's state folder",
    )
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Outcome;
    use towpath_adapter_api::MemoryCache;

    const CONTENT: Identity = Identity([1; 32]);

    fn done(path: &str, outcome: Outcome) -> FileDone {
        FileDone::new(Path::new(path), CONTENT, (1, 1), (1, 0), outcome, "")
    }

    fn standing(ledger: &Ledger, path: &str) -> Standing {
        ledger.standing(Path::new(path), CONTENT).unwrap()
    }

    #[test]
    fn content_that_was_emitted_is_a_duplicate_under_another_name_and_done_under_its_own() {
        let ledger = Ledger::new(Arc::new(MemoryCache::default()), vec![]).unwrap();
        assert_eq!(standing(&ledger, "a"), Standing::New);
        ledger.complete(&done("a", Outcome::Loaded));
        assert_eq!(standing(&ledger, "a"), Standing::Done);
        assert!(matches!(standing(&ledger, "b"), Standing::Duplicate(_)));
    }

    #[test]
    fn once_the_file_is_gone_the_same_content_is_a_duplicate_even_under_its_own_name() {
        let ledger = Ledger::new(Arc::new(MemoryCache::default()), vec![]).unwrap();
        let file = done("a", Outcome::Loaded);
        ledger.complete(&file);
        ledger.release(&file).unwrap();
        ledger.settle(&file, false).unwrap();
        assert!(ledger.completed().is_empty());
        assert_eq!(standing(&ledger, "a"), Standing::Duplicate("a".into()));
    }

    #[test]
    fn a_file_that_is_kept_stays_done() {
        let ledger = Ledger::new(Arc::new(MemoryCache::default()), vec![]).unwrap();
        let file = done("a", Outcome::Loaded);
        ledger.release(&file).unwrap();
        ledger.settle(&file, true).unwrap();
        assert_eq!(standing(&ledger, "a"), Standing::Done);
    }

    #[test]
    fn a_released_file_that_is_not_moved_yet_is_done_with() {
        let cache: Arc<dyn Cache> = Arc::new(MemoryCache::default());
        let before = Ledger::new(cache.clone(), vec![]).unwrap();
        before.release(&done("a", Outcome::Loaded)).unwrap();
        assert_eq!(standing(&Ledger::new(cache, vec![]).unwrap(), "a"), Standing::Done);
    }

    #[test]
    fn rejected_content_may_be_tried_again() {
        let ledger = Ledger::new(Arc::new(MemoryCache::default()), vec![]).unwrap();
        let file = done("a", Outcome::Rejected);
        ledger.complete(&file);
        assert_eq!(standing(&ledger, "a"), Standing::Done);
        ledger.release(&file).unwrap();
        ledger.settle(&file, false).unwrap();
        assert_eq!(standing(&ledger, "a"), Standing::New);
    }

    #[test]
    fn a_release_that_was_acted_on_after_the_position_was_made_is_not_waited_for() {
        let cache: Arc<dyn Cache> = Arc::new(MemoryCache::default());
        let before = Ledger::new(cache.clone(), vec![]).unwrap();
        let file = done("a", Outcome::Loaded);
        before.complete(&file);
        let position = before.completed();
        assert_eq!(Ledger::new(cache.clone(), position.clone()).unwrap().completed().len(), 1);
        before.release(&file).unwrap();
        before.settle(&file, false).unwrap();
        assert!(Ledger::new(cache.clone(), position.clone()).unwrap().completed().is_empty());
        before.forget_gone(&position);
        assert!(Ledger::new(cache.clone(), position.clone()).unwrap().completed().is_empty());
        before.forget_gone(&[]);
        assert_eq!(Ledger::new(cache, position).unwrap().completed().len(), 1);
    }
}
