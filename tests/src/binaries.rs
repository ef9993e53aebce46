//! Where the executables under test are.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The environment variable that names the folder of the executables, when it is not the one of the running test.
pub const DIRECTORY_VARIABLE: &str = "TOWPATH_BIN_DIR";

/// The executables under test, all of one build.
#[derive(Clone, Debug)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Finds the executables: in `TOWPATH_BIN_DIR` if that is set, else beside the running executable, where cargo
    /// puts those of the same profile.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn find() -> Result<Self> {
        let found = match std::env::var_os(DIRECTORY_VARIABLE) {
            Some(directory) => PathBuf::from(directory),
            None => beside(&std::env::current_exe()?),
        };
        let binaries = Self(found);
        for path in [binaries.control(), binaries.agent(), binaries.cli()] {
            if !path.is_file() {
                bail!("{} is missing; `cargo x test` builds it before the tests run", path.display());
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
