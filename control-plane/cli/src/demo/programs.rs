//! The programs that the demo starts.

use std::env;
use std::path::{Path, PathBuf};

const CONTROL: &str = "towpath-control";
const AGENT: &str = "towpath-agent";

/// Where the programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) control: PathBuf,
    pub(super) agent: PathBuf,
}

/// A program is nowhere to be found.
#[derive(Debug, thiserror::Error)]
#[error(
    "the program {program} is neither in {} nor in a directory of PATH; install it, or build it from the sources with \
     `cargo build --release -p towpath-control -p towpath-agent`",
    beside.display()
)]
pub struct MissingProgram {
    program: &'static str,
    beside: PathBuf,
}

impl Programs {
    /// Looks beside this program, then in the directories of `PATH`.
    pub(super) fn find() -> Result<Self, MissingProgram> {
        let own = env::current_exe().ok();
        let beside = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let path = env::var_os("PATH").unwrap_or_default();
        let others: Vec<_> = env::split_paths(&path).filter(|directory| directory.is_absolute()).collect();
        Self::find_in(beside, &others)
    }

    fn find_in(beside: &Path, others: &[PathBuf]) -> Result<Self, MissingProgram> {
        let find = |program: &'static str| {
            let name = format!("{program}{}", env::consts::EXE_SUFFIX);
            let directories = std::iter::once(beside).chain(others.iter().map(PathBuf::as_path));
            let found = directories.map(|directory| directory.join(&name)).find(|path| path.is_file());
            found.ok_or_else(|| MissingProgram { program, beside: beside.to_owned() })
        };
        Ok(Self { control: find(CONTROL)?, agent: find(AGENT)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_beside_this_one_go_before_those_in_the_path() {
        let (beside, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(beside.path().join(CONTROL), "").unwrap();
        std::fs::write(other.path().join(CONTROL), "").unwrap();
        std::fs::write(other.path().join(AGENT), "").unwrap();
        let found = Programs::find_in(beside.path(), &[other.path().to_owned()]).unwrap();
        assert_eq!(found.control, beside.path().join(CONTROL));
        assert_eq!(found.agent, other.path().join(AGENT));
    }

    #[test]
    fn a_missing_program_is_named_with_the_way_to_build_it() {
        let beside = tempfile::tempdir().unwrap();
        let error = Programs::find_in(beside.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("towpath-control") && error.contains("cargo build --release"), "{error}");
    }
}
