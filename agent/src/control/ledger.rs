//! The agent's ledger: the last good desired state, and small facts that can be found again.
//!
//! ```text
//! desired.json        the last desired state that was taken over; replaced atomically
//! ledger/             sled: one tree per source cache, `released`, how far each lane is released, and `policies`, which
//!                     policies the frames in its spool were captured under
//! ledger.broken-<n>   a ledger that could not be read; kept for inspection, rebuilt from the log's marks
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_adapter_api::{Cache, CacheError};
use towpath_record::{LaneId, SourceId};
use towpath_resource::desired::{Desired, DesiredPolicy};
use towpath_segment::private;

const SLED_CACHE_BYTES: u64 = 2 << 20;
const FLUSH_EVERY_MS: u64 = 1_000;
const DESIRED_FILE: &str = "desired.json";
const RELEASED_TREE: &str = "released";
const POLICIES_TREE: &str = "policies";
const BUILT_KEY: &[u8] = b"\0built";

/// The ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// A file operation failed.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// sled failed.
    #[error("{}: the ledger failed; stop the agent, move it away and start again: it is rebuilt", path.display())]
    Store {
        /// The ledger's directory.
        path: PathBuf,
        #[source]
        source: sled::Error,
    },
}

/// The agent's ledger.
#[derive(Clone)]
pub(crate) struct Ledger {
    state_dir: PathBuf,
    db: sled::Db,
}

impl Ledger {
    /// Opens the ledger below the agent's state directory. One that cannot be read is set aside and begun anew.
    ///
    /// # Errors
    /// Neither the old nor a new ledger can be opened.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = state_dir.join("ledger");
        make_dir(&path)?;
        let db = match open_store(&path) {
            Ok(db) => db,
            Err(
                sled::Error::Corruption { .. } | sled::Error::Unsupported(_) | sled::Error::ReportableBug(_),
            ) => {
                let aside = set_aside(&path)?;
                tracing::warn!(ledger = %path.display(), kept_as = %aside.display(),
                    "the ledger could not be read; it was set aside and is rebuilt from the region log");
                make_dir(&path)?;
                open_store(&path).map_err(|source| LedgerError::Store { path: path.clone(), source })?
            }
            Err(source) => return Err(LedgerError::Store { path, source }),
        };
        Ok(Self { state_dir: state_dir.to_owned(), db })
    }

    /// The last desired state that was taken over.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub(crate) fn desired(&self) -> Result<Option<Desired>, LedgerError> {
        Self::kept_desired(&self.state_dir)
    }

    /// The last desired state that was taken over, for whoever must not open the ledger, which an agent may be using.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub(crate) fn kept_desired(state_dir: &Path) -> Result<Option<Desired>, LedgerError> {
        let path = state_dir.join(DESIRED_FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .inspect_err(|error| tracing::warn!(file = %path.display(), %error, "not readable; awaiting a new one"))
                .ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LedgerError::Io { path, doing: "read it", source }),
        }
    }

    /// Keeps a desired state as the last good one.
    ///
    /// # Errors
    /// The file cannot be replaced.
    pub(crate) fn keep_desired(&self, desired: &Desired) -> Result<(), LedgerError> {
        let path = self.state_dir.join(DESIRED_FILE);
        let bytes = serde_json::to_vec_pretty(desired).expect("a desired state is always JSON");
        private::replace_file(&path, &bytes).map_err(|source| LedgerError::Io {
            path,
            doing: "replace it",
            source,
        })
    }

    /// The cache of a source.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn cache(&self, source: SourceId) -> Result<Arc<SourceCache>, LedgerError> {
        self.tree(&format!("cache/{source}")).map(|tree| Arc::new(SourceCache(tree)))
    }

    /// Forgets everything about a source that is gone.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn forget(&self, source: SourceId) -> Result<(), LedgerError> {
        self.db.drop_tree(format!("cache/{source}")).map(drop).map_err(|source| self.failed(source))
    }

    /// The last frame of a lane whose release the source has acted on; 0 when none is known.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn released(&self, lane: &LaneId) -> Result<u64, LedgerError> {
        let stored = self.tree(RELEASED_TREE)?.get(lane.to_string()).map_err(|source| self.failed(source))?;
        Ok(stored.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0))
    }

    /// Notes that the source has acted on the release of a frame.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn set_released(&self, lane: &LaneId, seq: u64) -> Result<(), LedgerError> {
        let tree = self.tree(RELEASED_TREE)?;
        tree.insert(lane.to_string(), &seq.to_be_bytes()).map(drop).map_err(|source| self.failed(source))
    }

    /// The policies under which the frames in a lane's spool were captured.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn policies(&self, lane: &LaneId) -> Result<Vec<DesiredPolicy>, LedgerError> {
        let stored = self.tree(POLICIES_TREE)?.get(lane.to_string()).map_err(|source| self.failed(source))?;
        Ok(stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Notes under which policies frames are captured from now on. Durable when it returns.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn set_policies(&self, lane: &LaneId, policies: &[DesiredPolicy]) -> Result<(), LedgerError> {
        let tree = self.tree(POLICIES_TREE)?;
        let text = serde_json::to_vec(policies).expect("policies are always JSON");
        let noted = tree.insert(lane.to_string(), text).and_then(|_| tree.flush());
        noted.map(drop).map_err(|source| self.failed(source))
    }

    fn tree(&self, name: &str) -> Result<sled::Tree, LedgerError> {
        self.db.open_tree(name).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: sled::Error) -> LedgerError {
        LedgerError::Store { path: self.state_dir.join("ledger"), source }
    }
}

/// A source's cache: a sled tree.
pub(crate) struct SourceCache(sled::Tree);

impl SourceCache {
    /// Whether the cache holds what the source knew; a lost one must be rebuilt from marks first.
    pub(crate) fn is_built(&self) -> bool {
        matches!(self.0.contains_key(BUILT_KEY), Ok(true))
    }

    /// Notes that the source has rebuilt its cache.
    pub(crate) fn set_built(&self) {
        if let Err(error) = self.0.insert(BUILT_KEY, b"1") {
            tracing::warn!(%error, "the ledger does not take a note; the source will rebuild its cache again");
        }
    }
}

impl Cache for SourceCache {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CacheError> {
        self.0.get(key).map(|value| value.map(|v| v.to_vec())).map_err(failed)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), CacheError> {
        self.0.insert(key, value).map_err(failed)?;
        // What a source notes on a release must outlive this process: the frame that said it is forgotten next.
        self.0.flush().map(drop).map_err(failed)
    }

    fn remove(&self, key: &[u8]) -> Result<(), CacheError> {
        self.0.remove(key).map(drop).map_err(failed)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<towpath_adapter_api::cache::Entry>, CacheError> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let entries = self.0.range::<&[u8], _>((from, Bound::Unbounded));
        let mut found = Vec::new();
        for entry in entries {
            let (key, value) = entry.map_err(failed)?;
            if found.len() == limit || !(key.starts_with(prefix) || key.as_ref() < prefix) {
                break;
            }
            if key.starts_with(prefix) {
                found.push((key.to_vec(), value.to_vec()));
            }
        }
        Ok(found)
    }
}

fn failed(error: sled::Error) -> CacheError {
    CacheError(error.to_string())
}

fn open_store(path: &Path) -> Result<sled::Db, sled::Error> {
    sled::Config::new()
        .path(path)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(SLED_CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        .open()
}

fn make_dir(path: &Path) -> Result<(), LedgerError> {
    private::create_dir(path).map_err(|source| LedgerError::Io {
        path: path.to_owned(),
        doing: "create the directory",
        source,
    })
}

fn set_aside(path: &Path) -> Result<PathBuf, LedgerError> {
    let free = (1..).map(|n| path.with_extension(format!("broken-{n}"))).find(|aside| !aside.exists());
    let aside = free.expect("a directory holds finitely many names");
    fs::rename(path, &aside).map_err(|source| LedgerError::Io {
        path: path.to_owned(),
        doing: "set it aside",
        source,
    })?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_record::RegionName;

    fn policy() -> DesiredPolicy {
        let spec = serde_json::json!({ "streams": ["crm.**"], "rules": [] });
        serde_json::from_value(serde_json::json!({ "name": "people", "spec": spec })).unwrap()
    }

    #[test]
    fn the_ledger_comes_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let source = SourceId::from_bytes([4; 16]);
        let lane = LaneId { source, region: RegionName::main() };
        {
            let ledger = Ledger::open(dir.path()).unwrap();
            assert!(!ledger.cache(source).unwrap().is_built());
            ledger.cache(source).unwrap().set_built();
            ledger.cache(source).unwrap().put(b"done/1", b"x").unwrap();
            ledger.set_released(&lane, 12).unwrap();
            assert_eq!(ledger.policies(&lane).unwrap(), []);
            ledger.set_policies(&lane, &[policy()]).unwrap();
        }
        let ledger = Ledger::open(dir.path()).unwrap();
        assert!(ledger.cache(source).unwrap().is_built());
        assert_eq!(ledger.cache(source).unwrap().scan(b"done/", None, 9).unwrap().len(), 1);
        assert_eq!(ledger.released(&lane).unwrap(), 12);
        assert_eq!(ledger.policies(&lane).unwrap(), [policy()]);
    }

    #[test]
    fn a_damaged_ledger_is_set_aside_and_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ledger")).unwrap();
        fs::write(dir.path().join("ledger/conf"), b"this is no sled configuration").unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert!(!ledger.cache(SourceId::from_bytes([4; 16])).unwrap().is_built());
        assert!(dir.path().join("ledger.broken-1").exists());
    }
}
