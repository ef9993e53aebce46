//! A small ordered key-value store beside a source, for what can be found again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

/// The store failed. What it held can be rebuilt, so a source may carry on without it.
#[derive(Debug, thiserror::Error)]
#[error("the local cache failed: {0}")]
pub struct CacheError(pub String);

/// An ordered key-value store. Losing it costs time, never data.
pub trait Cache: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// The store failed.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CacheError>;

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The store failed.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), CacheError>;

    /// Removes a key.
    ///
    /// # Errors
    /// The store failed.
    fn remove(&self, key: &[u8]) -> Result<(), CacheError>;

    /// Up to `limit` entries whose key begins with `prefix` and comes after `after`, in key order.
    ///
    /// # Errors
    /// The store failed.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, CacheError>;
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A cache in memory, for sources that run outside an agent.
#[derive(Default)]
pub struct MemoryCache(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryCache {
    fn map(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache for MemoryCache {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CacheError> {
        Ok(self.map().get(key).cloned())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), CacheError> {
        self.map().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<(), CacheError> {
        self.map().remove(key);
        Ok(())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, CacheError> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let map = self.map();
        let entries = map.range::<[u8], _>((from, Bound::Unbounded));
        let matching =
            entries.skip_while(|(key, _)| &key[..] < prefix).take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
