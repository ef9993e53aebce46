//! What operating systems do differently, as far as more than one adapter needs it.

use std::fs::Metadata;
use std::io;
use std::path::Path;

/// What tells a file from every other on this machine while it exists: device and inode.
pub fn file_id(metadata: &Metadata) -> (u64, u64) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    }
    #[cfg(not(unix))]
    {
        use std::time::UNIX_EPOCH;
        // Without inodes, the time of creation serves: a file that took another's name has another one.
        let created = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        (0, created.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Makes new names in a folder, and renames in and out of it, survive power loss. Elsewhere than on Unix a folder cannot be synced; the file
/// system journals its entries itself.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
