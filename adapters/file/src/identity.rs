//! What tells one file from another: its content.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::Cache;

use crate::os;

/// BLAKE3-256 of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity(pub(crate) [u8; 32]);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// What can be seen of a file without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    /// When it was last modified, in nanoseconds since 1970-01-01 UTC.
    pub(crate) modified_ns: i64,
    /// Device and inode.
    pub(crate) file_id: (u64, u64),
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or(0, nanoseconds);
        Self {
            size: metadata.len(),
            modified_ns: modified,
            file_id: towpath_adapter_api::os::file_id(metadata),
        }
    }

    /// Whether size and modification time are these, as far as they tell of the content.
    pub(crate) fn shows(&self, size: u64, modified_ns: i64) -> bool {
        self.size == size && self.modified_ns == modified_ns
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// What became of an attempt to identify a file.
#[derive(Debug)]
pub(crate) enum Identified {
    /// This is its content.
    As(Identity),
    /// It changed while it was read.
    Changing,
    /// The source is to stop.
    Stopped,
}

/// How much is read at once to be hashed.
const HASH_BLOCK: usize = 1 << 20;

/// A fingerprint in the cache: what a file looked like when it was identified.
#[derive(Clone, PartialEq, Message)]
struct Fingerprint {
    #[prost(uint64, tag = "1")]
    size: u64,
    #[prost(int64, tag = "2")]
    modified_ns: i64,
    #[prost(uint64, tag = "3")]
    device: u64,
    #[prost(uint64, tag = "4")]
    inode: u64,
    #[prost(bytes = "vec", tag = "5")]
    identity: Vec<u8>,
}

/// Identifies the content of an open file that looked like `stat`, and reads it whole to do so.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn identify(file: &File, stat: &Stat, stop: &CancellationToken) -> io::Result<Identified> {
    let mut hasher = blake3::Hasher::new();
    match read_through(file, stop, |block| {
        hasher.update(block);
    })? {
        Some(()) if Stat::of(&file.metadata()?) == *stat => {
            Ok(Identified::As(Identity(*hasher.finalize().as_bytes())))
        }
        Some(()) => Ok(Identified::Changing),
        None => Ok(Identified::Stopped),
    }
}

/// The SHA-256 of a file's content, `None` if the source is to stop.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn sha256(file: &File, stop: &CancellationToken) -> io::Result<Option<[u8; 32]>> {
    let mut hasher = Sha256::new();
    let read = read_through(file, stop, |block| hasher.update(block))?;
    Ok(read.map(|()| hasher.finalize().into()))
}

fn read_through(
    mut file: &File,
    stop: &CancellationToken,
    mut take: impl FnMut(&[u8]),
) -> io::Result<Option<()>> {
    io::Seek::rewind(&mut file)?;
    let mut block = vec![0; HASH_BLOCK];
    while !stop.is_cancelled() {
        match file.read(&mut block) {
            Ok(0) => return Ok(Some(())),
            Ok(read) => take(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The identity that a file of this path and look had, if the cache knows. The cache may fail: then the file is
/// read again.
pub(crate) fn recall(cache: &dyn Cache, path: &Path, stat: &Stat) -> Option<Identity> {
    let found = Fingerprint::decode(&*cache.get(&key(path)).ok()??).ok()?;
    let same = stat.shows(found.size, found.modified_ns) && stat.file_id == (found.device, found.inode);
    same.then(|| found.identity.try_into().ok().map(Identity))?
}

/// Remembers the identity of a file.
pub(crate) fn remember(cache: &dyn Cache, path: &Path, stat: &Stat, identity: Identity) {
    let fingerprint = Fingerprint {
        size: stat.size,
        modified_ns: stat.modified_ns,
        device: stat.file_id.0,
        inode: stat.file_id.1,
        identity: identity.0.to_vec(),
    };
    if let Err(error) = cache.put(&key(path), &fingerprint.encode_to_vec()) {
        tracing::warn!(path = %path.display(), %error, "the file will be hashed again");
    }
}

/// Forgets a file that is gone.
pub(crate) fn forget(cache: &dyn Cache, path: &Path) {
    if let Err(error) = cache.remove(&key(path)) {
        tracing::debug!(path = %path.display(), %error, "a fingerprint stays in the cache");
    }
}

fn key(path: &Path) -> Vec<u8> {
    [b"f/", os::path_bytes(path)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use towpath_adapter_api::MemoryCache;

    #[test]
    fn a_file_is_recognised_until_it_looks_different() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "one").unwrap();
        let file = File::open(&path).unwrap();
        let stat = Stat::of(&file.metadata().unwrap());
        let Identified::As(identity) = identify(&file, &stat, &CancellationToken::new()).unwrap() else {
            panic!("the file is at rest");
        };
        assert_eq!(identity.0, *blake3::hash(b"one").as_bytes());
        let cache = MemoryCache::default();
        remember(&cache, Path::new("a.csv"), &stat, identity);
        assert_eq!(recall(&cache, Path::new("a.csv"), &stat), Some(identity));
        assert_eq!(recall(&cache, Path::new("b.csv"), &stat), None);
        File::options().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        let grown = Stat::of(&std::fs::metadata(&path).unwrap());
        assert_eq!(recall(&cache, Path::new("a.csv"), &grown), None);
        assert!(matches!(identify(&file, &stat, &CancellationToken::new()).unwrap(), Identified::Changing));
    }
}
