//! A file system in memory that tells apart what is written and what is durable, and can fail and lose power at will.
//!
//! Every change since the last sync is kept as a pending operation. [`SimulatedStorage::power_cut`] decides which of
//! them reached the disk: exactly a prefix, torn at any byte, or a random scatter of sectors and names, as disks
//! without order do. Two habits of real systems are kept: a file's name is durable only after its directory was
//! synced, and after a failed sync the system shows bytes that the disk will never get.

mod disk;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::{LockOutcome, Storage, StorageFile};
use disk::Disk;

/// A file system in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimulatedStorage {
    shared: Arc<Mutex<Machine>>,
}

/// What goes wrong, counted from the storage's creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power fails at this changing operation (from 1): it and all after it are refused.
    pub crash_at: Option<u64>,
    /// This sync (from 1) fails once, and what it should have made durable never will be.
    pub fail_sync: Option<u64>,
    /// This write (from 1) fails once with an I/O error after half its bytes.
    pub fail_write: Option<u64>,
    /// Bytes that all files together may have.
    pub capacity: Option<u64>,
}

/// What of the pending operations a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// The first this many units, in order. A written byte is one unit, any other operation too.
    Prefix(u64),
    /// Each 512-byte sector and each name by the toss of a coin, under this seed.
    Scatter(u64),
}

#[derive(Debug, Default)]
struct Machine {
    disk: Disk,
    faults: Faults,
    operations: u64,
    syncs: u64,
    writes: u64,
    locks: BTreeSet<PathBuf>,
    clock_us: u64,
}

/// An open file of a [`SimulatedStorage`].
#[derive(Debug)]
pub struct SimulatedFile {
    shared: Arc<Mutex<Machine>>,
    inode: u64,
}

/// The lock on a directory of a [`SimulatedStorage`].
#[derive(Debug)]
pub struct SimulatedLock {
    shared: Arc<Mutex<Machine>>,
    dir: PathBuf,
}

impl SimulatedStorage {
    /// An empty file system on which these faults will happen.
    pub fn with_faults(faults: Faults) -> Self {
        let storage = Self::default();
        storage.set_faults(faults);
        storage
    }

    /// Plans other faults. What was counted goes on counting.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// How many changing operations there were.
    pub fn operations(&self) -> u64 {
        self.shared.lock().operations
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        self.shared.lock().syncs
    }

    /// How many writes there were.
    pub fn writes(&self) -> u64 {
        self.shared.lock().writes
    }

    /// How many units a power cut now could lose: the range of [`Tear::Prefix`].
    pub fn pending_units(&self) -> u64 {
        self.shared.lock().disk.pending_units()
    }

    /// The file system as it is found when power returns: another one, without faults; this one stays.
    #[must_use]
    pub fn power_cut(&self, tear: Tear) -> Self {
        let machine = self.shared.lock();
        let disk = machine.disk.after_power_cut(tear);
        let found = Machine { disk, clock_us: machine.clock_us, ..Machine::default() };
        Self { shared: Arc::new(Mutex::new(found)) }
    }

    /// The paths and sizes of all files.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.shared.lock().disk.files()
    }

    /// Flips one bit of a file, on the disk and in what is shown. False if there is no such bit.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        self.shared.lock().disk.flip_bit(path, bit)
    }
}

impl Machine {
    /// Counts a changing operation and refuses it if the power is gone.
    fn change(&mut self) -> io::Result<&mut Disk> {
        self.operations += 1;
        match self.faults.crash_at {
            Some(at) if self.operations >= at => Err(io::Error::other("the power failed")),
            _ => Ok(&mut self.disk),
        }
    }
}

impl Storage for SimulatedStorage {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, dir: &Path) -> io::Result<LockOutcome<SimulatedLock>> {
        if !self.shared.lock().locks.insert(dir.to_owned()) {
            return Ok(LockOutcome::HeldBy(None));
        }
        Ok(LockOutcome::Taken(SimulatedLock { shared: self.shared.clone(), dir: dir.to_owned() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.shared.lock().disk.list(dir))
    }

    fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        let inode = self.shared.lock().change()?.create(path)?;
        Ok(SimulatedFile { shared: self.shared.clone(), inode })
    }

    fn open(&self, path: &Path) -> io::Result<SimulatedFile> {
        let inode = self.shared.lock().disk.inode(path)?;
        Ok(SimulatedFile { shared: self.shared.clone(), inode })
    }

    fn open_read_only(&self, path: &Path) -> io::Result<SimulatedFile> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.lock().change()?.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.shared.lock();
        // Removing what is not there changes nothing and is no place to lose power at.
        machine.disk.inode(path)?;
        machine.change()?.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.shared.lock().change()?.sync_dir(dir);
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let machine = self.shared.lock();
        Ok(machine.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(machine.disk.used())))
    }

    fn now_us(&self) -> u64 {
        let mut machine = self.shared.lock();
        machine.clock_us += 1;
        machine.clock_us
    }
}

impl StorageFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.shared.lock().disk.shown(self.inode).len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let machine = self.shared.lock();
        let shown = machine.disk.shown(self.inode);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(shown.len());
        let read = into.len().min(shown.len() - from);
        into[..read].copy_from_slice(&shown[from..from + read]);
        Ok(read)
    }

    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut machine = self.shared.lock();
        machine.writes += 1;
        let fails = machine.faults.fail_write == Some(machine.writes);
        let room = machine.faults.capacity.map(|capacity| capacity.saturating_sub(machine.disk.used()));
        let size = machine.disk.shown(self.inode).len() as u64;
        let disk = machine.change()?;
        let whole = bytes.len();
        if fails {
            bytes.truncate(whole / 2);
        }
        if let Some(room) = room {
            let fitting = (size + room).saturating_sub(offset);
            bytes.truncate(usize::try_from(fitting).unwrap_or(usize::MAX).min(bytes.len()));
        }
        let short = bytes.len() < whole;
        disk.write(self.inode, offset, bytes);
        match (fails, short) {
            (true, _) => Err(io::Error::other("simulated I/O error")),
            (false, true) => Err(io::ErrorKind::StorageFull.into()),
            (false, false) => Ok(()),
        }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.shared.lock().change()?.truncate(self.inode, size);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.shared.lock();
        machine.syncs += 1;
        let fails = machine.faults.fail_sync == Some(machine.syncs);
        let disk = machine.change()?;
        if fails {
            disk.forget_pending(self.inode);
            return Err(io::Error::other("simulated sync error"));
        }
        disk.sync(self.inode);
        Ok(())
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.shared.lock().locks.remove(&self.dir);
    }
}
