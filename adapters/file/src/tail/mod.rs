//! Follows files that grow and are rotated.
//!
//! A followed file is known by device, inode and a fingerprint of its first bytes, so it stays the same file when it is
//! renamed, and is another one when it was truncated or its inode was given to a new file. A line is read once its line
//! end is there; the last one of a file that was rotated away needs none.

mod file;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use towpath_adapter_api::{AdapterError, ErrorKind, Rows};
use towpath_record::StreamName;

use crate::config::FileSourceConfig;
use crate::discover::{Candidate, Scanner, watch};
use crate::emit::{Emitter, LULL};
use crate::position::{Followed, SourcePosition};
use file::{Grown, Tail};

/// Most files that are followed at once. A position lists each with some 70 bytes.
pub(crate) const MOST_FILES: usize = 200;

/// Follows files that grow.
pub(crate) struct FollowedFiles {
    config: Arc<FileSourceConfig>,
    emitter: Emitter,
    scanner: Scanner,
    wake: Arc<Notify>,
    tails: Vec<Tail>,
}

impl FollowedFiles {
    /// # Errors
    /// A glob is not well-formed.
    pub(crate) fn new(
        config: Arc<FileSourceConfig>,
        emitter: Emitter,
        wake: Arc<Notify>,
    ) -> Result<Self, AdapterError> {
        let scanner = Scanner::new(&config)?;
        Ok(Self { config, emitter, scanner, wake, tails: Vec::new() })
    }

    /// Follows until stopped, going on where `resume` says.
    ///
    /// # Errors
    /// The folder cannot be listed, or holds too many files.
    pub(crate) fn run(mut self, resume: &[Followed]) -> Result<(), AdapterError> {
        match self.follow(resume) {
            Err(error) if error.kind == ErrorKind::Stopped => Ok(()),
            other => other,
        }
    }

    fn follow(&mut self, resume: &[Followed]) -> Result<(), AdapterError> {
        self.scanner.list(|_, _| Ok(true))?;
        let _watcher = watch(&self.config.path, self.config.recursive, self.wake.clone());
        self.find_again(resume)?;
        loop {
            self.find_new()?;
            let mut index = 0;
            while index < self.tails.len() {
                if self.read(index)? {
                    let tail = self.tails.remove(index);
                    tracing::info!(path = %tail.path.display(), "the file was rotated away and read to its end");
                    self.emitter.emit(
                        tail.stream(&self.config),
                        Rows::Progress,
                        self.position(),
                        Vec::new(),
                    )?;
                } else {
                    index += 1;
                }
            }
            self.emitter.wait(&self.wake, self.config.rescan.0)?;
            std::thread::sleep(LULL);
        }
    }

    /// Finds the files of a position, whatever they are called now.
    fn find_again(&mut self, resume: &[Followed]) -> Result<(), AdapterError> {
        if resume.is_empty() {
            return Ok(());
        }
        let there: HashMap<(u64, u64), Candidate> =
            self.scanner.all()?.into_iter().map(|candidate| (candidate.stat.file_id, candidate)).collect();
        for state in resume {
            let found = there.get(&(state.device, state.inode)).cloned();
            let known_rule = usize::try_from(state.rule).is_ok_and(|rule| rule < self.config.files.len());
            match found
                .filter(|_| known_rule)
                .and_then(|found| Tail::go_on(&self.config, found, state.clone()))
            {
                Some(tail) => self.tails.push(tail),
                None => tracing::warn!(
                    folder = %self.config.path.display(), inode = state.inode, line = state.line,
                    "a file that was followed is gone; what was written to it after this line was not read"
                ),
            }
        }
        Ok(())
    }

    /// Begins to follow files that were not there before, and notes which ones were rotated away.
    fn find_new(&mut self) -> Result<(), AdapterError> {
        let now = Instant::now();
        let there = self.scanner.list(|_, _| Ok(false))?.found;
        for tail in &mut self.tails {
            let found = there.iter().find(|candidate| candidate.stat.file_id == tail.file_id);
            tail.note_place(found.map(|candidate| &candidate.path), now);
        }
        for candidate in there {
            if self.tails.iter().any(|tail| tail.file_id == candidate.stat.file_id) {
                continue;
            }
            if self.tails.len() >= MOST_FILES {
                return Err(AdapterError::new(
                    ErrorKind::Config,
                    format!("folder {}", self.config.path.display()),
                    format!(
                        "it holds more than {MOST_FILES} files that match; exclude rotated ones, or divide them \
                         among several sources"
                    ),
                ));
            }
            self.tails.extend(Tail::begin(&self.config, &candidate));
        }
        Ok(())
    }

    /// Reads what a file has grown by. Returns whether it is done with.
    fn read(&mut self, index: usize) -> Result<bool, AdapterError> {
        loop {
            self.emitter.check()?;
            let tail = &mut self.tails[index];
            let Some(Grown { letters, letters_done, records, after }) =
                tail.next(&self.config, &self.emitter.stop)
            else {
                return Ok(tail.is_done());
            };
            let stream = tail.stream(&self.config).clone();
            if !letters.is_empty() {
                let between = Followed { letters_done, ..self.tails[index].state.clone() };
                self.tails[index].state = if records.is_some() { between } else { after.clone() };
                self.emit(&stream, Rows::DeadLetters(letters))?;
            }
            self.tails[index].state = after;
            if let Some((schema, batch)) = records {
                self.emit(&stream, Rows::Records { schema, batch })?;
            }
        }
    }

    fn emit(&self, stream: &StreamName, rows: Rows) -> Result<(), AdapterError> {
        Ok(self.emitter.emit(stream, rows, self.position(), Vec::new())?)
    }

    fn position(&self) -> SourcePosition {
        let followed = self.tails.iter().map(|tail| tail.state.clone()).collect();
        SourcePosition { followed, ..SourcePosition::default() }
    }
}
