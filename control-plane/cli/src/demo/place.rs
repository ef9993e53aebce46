//! The demo's directory, and what lies where in it.
//!
//! ```text
//! drop/        the ERP drops its files here; archive/ and error/ below it
//! crm/         the CRM's database: crm.sqlite, or postgres/ with a server's files and passwords
//! out/         the results: erp.sqlite, and outbox/ with JSON lines
//! resources/   what was applied, as YAML to read, change and apply again
//! logs/        a log of each process
//! control/     what the control plane keeps, and the admin's context
//! plant/       what the agent in the plant keeps
//! cloud/       what the agent in the cloud keeps
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories that are tried for a name that is free.
const MOST_NUMBERS: u32 = 10_000;

/// The demo's directory.
#[derive(Clone, Debug)]
pub(super) struct Place(PathBuf);

/// Why there is no directory to work in.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It holds something.
    #[error("the directory {} is not empty; name a new one with --dir, or empty it", .0.display())]
    NotEmpty(PathBuf),
    /// Its name cannot stand in YAML.
    #[error("the path {} is not UTF-8, so resources cannot name it; choose another with --dir", .0.display())]
    NotText(PathBuf),
    /// Every name is taken.
    #[error(
        "towpath-demo-1 to towpath-demo-{MOST_NUMBERS} exist here; remove old ones, or choose a directory with --dir"
    )]
    AllTaken,
    /// It cannot be made.
    #[error("the directory {} cannot be made; choose one that you may write with --dir: {source}", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Place {
    /// A fresh directory: this one, or a new one below the current directory.
    pub(super) fn fresh(chosen: Option<&Path>) -> Result<Self, PlaceError> {
        let path = match chosen {
            Some(path) => empty(path)?,
            None => numbered()?,
        };
        let unwritable = |source| PlaceError::Unwritable { path: path.clone(), source };
        let place = Self(path.canonicalize().map_err(unwritable)?);
        if place.0.to_str().is_none() {
            return Err(PlaceError::NotText(place.0));
        }
        for folder in [place.drop_folder(), place.crm(), place.outbox(), place.resources(), place.logs()] {
            fs::create_dir_all(&folder).map_err(|source| PlaceError::Unwritable { path: folder, source })?;
        }
        Ok(place)
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    pub(super) fn drop_folder(&self) -> PathBuf {
        self.0.join("drop")
    }

    /// Where files lie whose rows are durable.
    pub(super) fn archive(&self) -> PathBuf {
        self.0.join("drop/archive")
    }

    /// Where files lie that could not be read.
    pub(super) fn errors(&self) -> PathBuf {
        self.0.join("drop/error")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.0.join("out/erp.sqlite")
    }

    pub(super) fn outbox(&self) -> PathBuf {
        self.0.join("out/outbox")
    }

    /// Where the CRM's database lies.
    pub(super) fn crm(&self) -> PathBuf {
        self.0.join("crm")
    }

    /// The CRM's database where it is a file.
    pub(super) fn crm_file(&self) -> PathBuf {
        self.0.join("crm/crm.sqlite")
    }

    /// What the CRM's server keeps, where it has one.
    pub(super) fn crm_server(&self) -> PathBuf {
        self.0.join("crm/postgres")
    }

    /// The password of a user of the CRM's server.
    pub(super) fn crm_password(&self, user: &str) -> PathBuf {
        self.crm_server().join(format!("{user}.password"))
    }

    pub(super) fn resources(&self) -> PathBuf {
        self.0.join("resources")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The log of a process.
    pub(super) fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    pub(super) fn control_data(&self) -> PathBuf {
        self.0.join("control")
    }

    /// The admin's context, which the control plane writes when it first starts.
    pub(super) fn context(&self) -> PathBuf {
        self.control_data().join("admin-context.yaml")
    }

    /// What an agent keeps.
    pub(super) fn agent_state(&self, agent: &str) -> PathBuf {
        self.0.join(agent)
    }
}

fn empty(path: &Path) -> Result<PathBuf, PlaceError> {
    let unwritable = |source| PlaceError::Unwritable { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(unwritable)?;
    match fs::read_dir(path).map_err(unwritable)?.next() {
        None => Ok(path.to_owned()),
        Some(_) => Err(PlaceError::NotEmpty(path.to_owned())),
    }
}

/// Makes the first `towpath-demo-N` that is not there yet.
fn numbered() -> Result<PathBuf, PlaceError> {
    for number in 1..=MOST_NUMBERS {
        let path = PathBuf::from(format!("towpath-demo-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(PlaceError::Unwritable { path, source }),
        }
    }
    Err(PlaceError::AllTaken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_holds_something_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.tex"), "ten years").unwrap();
        let error = Place::fresh(Some(directory.path())).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_directory_is_made_with_its_folders() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::fresh(Some(&directory.path().join("new/demo"))).unwrap();
        assert!(place.drop_folder().is_dir() && place.crm().is_dir() && place.outbox().is_dir());
        assert!(place.root().is_absolute());
        assert!(Place::fresh(Some(place.root())).is_err(), "it is fresh only once");
    }
}
