//! Where the executables under test are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The environment variable that names the folder of the executables, when it is not the one of the running test.
pub const DIRECTORY_VARIABLE: &str = "TOWPATH_BIN_DIR";

const REMEDY: &str =
    "`cargo x test` builds it before the tests run, as does `cargo build --workspace --bins`";

/// The executables under test, all of one build.
#[derive(Clone, Debug)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Finds the executables: in `TOWPATH_BIN_DIR` if that is set, else beside the running executable, where cargo
    /// puts those of the same profile.
    ///
    /// # Errors
    /// One of them is missing, or older than its source: what it would show is not about the code that is read.
    pub fn find() -> Result<Self> {
        let found = match std::env::var_os(DIRECTORY_VARIABLE) {
            Some(directory) => PathBuf::from(directory),
            None => beside(&std::env::current_exe()?),
        };
        let binaries = Self(found);
        for path in [binaries.control(), binaries.agent(), binaries.cli()] {
            if !path.is_file() {
                bail!("{} is missing; {REMEDY}", path.display());
            }
            if let Some(newer) = newer_source(&path)? {
                bail!("{} is older than {}; {REMEDY}", path.display(), newer.display());
            }
        }
        Ok(binaries)
    }

    /// The folder that holds them.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The control plane.
    pub fn control(&self) -> PathBuf {
        self.0.join("towpath-control")
    }

    /// The agent.
    pub fn agent(&self) -> PathBuf {
        self.0.join("towpath-agent")
    }

    /// The command line.
    pub fn cli(&self) -> PathBuf {
        self.0.join("towpath")
    }
}

/// Test executables are in `deps`, one level below the executables of the packages.
fn beside(executable: &Path) -> PathBuf {
    let directory = executable.parent().unwrap_or(Path::new("."));
    let packages = directory.ends_with("deps").then(|| directory.parent()).flatten();
    packages.unwrap_or(directory).to_owned()
}

/// A source file that was changed after the executable was built, going by the list that cargo writes beside it: `PATH:
/// SOURCE SOURCE …`, with spaces in names escaped.
fn newer_source(executable: &Path) -> Result<Option<PathBuf>> {
    let Ok(list) = fs::read_to_string(executable.with_extension("d")) else { return Ok(None) };
    let built = fs::metadata(executable)?.modified()?;
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    let newer =
        |source: &PathBuf| fs::metadata(source).and_then(|meta| meta.modified()).is_ok_and(|at| at > built);
    Ok(sources
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|name| PathBuf::from(name.replace('\0', " ")))
        .find(newer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_that_is_older_than_one_of_its_sources_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let (program, old, new) =
            (dir.path().join("p"), dir.path().join("old one.rs"), dir.path().join("new.rs"));
        fs::write(&old, "").unwrap();
        fs::write(&program, "").unwrap();
        assert_eq!(newer_source(&program).unwrap(), None, "nothing is known of its sources");
        let escaped = |path: &Path| path.display().to_string().replace(' ', "\\ ");
        let list = format!("{}: {} {}\n", program.display(), escaped(&old), escaped(&new));
        fs::write(program.with_extension("d"), list).unwrap();
        assert_eq!(newer_source(&program).unwrap(), None);
        let later = fs::metadata(&program).unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
        fs::File::create(&new).unwrap().set_modified(later).unwrap();
        assert_eq!(newer_source(&program).unwrap(), Some(new));
    }
}
