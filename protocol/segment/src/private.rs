//! Small files beside the segments: keys, identities, whatever is replaced as a whole. Only the user of this process
//! may read them, from their first byte on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Makes the directory and its missing parents, closed to other users.
///
/// # Errors
/// The system refuses.
pub fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a new file durably, in place of a leftover of that name. Its name is durable after [`sync_dir`].
///
/// # Errors
/// The system refuses.
pub fn create_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A leftover of an earlier crash may have any mode; a new file has ours.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts `bytes` durably in `path`: after a crash at any point it holds either nothing, the old bytes or the new ones.
///
/// # Errors
/// The system refuses; what was there is there still.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    create_file(&partial, bytes)?;
    fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes durable which files the directory has.
///
/// # Errors
/// The system refuses.
#[cfg(unix)]
pub fn sync_dir(path: &Path) -> io::Result<()> {
    // The parent of a bare file name is the empty path, which stands for the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// Windows offers no handle on a directory that could be synced; NTFS journals its changes.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes every right of other users on the file away; says whether there was any.
///
/// # Errors
/// The system refuses.
pub fn tighten(path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
            return Ok(true);
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(false)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_closed_to_others_whatever_lay_there() {
        let dir = tempfile::tempdir().unwrap();
        let (home, path) = (dir.path().join("a/b"), dir.path().join("a/b/key"));
        create_dir(&home).unwrap();
        assert_eq!(mode(&home), 0o700);
        fs::write(path.with_extension("partial"), "left over").unwrap();
        fs::set_permissions(path.with_extension("partial"), fs::Permissions::from_mode(0o666)).unwrap();
        replace_file(&path, b"one").unwrap();
        replace_file(&path, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
        assert!(!path.with_extension("partial").exists());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(tighten(&path).unwrap() && !tighten(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
    }
}
