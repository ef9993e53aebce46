//! The state of a route: one JSON file that is replaced as a whole.
//!
//! ```text
//! <path>/.towpath/<route>.<replay>/
//!     lock          held by the one instance that writes
//!     state.json    the checkpoint, the unfinished files it covers and how far, the renames it decided
//!     <number>      an unfinished file
//! ```
//!
//! Replacing `state.json` is the commit. What it decides is carried out afterwards and again at every start,
//! so a crash in between changes nothing: a rename whose source is gone was carried out, even if someone has
//! taken the finished file away since. An unfinished file is cut to its committed length; a file that the
//! state does not name was never committed and is removed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use towpath_adapter_api::os::sync_folder;
use towpath_adapter_api::{Checkpoint, RouteKey};
use towpath_record::SchemaHash;

use super::error::FileSinkError;

const STATE: &str = "state.json";
const NEW_STATE: &str = "state.json.new";
const LOCK: &str = "lock";
const VERSION: u8 = 1;

/// What is known to be durable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    version: u8,
    /// In hexadecimal.
    checkpoint: Option<String>,
    /// The number of the next part.
    pub(crate) next_part: u64,
    pub(crate) open: Vec<OpenPart>,
    pub(crate) renames: Vec<Rename>,
}

/// An unfinished file, of which a part is committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenPart {
    /// Its name in the state folder.
    pub(crate) name: String,
    /// Where it will be seen, below the sink's folder.
    pub(crate) target: String,
    pub(crate) stream: String,
    pub(crate) folder: String,
    /// As what it is written. A part is not gone on with in another form.
    pub(crate) form: String,
    #[serde(with = "hexadecimal")]
    pub(crate) schema: SchemaHash,
    pub(crate) committed_bytes: u64,
}

/// A finished file that is to become visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rename {
    /// Its name in the state folder.
    pub(crate) name: String,
    /// Where it will be seen, below the sink's folder.
    pub(crate) target: String,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, checkpoint: None, next_part: 1, open: Vec::new(), renames: Vec::new() }
    }
}

impl State {
    pub(crate) fn new(
        checkpoint: &Checkpoint,
        next_part: u64,
        open: Vec<OpenPart>,
        renames: Vec<Rename>,
    ) -> Self {
        Self { version: VERSION, checkpoint: Some(hex::encode(&checkpoint.0)), next_part, open, renames }
    }

    /// The checkpoint, if there is one.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let bytes = hex::decode(self.checkpoint.as_ref()?).expect("checked when the state was read");
        Some(Checkpoint(bytes.into()))
    }
}

/// A route's state folder, held by this instance alone.
pub(crate) struct StateFolder {
    pub(crate) path: PathBuf,
    route: RouteKey,
    _lock: File,
}

impl StateFolder {
    /// Creates or finds the folder of a route and takes its lock.
    ///
    /// # Errors
    /// Another instance holds it, or the file system fails.
    pub(crate) fn hold(path: PathBuf, route: RouteKey) -> Result<Self, FileSinkError> {
        create_folder(&path)?;
        let lock = path.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(FileSinkError::io(&lock, "open the lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, route, _lock: file }),
            Err(fs::TryLockError::WouldBlock) => Err(FileSinkError::Busy { path, route }),
            Err(fs::TryLockError::Error(error)) => Err(FileSinkError::io(&lock, "take the lock")(error)),
        }
    }

    /// The state as last stored.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub(crate) fn load(&self) -> Result<State, FileSinkError> {
        let path = self.path.join(STATE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => return Err(FileSinkError::io(&path, "read the state")(error)),
        };
        let damaged = |reason| FileSinkError::State { path: path.clone(), route: self.route, reason };
        let state: State = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if state.version != VERSION {
            return Err(damaged(format!("its version is {}, and {VERSION} is known here", state.version)));
        }
        if state.checkpoint.as_ref().is_some_and(|checkpoint| hex::decode(checkpoint).is_err()) {
            return Err(damaged("its checkpoint is not hexadecimal".to_owned()));
        }
        Ok(state)
    }

    /// Replaces the state, durably and as a whole.
    ///
    /// # Errors
    /// The file system fails; the state is then the old or the new one.
    pub(crate) fn store(&self, state: &State) -> Result<(), FileSinkError> {
        let (new, path) = (self.path.join(NEW_STATE), self.path.join(STATE));
        let text = serde_json::to_vec(state).expect("the state has no maps with keys that are not text");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(&new, &path)?;
            sync_folder(&self.path)
        };
        write().map_err(FileSinkError::io(&path, "store the state"))
    }

    /// Makes the names of its files durable.
    ///
    /// # Errors
    /// The file system fails.
    pub(crate) fn sync(&self) -> Result<(), FileSinkError> {
        sync_folder(&self.path).map_err(FileSinkError::io(&self.path, "make new files durable"))
    }

    /// Removes every file that the state does not name.
    ///
    /// # Errors
    /// The file system fails.
    pub(crate) fn remove_uncommitted(&self, state: &State) -> Result<(), FileSinkError> {
        let kept =
            |name: &str| [STATE, LOCK].contains(&name) || state.open.iter().any(|part| part.name == name);
        let remove = || {
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(kept) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        remove().map_err(FileSinkError::io(&self.path, "remove what was never committed"))
    }

    /// Carries out the renames of a state, as far as they are not.
    ///
    /// # Errors
    /// The file system fails.
    pub(crate) fn rename(&self, sink_folder: &Path, renames: &[Rename]) -> Result<(), FileSinkError> {
        let mut folders = Vec::new();
        for Rename { name, target } in renames {
            let (from, to) = (self.path.join(name), sink_folder.join(target));
            if !from.try_exists().map_err(FileSinkError::io(&from, "look for a finished file"))? {
                continue;
            }
            let folder = to.parent().unwrap_or(sink_folder).to_owned();
            create_folder(&folder)?;
            fs::rename(&from, &to).map_err(FileSinkError::io(&to, "move a finished file to its place"))?;
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        if !folders.is_empty() {
            folders.push(self.path.clone());
        }
        folders.iter().try_for_each(|folder| {
            sync_folder(folder).map_err(FileSinkError::io(folder.clone(), "make renames durable"))
        })
    }
}

/// Creates a folder and those above it, durably.
fn create_folder(path: &Path) -> Result<(), FileSinkError> {
    let missing: Vec<_> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    fs::create_dir_all(path).map_err(FileSinkError::io(path, "create the folder"))?;
    for created in missing {
        let parent =
            created.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(parent).map_err(FileSinkError::io(parent, "make a new folder durable"))?;
    }
    Ok(())
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use towpath_record::SchemaHash;

    pub(super) fn serialize<S: Serializer>(hash: &SchemaHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SchemaHash, D::Error> {
        let mut hash = [0; 32];
        hex::decode_to_slice(String::deserialize(from)?, &mut hash).map_err(D::Error::custom)?;
        Ok(SchemaHash(hash))
    }
}
