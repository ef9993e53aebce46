//! A storage whose syncs can be held up, so that a test sees what happens meanwhile.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use towpath_segment::simulated::{SimulatedFile, SimulatedLock, SimulatedStorage};
use towpath_segment::{LockOutcome, Storage, StorageFile};

const SURELY: Duration = Duration::from_secs(20);

/// A simulated storage with a gate before each sync of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gated {
    pub(crate) storage: SimulatedStorage,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    waiting: usize,
}

/// A file of it.
#[derive(Debug)]
pub(crate) struct GatedFile {
    file: SimulatedFile,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl Gated {
    /// Holds up whoever syncs from now on, or lets all pass.
    pub(crate) fn close(&self, closed: bool) {
        self.gate.0.lock().unwrap().closed = closed;
        self.gate.1.notify_all();
    }

    /// Waits until someone stands before the gate.
    pub(crate) fn wait_for_one(&self) {
        let begun = Instant::now();
        while self.gate.0.lock().unwrap().waiting == 0 {
            assert!(begun.elapsed() < SURELY, "nobody syncs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Storage for Gated {
    type File = GatedFile;
    type Lock = SimulatedLock;

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.storage.create_dir(dir)
    }

    fn lock(&self, dir: &Path) -> io::Result<LockOutcome<SimulatedLock>> {
        self.storage.lock(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.storage.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<GatedFile> {
        Ok(GatedFile { file: self.storage.create(path)?, gate: self.gate.clone() })
    }

    fn open(&self, path: &Path) -> io::Result<GatedFile> {
        Ok(GatedFile { file: self.storage.open(path)?, gate: self.gate.clone() })
    }

    fn open_read_only(&self, path: &Path) -> io::Result<GatedFile> {
        Ok(GatedFile { file: self.storage.open_read_only(path)?, gate: self.gate.clone() })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.storage.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.storage.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.storage.free_bytes(dir)
    }

    fn now_us(&self) -> u64 {
        self.storage.now_us()
    }
}

impl StorageFile for GatedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(parts, offset)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file.truncate(size)
    }

    fn sync(&self) -> io::Result<()> {
        let (gate, moved) = &*self.gate;
        let mut gate = gate.lock().unwrap();
        gate.waiting += 1;
        while gate.closed {
            gate = moved.wait(gate).unwrap();
        }
        gate.waiting -= 1;
        drop(gate);
        self.file.sync()
    }
}
