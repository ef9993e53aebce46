//! A small file system of its own, to be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const BALLAST: &str = ".ballast";
const BLOCK: usize = 64 << 10;

/// A tmpfs of a fixed size. Dropped means unmounted.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one at a folder, which is made.
    ///
    /// # Errors
    /// This process may not mount: it needs root.
    pub fn mount(path: &Path, bytes: u64) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "mounting a small file system needs root; run this as root or under `unshare --user --map-root-user --mount`"
        );
        fs::create_dir_all(path)?;
        let options = std::ffi::CString::new(format!("size={bytes},mode=0700"))?;
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), options.as_c_str())
            .with_context(|| format!("cannot mount a tmpfs at {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Fills it until no more than `leave` bytes are free.
    ///
    /// # Errors
    /// It cannot be written for another reason than being full.
    pub fn fill(&self, leave: u64) -> Result<()> {
        let mut ballast = File::options().create(true).append(true).open(self.path.join(BALLAST))?;
        let block = vec![0x5a; BLOCK];
        loop {
            let over = self.free()?.saturating_sub(leave);
            if over == 0 {
                return Ok(());
            }
            let length = usize::try_from(over)?.min(BLOCK);
            match ballast.write(&block[..length]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// The ballast cannot be removed.
    pub fn relieve(&self) -> Result<()> {
        Ok(fs::remove_file(self.path.join(BALLAST))?)
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// It is not mounted any more.
    pub fn free(&self) -> Result<u64> {
        let of = rustix::fs::statvfs(&self.path)?;
        Ok(of.f_bavail * of.f_frsize)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that still has a file open there keeps it alive no longer than itself.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}
