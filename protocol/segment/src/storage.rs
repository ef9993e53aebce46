//! The face of the file system that a log needs, so that tests can stand in for the disk and cut its power.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;

/// A file system. [`DiskStorage`](crate::DiskStorage) is the real one,
/// [`SimulatedStorage`](crate::simulated::SimulatedStorage) one that can fail at will.
pub trait Storage: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: StorageFile + 'static;
    /// Keeps a directory to one owner until dropped.
    type Lock: Debug + Send + Sync + 'static;

    /// Creates a directory and those above it, for the owner only.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the directory for this owner, or says that another has it.
    fn lock(&self, dir: &Path) -> io::Result<LockOutcome<Self::Lock>>;

    /// The names of the files in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a file that must not exist, for the owner only, and opens it for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading.
    fn open_read_only(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file another name in the same directory, replacing what has it. Durable after [`Storage::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Durable after [`Storage::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that this process may still write to the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Microseconds since 1970-01-01 UTC. Only segment ages depend on it.
    fn now_us(&self) -> u64;
}

/// What became of [`Storage::lock`].
#[derive(Debug)]
pub enum LockOutcome<L> {
    /// The directory is ours while this lives.
    Taken(L),
    /// Another holds it, under this process id where it could be read.
    HeldBy(Option<u32>),
}

/// An open file. Reads and writes name their offset, so one file serves a writer and many readers.
pub trait StorageFile: Debug + Send + Sync {
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `into.len()` bytes, fewer only at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all the parts one behind the other, starting at `offset`. After an error any prefix may be written.
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros, to this size.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Makes content and size durable. After an error nothing may be assumed of what was not durable before.
    fn sync(&self) -> io::Result<()>;
}

impl<F: StorageFile> StorageFile for &F {
    fn size(&self) -> io::Result<u64> {
        F::size(self)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        F::read_at(self, into, offset)
    }

    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        F::write_at(self, parts, offset)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        F::truncate(self, size)
    }

    fn sync(&self) -> io::Result<()> {
        F::sync(self)
    }
}
