//! Finds the newest PostgreSQL on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::processes::command;

/// The server, the program that makes its files, and the client.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "psql"];
/// Where distributions put each version into a folder of its own: the parent, and what the folders' names begin with.
const HOMES: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/usr/local", "pgsql"),
    ("/usr/local/opt", "postgresql"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];
/// The oldest version that the source reads.
const OLDEST: u32 = 13;

/// An installed PostgreSQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Installed {
    bin: PathBuf,
    pub(super) version: u32,
}

impl Installed {
    /// The newest, in the directories of `PATH` and where distributions put it.
    pub(super) fn newest() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::split_paths(&path).filter(|directory| directory.is_absolute());
        newest_in(path.chain(HOMES.iter().flat_map(|(parent, prefix)| homes_in(Path::new(parent), prefix))))
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

fn newest_in(directories: impl Iterator<Item = PathBuf>) -> Option<Installed> {
    let complete = directories.filter(|bin| PROGRAMS.iter().all(|program| bin.join(program).is_file()));
    let installed = complete.filter_map(|bin| version(&bin).map(|version| Installed { bin, version }));
    installed.filter(|installed| installed.version >= OLDEST).max_by_key(|installed| installed.version)
}

/// The folders of programs in a parent that has a folder for each version.
fn homes_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    // A parent that is not there, or may not be listed, has none.
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path().join("bin")).collect()
}

/// The major version by the server's own word: `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`.
fn version(bin: &Path) -> Option<u32> {
    let said = command(&bin.join("postgres")).arg("--version").output().ok()?.stdout;
    let said = String::from_utf8_lossy(&said);
    let number = said.split_once("(PostgreSQL) ")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn home(parent: &Path, folder: &str, programs: &[&str], version: &str) -> PathBuf {
        let bin = parent.join(folder).join("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in programs {
            let path = bin.join(program);
            fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }

    #[test]
    fn the_newest_complete_version_is_taken_wherever_it_is() {
        let parent = tempfile::tempdir().unwrap();
        home(parent.path(), "pgsql-9", &PROGRAMS, "9.6.24");
        let newest = home(parent.path(), "pgsql-16", &PROGRAMS, "16.4 (Debian 16.4-1)");
        home(parent.path(), "pgsql-17", &["psql"], "17.0");
        home(parent.path(), "other-18", &PROGRAMS, "18.1");
        let found = newest_in(homes_in(parent.path(), "pgsql-").into_iter());
        assert_eq!(found, Some(Installed { bin: newest, version: 16 }));
    }

    #[test]
    fn a_version_that_the_source_does_not_read_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let old = home(parent.path(), "12", &PROGRAMS, "12.20");
        assert_eq!(newest_in([old, parent.path().join("gone")].into_iter()), None);
        assert!(homes_in(&parent.path().join("gone"), "").is_empty());
    }
}
