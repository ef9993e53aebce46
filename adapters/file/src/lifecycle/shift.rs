//! Moves one file, never over another one, and never one that took its name in between.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{looks_like, with_suffix};
use crate::mark::FileDone;

/// How often a name may be taken: a thousand copies of one name say that something else is wrong.
const MOST_COLLISIONS: usize = 100_000;

/// This name, or with the first number that makes it a new one: `orders.csv`, `orders.csv.1`, `orders.csv.2`. Only
/// this source writes to its folders, so a name that is free stays free.
pub(super) fn free_name(wanted: &Path) -> io::Result<PathBuf> {
    let numbered = (1..MOST_COLLISIONS).map(|number| with_suffix(wanted, &format!(".{number}")));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|name| fs::symlink_metadata(name).is_err())
        .ok_or_else(|| io::Error::new(io::ErrorKind::AlreadyExists, "every numbered name is taken"))
}

/// Moves a file. Where a mark speaks of it, a file that does not look as it says is put back: it took the name after
/// it was looked at.
pub(super) fn shift(from: &Path, to: &Path, done: Option<&FileDone>) -> io::Result<()> {
    match fs::rename(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return copy_over(from, to),
        Err(error) => return Err(error),
    }
    match done {
        Some(done) if !looks_like(to, done)? => put_back(to, from),
        _ => Ok(()),
    }
}

/// Deletes the file that a mark speaks of. It is renamed first, so that no file that takes its name meanwhile is
/// deleted in its place.
pub(super) fn delete(path: &Path, done: &FileDone) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".towpath-delete");
    let aside = free_name(&path.with_file_name(name))?;
    fs::rename(path, &aside)?;
    if looks_like(&aside, done)? { remove(&aside) } else { put_back(&aside, path) }
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn put_back(aside: &Path, name: &Path) -> io::Result<()> {
    if fs::symlink_metadata(name).is_ok() {
        let text = format!("two new versions came at once; the older one was kept as {}", aside.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    fs::rename(aside, name)
}

/// Moves a file to another file system: a complete, durable copy under its final name, then the original goes.
fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    let partial = with_suffix(to, ".towpath-part");
    fs::copy(from, &partial)?;
    let copy = File::options().write(true).open(&partial)?;
    copy.set_modified(fs::metadata(from)?.modified()?)?;
    copy.sync_all()?;
    fs::rename(&partial, to)?;
    if let Some(folder) = to.parent() {
        towpath_adapter_api::os::sync_folder(folder)?;
    }
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Stat};
    use crate::mark::Outcome;

    fn mark(path: &Path) -> FileDone {
        let stat = Stat::of(&fs::metadata(path).unwrap());
        let look = (stat.size, stat.modified_ns);
        FileDone::new(Path::new("a"), Identity([0; 32]), look, (0, 0), Outcome::Loaded, "")
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("a.csv");
        assert_eq!(free_name(&wanted).unwrap(), wanted);
        fs::write(&wanted, "1").unwrap();
        fs::write(folder.path().join("a.csv.1"), "2").unwrap();
        assert_eq!(free_name(&wanted).unwrap(), folder.path().join("a.csv.2"));
    }

    #[test]
    fn a_new_version_that_slipped_in_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (name, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&name, "old").unwrap();
        let old = mark(&name);
        fs::write(&name, "newer").unwrap();
        shift(&name, &to, Some(&old)).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"newer");
        assert!(!to.exists());
        delete(&name, &old).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"newer");
        delete(&name, &mark(&name)).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_copy_to_another_file_system_keeps_content_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let (name, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&name, "content").unwrap();
        let old = mark(&name);
        copy_over(&name, &to).unwrap();
        assert!(!name.exists());
        assert!(looks_like(&to, &old).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"content");
    }
}
