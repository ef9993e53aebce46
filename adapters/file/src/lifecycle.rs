//! Puts files away once their rows are durable: archive, delete or keep, and the error folder for rejected ones.
//!
//! Acting twice is acting once: a file that is gone was put away before, and one that looks different is a new version
//! that this release does not speak of. A file that cannot be moved stays where it is, is listed in the cache, and is
//! tried again with each listing of the folder.

mod shift;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::Mark;

use crate::config::{After, DoneMarker, FileSourceConfig};
use crate::discover::{Rules, parse_manifest};
use crate::identity::Stat;
use crate::ledger::{Ledger, failed, file_key, path_key};
use crate::mark::{FileDone, Outcome};
use shift::{free_name, remove, shift};
use towpath_adapter_api::os;

/// Puts files away.
pub(crate) struct Lifecycle {
    config: Arc<FileSourceConfig>,
    ledger: Arc<Ledger>,
    rules: Rules,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    StillThere,
    Gone,
}

impl Lifecycle {
    /// # Errors
    /// A glob is not well-formed.
    pub(crate) fn new(config: Arc<FileSourceConfig>, ledger: Arc<Ledger>) -> Result<Self, AdapterError> {
        let rules = Rules::new(&config)?;
        Ok(Self { config, ledger, rules })
    }

    /// Acts on marks that were released.
    ///
    /// # Errors
    /// The cache fails, or a move cannot be made durable.
    pub(crate) fn settle(&self, marks: &[Mark]) -> Result<(), AdapterError> {
        let mut touched = BTreeSet::new();
        let mut settled = Vec::new();
        for done in marks.iter().filter_map(FileDone::read) {
            self.ledger.release(&done)?;
            let fate = match self.put_away(&done, &mut touched) {
                Ok(fate) => fate,
                Err(error) => {
                    self.try_later(&done, &error)?;
                    Fate::StillThere
                }
            };
            settled.push((done, fate));
        }
        // Only then may a file count as gone: after power loss it could lie there again.
        for folder in touched.iter().filter(|folder| folder.exists()) {
            os::sync_folder(folder)
                .map_err(|error| AdapterError::io(folder.display().to_string(), "sync the folder", error))?;
        }
        for (done, fate) in settled {
            self.ledger.settle(&done, fate == Fate::StillThere)?;
            if fate == Fate::Gone {
                self.settle_manifests(&done)?;
            }
        }
        Ok(())
    }

    /// Tries again to move what could not be moved.
    ///
    /// # Errors
    /// The cache fails.
    pub(crate) fn retry(&self) -> Result<(), AdapterError> {
        const AT_ONCE: usize = 100;
        let cache = &self.ledger.cache;
        for (key, mark) in cache.scan(b"p/", None, AT_ONCE).map_err(failed)? {
            let Some(done) = FileDone::read(&Mark(mark.into())) else {
                cache.remove(&key).map_err(failed)?;
                continue;
            };
            match self.put_away(&done, &mut BTreeSet::new()) {
                Ok(fate) => {
                    cache.remove(&key).map_err(failed)?;
                    self.ledger.settle(&done, fate == Fate::StillThere)?;
                    self.settle_manifests(&done)?;
                }
                Err(error) => {
                    tracing::debug!(path = %done.path().display(), %error, "the file still cannot be moved");
                }
            }
        }
        Ok(())
    }

    fn try_later(&self, done: &FileDone, error: &io::Error) -> Result<(), AdapterError> {
        tracing::error!(
            path = %self.config.path.join(done.path()).display(), %error,
            "the file was read but cannot be put away; it stays, is not read again, and the move is tried again; \
             the agent's user needs the right to write in its folder and in the folder it goes to"
        );
        let key = file_key(b"p/", &done.path(), done.identity());
        self.ledger.cache.put(&key, &done.write().0).map_err(failed)
    }

    fn put_away(&self, done: &FileDone, touched: &mut BTreeSet<PathBuf>) -> io::Result<Fate> {
        let path = done.path();
        let from = self.config.path.join(&path);
        let folder = match (&self.config.after, done.outcome()) {
            (_, Outcome::Rejected) => Some(self.config.path.join(&self.config.error_folder)),
            (After::Archive(folder), _) => Some(self.config.path.join(folder)),
            (After::Delete, _) => None,
            (After::Keep, _) => {
                return Ok(if looks_like(&from, done)? { Fate::StillThere } else { Fate::Gone });
            }
        };
        let marker = self.marker_of(&from);
        let is_there = looks_like(&from, done)?;
        if !is_there && from.exists() {
            return Ok(Fate::Gone);
        }
        touched.extend(from.parent().map(Path::to_owned));
        let Some(folder) = folder else {
            // The marker goes first: left behind, it would call the next file of this name complete.
            marker.map_or(Ok(()), |marker| remove(&marker))?;
            return if is_there { shift::delete(&from, done) } else { Ok(()) }.map(|()| Fate::Gone);
        };
        let to = free_name(&folder.join(&path))?;
        let parent = to.parent().unwrap_or(&folder);
        if is_there || marker.as_ref().is_some_and(|marker| marker.exists()) {
            std::fs::create_dir_all(parent)?;
            touched.insert(parent.to_owned());
        }
        if let Some(marker) = marker.filter(|marker| marker.exists()) {
            shift(&marker, &free_name(&self.marker_of(&to).unwrap_or_default())?, None)?;
        }
        if is_there {
            if done.outcome() == Outcome::Rejected {
                std::fs::write(with_suffix(&to, ".reason"), reason(done))?;
            }
            shift(&from, &to, Some(done))?;
        }
        Ok(Fate::Gone)
    }

    fn marker_of(&self, path: &Path) -> Option<PathBuf> {
        match &self.config.ready.done_marker {
            Some(DoneMarker::Suffix(suffix)) => Some(with_suffix(path, suffix)),
            _ => None,
        }
    }

    /// Puts away the manifests that list a file, once all files that they list were.
    fn settle_manifests(&self, done: &FileDone) -> Result<(), AdapterError> {
        if !matches!(self.config.ready.done_marker, Some(DoneMarker::Manifest(_))) {
            return Ok(());
        }
        let path = done.path();
        let folder = path.parent().unwrap_or(Path::new(""));
        let Ok(entries) = std::fs::read_dir(self.config.path.join(folder)) else { return Ok(()) };
        for manifest in entries.filter_map(Result::ok).map(|entry| folder.join(entry.file_name())) {
            if !self.rules.is_manifest(&manifest) {
                continue;
            }
            let Ok(text) = std::fs::read(self.config.path.join(&manifest)) else { continue };
            let text = String::from_utf8_lossy(&text);
            let names: Vec<&str> = parse_manifest(&text).into_iter().map(|(_, name)| name).collect();
            if names.iter().any(|name| folder.join(name) == path) {
                self.settle_manifest(&manifest, &path, &names)?;
            }
        }
        Ok(())
    }

    fn settle_manifest(&self, manifest: &Path, settled: &Path, names: &[&str]) -> Result<(), AdapterError> {
        let cache = &self.ledger.cache;
        let key = |name: &[u8]| [b"m/", &path_key(manifest)[..], name].concat();
        let name = settled.file_name().unwrap_or_default();
        cache.put(&key(name.as_encoded_bytes()), &[]).map_err(failed)?;
        for name in names {
            if cache.get(&key(name.as_bytes())).map_err(failed)?.is_none() {
                return Ok(());
            }
        }
        let from = self.config.path.join(manifest);
        let moved = match &self.config.after {
            After::Archive(folder) => {
                free_name(&self.config.path.join(folder).join(manifest)).and_then(|to| {
                    std::fs::create_dir_all(to.parent().unwrap_or(&to))?;
                    shift(&from, &to, None)
                })
            }
            After::Delete => remove(&from),
            After::Keep => return Ok(()),
        };
        if let Err(error) = moved {
            tracing::warn!(manifest = %from.display(), %error, "the manifest cannot be put away and stays");
        }
        names.iter().try_for_each(|name| cache.remove(&key(name.as_bytes())).map_err(failed))
    }
}

/// Whether the file that a mark speaks of lies there, and not a later version of it.
fn looks_like(path: &Path, done: &FileDone) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file() && Stat::of(&metadata).shows(done.size, done.modified_ns)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn reason(done: &FileDone) -> String {
    format!(
        "{}\n\nrows read: {} good, {} bad\ncontent: blake3 {}\n\
         The bad rows are in the dead letters of its stream. Correct the file and put it back to have it read again.\n",
        done.reason,
        done.rows,
        done.bad_rows,
        done.identity()
    )
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// What the agent is told when the lifecycle cannot be run at all.
pub(crate) fn crashed(error: impl std::error::Error + Send + Sync + 'static) -> AdapterError {
    AdapterError::new(ErrorKind::Unavailable, "file source", "a worker thread ended early").caused_by(error)
}
