//! Reads one file to its end.
//!
//! A batch becomes up to two emissions, first its dead letters and then its records. The position after the first is
//! still the batch's beginning, with the number of dead letters that need not be emitted again; so whatever is cut off
//! by a crash is read again and emitted once, wherever the next run happens to end its batches.

use std::sync::Arc;

use towpath_adapter_api::{AdapterError, Rows, Stopped};
use towpath_record::dead_letter::DeadLetter;

use super::{OpenFile, Setback};
use crate::columns::{FileFacts, RowFault};
use crate::config::{FileRule, FileSourceConfig, OnError};
use crate::emit::Emitter;
use crate::format::fits_position;
use crate::identity::Stat;
use crate::infer::InferredColumn;
use crate::mark::{FileDone, Outcome};
use crate::os;
use crate::position::{Reading, SourcePosition};
use crate::read::{Counts, Extent, Parsed, ReadFault, ReadPlan, RecordReader, Verdict};

/// Most dead letters of a file that is rejected as a whole.
const MOST_LETTERS_OF_REJECTED: usize = 1_000;

/// One file on its way.
pub(super) struct Load<'a> {
    emitter: &'a Emitter,
    open: &'a OpenFile,
    rule: Arc<FileRule>,
    plan: ReadPlan,
}

/// How a file ends.
enum Ending {
    Loaded,
    /// With a reason.
    Rejected(String),
    /// It is not the file any more that it was when it was identified.
    Changed,
}

impl<'a> Load<'a> {
    pub(super) fn new(config: &FileSourceConfig, emitter: &'a Emitter, open: &'a OpenFile) -> Self {
        let rule = Arc::new(config.files[open.rule].clone());
        let facts =
            FileFacts { path: open.path.display().to_string(), modified_us: open.stat.modified_ns / 1_000 };
        let plan = ReadPlan {
            rule: rule.clone(),
            facts,
            resource: config.path.join(&open.path).display().to_string(),
            provenance: config.provenance,
            batch_rows: config.batch.rows,
            batch_bytes: usize::try_from(config.batch.bytes.0).unwrap_or(usize::MAX),
            stop: emitter.stop.clone(),
        };
        Self { emitter, open, rule, plan }
    }

    /// Reads the file from its beginning or from `resume`. [`Setback::Trouble`] means that nothing was emitted.
    pub(super) fn run(&self, resume: Option<Reading>) -> Result<(), Setback> {
        if resume.is_none() && self.rule.on_error == OnError::RejectFile && !self.passes_trial()? {
            return Ok(());
        }
        let mut skip = resume.as_ref().map_or(0, |reading| reading.letters_done);
        let place = resume.as_ref().and_then(|reading| reading.place).map(Counts::from);
        let known = resume.as_ref().and_then(Reading::inferred);
        let Some(mut reader) = self.reader(known, place)? else { return Ok(()) };
        let mut emitted = place.is_some();
        loop {
            self.emitter.check()?;
            let begin = reader.counts();
            let parsed = match reader.next() {
                Ok(parsed) => parsed,
                Err(ReadFault::System(error)) if !emitted => return Err(Setback::Trouble(error)),
                Err(ReadFault::System(error)) => {
                    return Err(AdapterError::io(&*self.plan.resource, "read on in the file", error).into());
                }
                Err(ReadFault::Damaged(reason)) => reader.finish(Verdict::GivenUp(reason)),
                Err(ReadFault::Stopped) => return Err(Stopped.into()),
            };
            let ending = self.ending(&parsed.verdict);
            let ends = ending.is_some();
            self.emit(&reader, begin, parsed, ending, &mut skip)?;
            emitted = true;
            if ends {
                return Ok(());
            }
        }
    }

    /// The reader of the file; `None` if no record of it can be read, and it was rejected.
    fn reader(
        &self,
        known: Option<Vec<InferredColumn>>,
        place: Option<Counts>,
    ) -> Result<Option<RecordReader>, Setback> {
        let file = self.open.file.try_clone().map_err(Setback::Trouble)?;
        let extent = Extent { length: self.open.stat.size, growing: false };
        match RecordReader::open(self.plan.clone(), file, extent, known, place) {
            Ok(reader) => Ok(Some(reader)),
            Err(ReadFault::System(error)) => Err(Setback::Trouble(error)),
            Err(ReadFault::Damaged(reason)) => self.reject_unread(&reason, place).map(|()| None),
            Err(ReadFault::Stopped) => Err(Stopped.into()),
        }
    }

    fn ending(&self, verdict: &Verdict) -> Option<Ending> {
        let ending = match verdict {
            Verdict::More | Verdict::Waiting => return None,
            Verdict::End => Ending::Loaded,
            Verdict::GivenUp(reason) => Ending::Rejected(reason.clone()),
        };
        // Whatever was found in a file that is being written is found in its final version again, or was never meant.
        let now = self.open.file.metadata().map(|metadata| Stat::of(&metadata));
        Some(if now.is_ok_and(|now| now == self.open.stat) { ending } else { Ending::Changed })
    }

    fn emit(
        &self,
        reader: &RecordReader,
        begin: Counts,
        parsed: Parsed,
        ending: Option<Ending>,
        skip: &mut u64,
    ) -> Result<(), Stopped> {
        let Parsed { schema, batch, mut letters, end, .. } = parsed;
        letters.extend(ending.as_ref().and_then(|ending| self.letter_of(ending, end)));
        let found = letters.len() as u64;
        letters.drain(..usize::try_from(*skip).unwrap_or(usize::MAX).min(letters.len()));
        let letters_done = found.max(*skip);
        *skip = skip.saturating_sub(found);
        let (after, marks) = match ending {
            None => (self.position(reader, end, *skip), Vec::new()),
            Some(ending) => (SourcePosition::default(), self.marks_of(&ending, end)),
        };
        let stream = &self.rule.stream;
        let records = batch.map(|batch| Rows::Records { schema, batch });
        let letters = (!letters.is_empty()).then_some(Rows::DeadLetters(letters));
        match (letters, records) {
            (Some(letters), Some(records)) => {
                let between = self.position(reader, begin, letters_done);
                self.emitter.emit(stream, letters, between, Vec::new())?;
                self.emitter.emit(stream, records, after, marks)
            }
            (Some(rows), None) | (None, Some(rows)) => self.emitter.emit(stream, rows, after, marks),
            (None, None) if after.reading.is_none() => {
                self.emitter.emit(stream, Rows::Progress, after, marks)
            }
            (None, None) => Ok(()),
        }
    }

    fn position(&self, reader: &RecordReader, place: Counts, letters_done: u64) -> SourcePosition {
        let mut reading = Reading {
            path: os::path_bytes(&self.open.path).to_vec(),
            identity: self.open.identity.0.to_vec(),
            size: self.open.stat.size,
            place: Some(place.into()),
            letters_done,
            ..Reading::default()
        };
        if let Some(inferred) = reader.inferred().filter(|inferred| fits_position(inferred)) {
            reading.set_inferred(inferred);
        }
        SourcePosition { reading: Some(reading), ..SourcePosition::default() }
    }

    /// What a file's end says to whoever looks for missing rows.
    fn letter_of(&self, ending: &Ending, end: Counts) -> Option<DeadLetter> {
        let Counts { good, line, .. } = end;
        let reason = match ending {
            Ending::Loaded => return None,
            Ending::Rejected(reason) => {
                tracing::error!(path = self.plan.resource, reason, "the file is rejected");
                format!("the file was given up in line {line}, with {good} good rows read: {reason}")
            }
            Ending::Changed => format!(
                "the file changed while it was read; the {good} rows that were read stay, and the new version is \
                 read as a new file; raise ready.stable_for or use a done_marker if it was not complete"
            ),
        };
        Some(self.plan.letter(0, RowFault { column: None, reason }, &[]))
    }

    /// The mark of a file that is done with. A file that changed is not: its new version is another file.
    fn marks_of(&self, ending: &Ending, end: Counts) -> Vec<towpath_record::Mark> {
        let (outcome, reason) = match ending {
            Ending::Loaded => (Outcome::Loaded, ""),
            Ending::Rejected(reason) => (Outcome::Rejected, &**reason),
            Ending::Changed => {
                tracing::warn!(path = self.plan.resource, "the file changed while it was read");
                return Vec::new();
            }
        };
        let done = self.done(outcome, end, reason);
        self.emitter.ledger.complete(&done);
        vec![done.write()]
    }

    fn done(&self, outcome: Outcome, end: Counts, reason: &str) -> FileDone {
        let OpenFile { path, identity, stat, .. } = self.open;
        FileDone::new(path, *identity, (stat.size, stat.modified_ns), (end.good, end.bad), outcome, reason)
    }

    /// Reads the file without emitting anything. Returns whether it may be loaded; if not, it is rejected.
    fn passes_trial(&self) -> Result<bool, Setback> {
        let mut letters = Vec::new();
        let Some(mut reader) = self.reader(None, None)? else { return Ok(false) };
        loop {
            self.emitter.check()?;
            let parsed = match reader.next() {
                Ok(parsed) => parsed,
                Err(ReadFault::System(error)) => return Err(Setback::Trouble(error)),
                Err(ReadFault::Damaged(reason)) => reader.finish(Verdict::GivenUp(reason)),
                Err(ReadFault::Stopped) => return Err(Stopped.into()),
            };
            letters.extend(parsed.letters);
            letters.truncate(MOST_LETTERS_OF_REJECTED);
            match self.ending(&parsed.verdict) {
                None => {}
                Some(Ending::Loaded) => return Ok(true),
                Some(Ending::Changed) => return Err(Setback::Later),
                Some(Ending::Rejected(reason)) => {
                    self.reject(&reason, Counts { good: 0, ..parsed.end }, letters)?;
                    return Ok(false);
                }
            }
        }
    }

    /// Rejects a file of which no record can be read, or none after `place`.
    fn reject_unread(&self, reason: &str, place: Option<Counts>) -> Result<(), Setback> {
        let now = self.open.file.metadata().map_err(Setback::Trouble)?;
        if Stat::of(&now) != self.open.stat {
            return Err(Setback::Later);
        }
        Ok(self.reject(reason, place.unwrap_or_default(), Vec::new())?)
    }

    fn reject(&self, reason: &str, end: Counts, mut letters: Vec<DeadLetter>) -> Result<(), Stopped> {
        let ending = Ending::Rejected(reason.to_owned());
        letters.extend(self.letter_of(&ending, end));
        let marks = self.marks_of(&ending, end);
        self.emitter.emit(&self.rule.stream, Rows::DeadLetters(letters), SourcePosition::default(), marks)
    }
}
