//! One file that is followed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use tokio_util::sync::CancellationToken;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{StreamName, StreamSchema};

use crate::columns::{FileFacts, RowFault};
use crate::config::{CompressionChoice, FileRule, FileSourceConfig};
use crate::discover::Candidate;
use crate::identity::Stat;
use crate::position::Followed;
use crate::read::{Counts, Extent, Parsed, ReadFault, ReadPlan, RecordReader, Verdict};

/// How many of a file's first bytes tell it from another one with its inode.
const HEAD_BYTES: usize = 1 << 10;

/// A file that is followed.
pub(super) struct Tail {
    pub(super) file_id: (u64, u64),
    pub(super) path: PathBuf,
    /// Up to where it was handed over.
    pub(super) state: Followed,
    file: File,
    reader: Option<RecordReader>,
    /// What it looked like when it was last read to its end.
    seen: Option<Stat>,
    /// Whether all of that was read.
    drained: bool,
    /// Since when no file of its folder that a rule matches is this one.
    rotated_at: Option<Instant>,
    finishing: bool,
    ended: bool,
    /// It cannot be read as its rule says, and was reported.
    refused: bool,
    said: Option<String>,
}

/// What a file grew by.
pub(super) struct Grown {
    pub(super) letters: Vec<DeadLetter>,
    /// How many dead letters behind the state are emitted once these are.
    pub(super) letters_done: u64,
    pub(super) records: Option<(StreamSchema, RecordBatch)>,
    /// The state once all of this is handed over.
    pub(super) after: Followed,
}

impl Tail {
    /// Begins with a file that was not there before; `None` if it is gone already, cannot be read or is compressed.
    pub(super) fn begin(config: &FileSourceConfig, candidate: &Candidate) -> Option<Self> {
        let path = config.path.join(&candidate.path);
        let file = open(&path)?;
        let (device, inode) = candidate.stat.file_id;
        let rule = u32::try_from(candidate.rule).unwrap_or(u32::MAX);
        let tail = Self::new(candidate, file, Followed { device, inode, rule, ..Followed::default() });
        let head = tail.head(HEAD_BYTES).unwrap_or_default();
        if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            tracing::debug!(path = %path.display(), "a compressed file is not followed");
            return None;
        }
        Some(tail)
    }

    /// Goes on with a file of a position; `None` if it is another one by now.
    pub(super) fn go_on(config: &FileSourceConfig, candidate: Candidate, state: Followed) -> Option<Self> {
        let file = open(&config.path.join(&candidate.path))?;
        let tail = Self::new(&candidate, file, state);
        tail.is_same().unwrap_or(false).then_some(tail)
    }

    fn new(candidate: &Candidate, file: File, state: Followed) -> Self {
        Self {
            file_id: candidate.stat.file_id,
            path: candidate.path.clone(),
            state,
            file,
            reader: None,
            seen: None,
            drained: false,
            rotated_at: None,
            finishing: false,
            ended: false,
            refused: false,
            said: None,
        }
    }

    pub(super) fn stream<'a>(&self, config: &'a FileSourceConfig) -> &'a StreamName {
        &config.files[self.state.rule as usize].stream
    }

    /// Whether it was rotated away and read to its end.
    pub(super) fn is_done(&self) -> bool {
        self.ended
    }

    /// Notes where it lies among the files that a rule matches, if it does.
    pub(super) fn note_place(&mut self, path: Option<&PathBuf>, now: Instant) {
        match path {
            Some(path) => {
                self.path.clone_from(path);
                self.rotated_at = None;
            }
            None => {
                self.rotated_at.get_or_insert(now);
            }
        }
    }

    /// Reads the next batch of what it grew by. A failure is reported, and tried again later.
    pub(super) fn next(&mut self, config: &FileSourceConfig, stop: &CancellationToken) -> Option<Grown> {
        let fault = match self.try_next(config, stop) {
            Ok(grown) => {
                self.said = None;
                return grown;
            }
            Err(fault) => fault,
        };
        self.reader = None;
        let resource = config.path.join(&self.path).display().to_string();
        match fault {
            ReadFault::System(error) => {
                let said = error.to_string();
                if self.said.as_ref() != Some(&said) {
                    tracing::warn!(path = resource, %error, "the file cannot be followed; it is tried again");
                }
                self.said = Some(said);
                None
            }
            ReadFault::Stopped => None,
            ReadFault::Damaged(reason) => {
                self.refused = true;
                tracing::error!(path = resource, reason, "the file cannot be followed");
                let plan = self.plan(config, stop);
                let letter = plan.letter(0, RowFault { column: None, reason }, &[]);
                let told_before = self.state.letters_done > 0;
                let after = Followed { letters_done: 1, ..self.state.clone() };
                (!told_before).then(|| Grown { letters: vec![letter], letters_done: 1, records: None, after })
            }
        }
    }

    fn try_next(
        &mut self,
        config: &FileSourceConfig,
        stop: &CancellationToken,
    ) -> Result<Option<Grown>, ReadFault> {
        if self.ended || !self.prepare(config, stop)? {
            return Ok(None);
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let Parsed { schema, batch, mut letters, end, verdict } = reader.next()?;
        let waits = verdict != Verdict::More;
        self.drained = waits;
        let keeps_reader = reader.is_skipping() && !self.finishing;
        self.ended = waits && self.finishing;
        if waits && !keeps_reader {
            self.reader = None;
        }
        let found = letters.len() as u64;
        let known = self.state.letters_done;
        letters.drain(..usize::try_from(known).unwrap_or(usize::MAX).min(letters.len()));
        if letters.is_empty() && batch.is_none() && waits {
            return Ok(None);
        }
        let after = Followed {
            offset: end.offset,
            line: end.line,
            letters_done: known.saturating_sub(found),
            size: self.seen.map_or(0, |stat| stat.size),
            ..self.state.clone()
        };
        let records = batch.map(|batch| (schema, batch));
        Ok(Some(Grown { letters, letters_done: found.max(known), records, after }))
    }

    /// Makes the reader ready if there may be something to read.
    fn prepare(&mut self, config: &FileSourceConfig, stop: &CancellationToken) -> Result<bool, ReadFault> {
        let stat = Stat::of(&self.file.metadata().map_err(ReadFault::System)?);
        let at_rest = self.seen == Some(stat);
        // Rotated away so long ago that its writer has surely turned to the new file.
        let lingered = self.rotated_at.is_some_and(|since| since.elapsed() >= config.rescan.0);
        if let Some(reader) = &mut self.reader {
            if stat.size >= self.state.size {
                reader.grow(stat.size);
                if self.drained && at_rest && !self.finishing {
                    if !lingered {
                        return Ok(false);
                    }
                    reader.end_growing();
                    self.finishing = true;
                }
                self.seen = Some(stat);
                return Ok(true);
            }
            self.reader = None;
        }
        if stat.size < self.state.size || !self.is_same().map_err(ReadFault::System)? {
            tracing::info!(path = %self.path.display(), "the file was truncated; it is read from its beginning");
            let Followed { device, inode, rule, .. } = self.state;
            self.state = Followed { device, inode, rule, ..Followed::default() };
            (self.seen, self.refused) = (None, false);
        }
        self.finishing = at_rest && lingered;
        if self.refused || at_rest && !self.finishing {
            self.ended = self.refused && self.finishing;
            return Ok(false);
        }
        self.take_fingerprint().map_err(ReadFault::System)?;
        let file = self.file.try_clone().map_err(ReadFault::System)?;
        let extent = Extent { length: stat.size, growing: !self.finishing };
        let Followed { offset, line, .. } = self.state;
        let resume = (offset > 0).then_some(Counts { offset, line, good: 0, bad: 0 });
        self.seen = Some(stat);
        self.reader = Some(RecordReader::open(self.plan(config, stop), file, extent, None, resume)?);
        Ok(true)
    }

    fn plan(&self, config: &FileSourceConfig, stop: &CancellationToken) -> ReadPlan {
        let rule = &config.files[self.state.rule as usize];
        let modified_ns = self.seen.map_or(0, |stat| stat.modified_ns);
        ReadPlan {
            rule: Arc::new(FileRule { compression: CompressionChoice::None, ..rule.clone() }),
            facts: FileFacts { path: self.path.display().to_string(), modified_us: modified_ns / 1_000 },
            resource: config.path.join(&self.path).display().to_string(),
            provenance: config.provenance,
            batch_rows: config.batch.rows,
            batch_bytes: usize::try_from(config.batch.bytes.0).unwrap_or(usize::MAX),
            stop: stop.clone(),
        }
    }

    /// Whether it still begins with the bytes that it began with.
    fn is_same(&self) -> io::Result<bool> {
        let wanted = usize::try_from(self.state.head_bytes).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        let head = self.head(wanted)?;
        Ok(head.len() == wanted && (wanted == 0 || fingerprint(&head) == self.state.head))
    }

    fn take_fingerprint(&mut self) -> io::Result<()> {
        if (self.state.head_bytes as usize) < HEAD_BYTES {
            let head = self.head(HEAD_BYTES)?;
            self.state.head = fingerprint(&head);
            self.state.head_bytes = u32::try_from(head.len()).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// The first bytes. Moves the file's cursor, so it is called only while no reader is at work.
    fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(most);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        file.take(most as u64).read_to_end(&mut head)?;
        Ok(head)
    }
}

fn fingerprint(head: &[u8]) -> Vec<u8> {
    blake3::hash(head).as_bytes()[..16].to_vec()
}

fn open(path: &std::path::Path) -> Option<File> {
    File::open(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "the file cannot be followed; it is tried again");
            }
        })
        .ok()
}
