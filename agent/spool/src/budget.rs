//! The bytes that all lanes share, and the disk that they must leave room on.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use towpath_segment::Storage;

use crate::config::SpoolConfig;
use crate::error::WaitReason;

/// How often a waiting lane looks whether others have freed disk space.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What is held, against what may be held.
#[derive(Debug)]
pub(crate) struct Budget<S> {
    storage: S,
    dir: PathBuf,
    config: SpoolConfig,
    held_bytes: Mutex<u64>,
    released: Notify,
}

impl<S: Storage> Budget<S> {
    pub(crate) fn new(storage: S, dir: PathBuf, config: SpoolConfig) -> Self {
        Self { storage, dir, config, held_bytes: Mutex::new(0), released: Notify::new() }
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        *self.held_bytes.lock()
    }

    /// Takes bytes that are on the disk already.
    pub(crate) fn take_existing(&self, bytes: u64) {
        *self.held_bytes.lock() += bytes;
    }

    /// Takes bytes as soon as there is room for them. `waits` hears why there is none yet.
    pub(crate) async fn take(&self, bytes: u64, waits: impl Fn(WaitReason)) {
        loop {
            let released = self.released.notified();
            match self.try_take(bytes) {
                Ok(()) => break,
                Err(reason) => waits(reason),
            }
            // Disk space is also freed by others, who do not tell us.
            let _ = tokio::time::timeout(LOOK_AGAIN, released).await;
        }
    }

    pub(crate) fn release(&self, bytes: u64) {
        let mut held = self.held_bytes.lock();
        *held = held.saturating_sub(bytes);
        drop(held);
        self.released.notify_waiters();
    }

    fn try_take(&self, bytes: u64) -> Result<(), WaitReason> {
        let SpoolConfig { max_bytes, min_free_bytes, .. } = self.config;
        // A file system that cannot tell its free space is taken to have some: the write itself will tell.
        let free_bytes = self.storage.free_bytes(&self.dir).unwrap_or(u64::MAX);
        if free_bytes < min_free_bytes.saturating_add(bytes) {
            return Err(WaitReason::LowDisk { free_bytes, min_free_bytes });
        }
        let mut held = self.held_bytes.lock();
        if *held > 0 && *held + bytes > max_bytes {
            return Err(WaitReason::Full { held_bytes: *held, max_bytes });
        }
        *held += bytes;
        Ok(())
    }
}
