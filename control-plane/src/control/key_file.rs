//! Keys of 32 random bytes that this control plane keeps for itself, each in a file of its own with mode 0600.

use std::path::Path;

use anyhow::{Context, ensure};
use towpath_segment::private;

const KEY_BYTES: usize = 32;

/// Reads a key, or makes it. `lost` says what an admin should do about a file that is no key.
///
/// # Errors
/// The file cannot be read or written, or is not a key.
pub(crate) fn open_or_create(path: &Path, lost: &str) -> anyhow::Result<[u8; KEY_BYTES]> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let key = <[u8; KEY_BYTES]>::try_from(&*bytes).ok();
            key.with_context(|| format!("{} is not a key; {lost}", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0; KEY_BYTES];
            let random = getrandom::fill(&mut key);
            ensure!(random.is_ok(), "no random bytes are to be had");
            private::replace_file(path, &key).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
