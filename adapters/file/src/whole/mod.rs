//! Reads files that are complete, one after the other, each once.

mod load;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use towpath_adapter_api::{AdapterError, ErrorKind, Rows, Stopped};
use towpath_record::dead_letter::DeadLetter;

use crate::config::{DuplicatePolicy, FileSourceConfig};
use crate::discover::{Candidate, Scanner, watch};
use crate::emit::{Emitter, LULL};
use crate::identity::{Identified, Identity, Stat, identify, recall, remember, sha256};
use crate::ledger::Standing;
use crate::lifecycle::Lifecycle;
use crate::mark::{FileDone, Outcome};
use crate::os;
use crate::position::{Reading, SourcePosition};
use load::Load;

/// Reads files that are complete.
pub(crate) struct WholeFiles {
    config: Arc<FileSourceConfig>,
    emitter: Emitter,
    lifecycle: Arc<Lifecycle>,
    scanner: Scanner,
    wake: Arc<Notify>,
    /// Files that cannot be read, and what was said of each, so that it is said once.
    troubled: HashMap<PathBuf, String>,
}

/// A file that is open and identified.
pub(crate) struct OpenFile {
    /// Its path below the source's folder.
    pub(crate) path: PathBuf,
    pub(crate) rule: usize,
    pub(crate) file: File,
    pub(crate) stat: Stat,
    pub(crate) identity: Identity,
}

/// Why a file is not read now.
enum Setback {
    /// It is gone, or not at rest; the next listing will tell.
    Later,
    /// The system refuses.
    Trouble(io::Error),
    Failed(AdapterError),
}

impl<E: Into<AdapterError>> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl WholeFiles {
    /// # Errors
    /// A glob is not well-formed.
    pub(crate) fn new(
        config: Arc<FileSourceConfig>,
        emitter: Emitter,
        lifecycle: Arc<Lifecycle>,
        wake: Arc<Notify>,
    ) -> Result<Self, AdapterError> {
        let scanner = Scanner::new(&config)?;
        Ok(Self { config, emitter, lifecycle, scanner, wake, troubled: HashMap::new() })
    }

    /// Reads until stopped, beginning in the middle of `resume` if there is one.
    ///
    /// # Errors
    /// The folder cannot be listed, or a file fails after some of it was handed over.
    pub(crate) fn run(mut self, resume: Option<Reading>) -> Result<(), AdapterError> {
        match self.read_all(resume) {
            Err(error) if error.kind == ErrorKind::Stopped => Ok(()),
            other => other,
        }
    }

    fn read_all(&mut self, resume: Option<Reading>) -> Result<(), AdapterError> {
        self.scanner.list(|_, _| Ok(true))?;
        let _watcher = watch(&self.config.path, self.config.recursive, self.wake.clone());
        if let Some(reading) = resume {
            self.resume(reading)?;
        }
        loop {
            let ledger = self.emitter.ledger.clone();
            let scan = self.scanner.scan(|path, stat| ledger.is_known_done(path, stat))?;
            let mut read = 0;
            for candidate in &scan.ready {
                self.emitter.check()?;
                read += usize::from(self.take(candidate)?);
            }
            self.troubled.retain(|path, _| scan.ready.iter().any(|candidate| candidate.path == *path));
            self.lifecycle.retry()?;
            if scan.truncated && read > 0 {
                continue;
            }
            let wait = self.config.rescan.0.min(scan.look_again.unwrap_or(Duration::MAX));
            self.emitter.wait(&self.wake, wait)?;
            std::thread::sleep(LULL.min(wait));
        }
    }

    /// Deals with one file. Returns whether it is done with; a file that cannot be read holds up no other.
    fn take(&mut self, candidate: &Candidate) -> Result<bool, AdapterError> {
        match self.try_take(candidate) {
            Ok(()) => {
                self.troubled.remove(&candidate.path);
                Ok(true)
            }
            Err(Setback::Later) => Ok(false),
            Err(Setback::Failed(error)) => Err(error),
            Err(Setback::Trouble(error)) => {
                let said = error.to_string();
                let before = self.troubled.insert(candidate.path.clone(), said.clone());
                if before.as_ref() != Some(&said) {
                    tracing::warn!(
                        path = %self.config.path.join(&candidate.path).display(), %error,
                        "the file cannot be read; it is tried again with each listing of the folder; \
                         the agent's user needs the right to read it"
                    );
                }
                Ok(false)
            }
        }
    }

    fn try_take(&self, candidate: &Candidate) -> Result<(), Setback> {
        let open = self.open(candidate)?;
        let standing = self.emitter.ledger.standing(&open.path, open.identity)?;
        // A file may have been put away between the listing and here. If it was, it is gone from its name by the time
        // the ledger no longer lists it as waiting.
        if standing == Standing::Done || !self.is_in_place(&open) {
            return Err(Setback::Later);
        }
        self.emitter.wait_for_room()?;
        if let Some(expected) = candidate.sha256 {
            let found = sha256(&open.file, &self.emitter.stop).map_err(Setback::Trouble)?.ok_or(Stopped)?;
            if found != expected {
                let reason = format!(
                    "its SHA-256 is {}, and its manifest says {}; have it written again",
                    hex::encode(found),
                    hex::encode(expected)
                );
                return Ok(self.reject(&open, &reason)?);
            }
        }
        if let Standing::Duplicate(first) = &standing {
            tracing::warn!(
                path = %self.config.path.join(&open.path).display(), first = %first.display(),
                loads = self.config.duplicate == DuplicatePolicy::Load,
                "the file has the content of one that was loaded before"
            );
            if self.config.duplicate == DuplicatePolicy::Skip {
                return Ok(self.finish(&open, Outcome::Duplicate, "", Rows::Progress)?);
            }
        }
        Load::new(&self.config, &self.emitter, &open).run(None)
    }

    fn open(&self, candidate: &Candidate) -> Result<OpenFile, Setback> {
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Setback::Later,
            _ => Setback::Trouble(error),
        };
        let file = File::open(self.config.path.join(&candidate.path)).map_err(gone)?;
        let stat = Stat::of(&file.metadata().map_err(Setback::Trouble)?);
        if stat != candidate.stat {
            return Err(Setback::Later);
        }
        let identity = self.identify(&candidate.path, &file, &stat)?;
        Ok(OpenFile { path: candidate.path.clone(), rule: candidate.rule, file, stat, identity })
    }

    fn identify(&self, path: &Path, file: &File, stat: &Stat) -> Result<Identity, Setback> {
        let cache = &*self.emitter.ledger.cache;
        if let Some(known) = recall(cache, path, stat) {
            return Ok(known);
        }
        match identify(file, stat, &self.emitter.stop).map_err(Setback::Trouble)? {
            Identified::As(identity) => {
                remember(cache, path, stat, identity);
                Ok(identity)
            }
            Identified::Changing => Err(Setback::Later),
            Identified::Stopped => Err(Stopped.into()),
        }
    }

    fn is_in_place(&self, open: &OpenFile) -> bool {
        let metadata = std::fs::symlink_metadata(self.config.path.join(&open.path));
        metadata.is_ok_and(|metadata| Stat::of(&metadata) == open.stat)
    }

    /// Goes on in the middle of a file.
    fn resume(&mut self, reading: Reading) -> Result<(), AdapterError> {
        let path = os::path_from_bytes(&reading.path);
        let whole = self.config.path.join(&path).display().to_string();
        let Some(open) = self.find_again(&path, &reading)? else { return self.lost(&path, &reading) };
        match Load::new(&self.config, &self.emitter, &open).run(Some(reading)) {
            Ok(()) => Ok(()),
            Err(Setback::Failed(error)) => Err(error),
            Err(Setback::Trouble(error)) => Err(AdapterError::io(whole, "go on reading the file", error)),
            Err(Setback::Later) => Ok(()),
        }
    }

    /// The file of a position, under its name or another one.
    fn find_again(&self, path: &Path, reading: &Reading) -> Result<Option<OpenFile>, AdapterError> {
        let mut same_size = self.scanner.list(|_, stat| Ok(stat.size != reading.size))?.found;
        same_size.sort_by_key(|candidate| candidate.path != path);
        for candidate in same_size {
            let resource = self.config.path.join(&candidate.path).display().to_string();
            match self.open(&candidate) {
                Ok(open) if Some(open.identity) == reading.identity() => return Ok(Some(open)),
                Ok(_) | Err(Setback::Later) => {}
                Err(Setback::Failed(error)) => return Err(error),
                Err(Setback::Trouble(error)) if candidate.path == path => {
                    return Err(AdapterError::io(resource, "go on reading the file", error));
                }
                Err(Setback::Trouble(error)) => {
                    tracing::warn!(path = resource, %error, "the file cannot be compared with the one being read");
                }
            }
        }
        Ok(None)
    }

    /// Says that the rest of a file cannot be read any more.
    fn lost(&self, path: &Path, reading: &Reading) -> Result<(), AdapterError> {
        let place = reading.place.map(crate::read::Counts::from).unwrap_or_default();
        let letter = DeadLetter {
            resource: self.config.path.join(path).display().to_string(),
            line: place.line,
            column: None,
            reason: format!(
                "the file was replaced or removed before it was read to its end; its first {} good rows were read, \
                 what follows line {} was not; put the file back under a new name to have all of it read",
                place.good, place.line
            ),
            raw: Vec::new(),
            raw_truncated: false,
        };
        tracing::error!(path = letter.resource, "{}", letter.reason);
        let stream = self.stream_of(path);
        self.emitter.emit(&stream, Rows::DeadLetters(vec![letter]), SourcePosition::default(), Vec::new())?;
        Ok(())
    }

    fn stream_of(&self, path: &Path) -> towpath_record::StreamName {
        let rule = self.scanner.rule_of(path).unwrap_or(0);
        self.config.files[rule].stream.clone()
    }

    fn reject(&self, open: &OpenFile, reason: &str) -> Result<(), AdapterError> {
        let letter = DeadLetter {
            resource: self.config.path.join(&open.path).display().to_string(),
            line: 0,
            column: None,
            reason: reason.to_owned(),
            raw: Vec::new(),
            raw_truncated: false,
        };
        tracing::error!(path = letter.resource, reason, "the file is rejected");
        self.finish(open, Outcome::Rejected, reason, Rows::DeadLetters(vec![letter]))
    }

    fn finish(
        &self,
        open: &OpenFile,
        outcome: Outcome,
        reason: &str,
        rows: Rows,
    ) -> Result<(), AdapterError> {
        let look = (open.stat.size, open.stat.modified_ns);
        let done = FileDone::new(&open.path, open.identity, look, (0, 0), outcome, reason);
        self.emitter.ledger.complete(&done);
        let stream = &self.config.files[open.rule].stream;
        self.emitter.emit(stream, rows, SourcePosition::default(), vec![done.write()])?;
        Ok(())
    }
}
