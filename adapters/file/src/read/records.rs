//! Reads a file record by record and hands over batches.

use std::fs::File;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tokio_util::sync::CancellationToken;
use towpath_record::StreamSchema;
use towpath_record::dead_letter::DeadLetter;

use super::{BLOCK_BYTES, Extent, ReadFault, TextReader, clean};
use crate::columns::{ColumnSet, Faults, FileFacts, RowFault};
use crate::config::FileRule;
use crate::format::{Opened, Opening, Splitter, grow, open, too_long};
use crate::infer::InferredColumn;
use crate::table::{Row, Table};

/// How a file is to be read.
#[derive(Clone)]
pub(crate) struct ReadPlan {
    pub(crate) rule: Arc<FileRule>,
    pub(crate) facts: FileFacts,
    /// What dead letters call the file.
    pub(crate) resource: String,
    pub(crate) provenance: bool,
    pub(crate) batch_rows: usize,
    pub(crate) batch_bytes: usize,
    /// Cancelled when the source is to stop.
    pub(crate) stop: CancellationToken,
}

/// How far a file was read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    /// The offset of the next record in the text.
    pub(crate) offset: u64,
    /// The number of the next record's line, from 1.
    pub(crate) line: u64,
    /// Rows that became records.
    pub(crate) good: u64,
    /// Rows that became dead letters.
    pub(crate) bad: u64,
}

/// What was read.
pub(crate) struct Parsed {
    pub(crate) schema: StreamSchema,
    pub(crate) batch: Option<RecordBatch>,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) end: Counts,
    pub(crate) verdict: Verdict,
}

/// What follows what was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// More records.
    More,
    /// Nothing until the file grows.
    Waiting,
    /// Nothing: this is the end of the file.
    End,
    /// Nothing: the file has too many bad rows.
    GivenUp(String),
}

/// Reads a file record by record.
pub(crate) struct RecordReader {
    plan: ReadPlan,
    text: TextReader,
    splitter: Box<dyn Splitter>,
    columns: ColumnSet,
    inferred: Option<Vec<InferredColumn>>,
    table: Table,
    letters: Vec<DeadLetter>,
    counts: Counts,
    /// Bytes of input in the batch that is being built.
    batch_bytes: usize,
    /// How much text the next record needs in the window.
    wanted: usize,
    skipping: Option<Skipping>,
    growing: bool,
}

/// A record that is too long and is passed over.
struct Skipping {
    line: u64,
    raw: Vec<u8>,
    begun: bool,
}

enum Step {
    /// Something was read, or more of the file must be.
    On,
    /// What was read must be handed over first.
    Flush,
    Stop(Verdict),
}

/// A row that is refused, and how many rows of its table come before it.
struct BadRow {
    row: Row,
    before: usize,
    is_split: bool,
    fault: RowFault,
}

impl RecordReader {
    /// Reads that much of a file, or what follows `resume` in it.
    ///
    /// # Errors
    /// The file cannot be read, or what stands before its first record is at fault.
    pub(crate) fn open(
        plan: ReadPlan,
        file: File,
        extent: Extent,
        known: Option<Vec<InferredColumn>>,
        resume: Option<Counts>,
    ) -> Result<Self, ReadFault> {
        let mut text = TextReader::open(file, extent, plan.rule.compression, plan.rule.format.encoding())?;
        let opening = Opening { rule: &plan.rule, facts: &plan.facts, provenance: plan.provenance, known };
        let Opened { mut splitter, columns, inferred } = open(opening, &mut text)?;
        if let Some(resume) = resume {
            if !text.seek(resume.offset, &plan.stop)? {
                return Err(ReadFault::Damaged(format!("it ends before offset {}", resume.offset)));
            }
            splitter.set_line(resume.line);
        }
        let begin = Counts { offset: text.offset(), line: splitter.line(), good: 0, bad: 0 };
        Ok(Self {
            plan,
            text,
            splitter,
            columns,
            inferred,
            table: Table::default(),
            letters: Vec::new(),
            counts: resume.unwrap_or(begin),
            batch_bytes: 0,
            wanted: BLOCK_BYTES,
            skipping: None,
            growing: extent.growing,
        })
    }

    /// Whether a record that is too long is being passed over.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping.is_some()
    }

    /// Lets more of a file be read that has grown.
    pub(crate) fn grow(&mut self, length: u64) {
        self.text.grow(length);
    }

    /// Takes the end of what may be read for the end of the file.
    pub(crate) fn end_growing(&mut self) {
        self.growing = false;
        self.text.end_growing();
    }

    /// Where the next record begins.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The columns, if they were inferred.
    pub(crate) fn inferred(&self) -> Option<&[InferredColumn]> {
        self.inferred.as_deref()
    }

    /// Reads the next batch.
    ///
    /// # Errors
    /// The file cannot be read on. What was read of the batch is lost with the reader.
    pub(crate) fn next(&mut self) -> Result<Parsed, ReadFault> {
        loop {
            if self.rows() >= self.plan.batch_rows || self.batch_bytes >= self.plan.batch_bytes {
                return Ok(self.finish(Verdict::More));
            }
            let step = if self.skipping.is_some() { self.skip()? } else { self.split()? };
            match step {
                Step::On => {}
                Step::Flush => return Ok(self.finish(Verdict::More)),
                Step::Stop(Verdict::End) => {
                    let Counts { good, bad, .. } = self.counts;
                    let limit = self.plan.rule.max_bad_rows.exceeded(bad, good + bad, true);
                    return Ok(self.finish(limit.map_or(Verdict::End, Verdict::GivenUp)));
                }
                Step::Stop(verdict) => return Ok(self.finish(verdict)),
            }
        }
    }

    /// What was read since the last batch, for when the file cannot be read on.
    pub(crate) fn finish(&mut self, verdict: Verdict) -> Parsed {
        self.batch_bytes = 0;
        Parsed {
            schema: self.columns.schema().clone(),
            batch: self.columns.finish(),
            letters: std::mem::take(&mut self.letters),
            end: self.counts,
            verdict,
        }
    }

    /// Rows in the batch, good and bad, so that neither can be too many.
    fn rows(&self) -> usize {
        self.columns.rows() + self.letters.len()
    }

    /// Splits and types the records at the window's beginning.
    fn split(&mut self) -> Result<Step, ReadFault> {
        self.text.fill(self.wanted)?;
        let window = self.text.window();
        let at_end = self.text.at_end();
        if window.is_empty() {
            return Ok(Step::Stop(if self.growing { Verdict::Waiting } else { Verdict::End }));
        }
        let look = &window[..window.len().min(self.wanted)];
        let ended = at_end && look.len() == window.len() && !self.growing;
        let complete = if ended { look.len() } else { memchr::memrchr(b'\n', look).map_or(0, |at| at + 1) };
        let read = clean(&look[..complete], self.text.is_transcoded());
        self.table.reset(self.splitter.width());
        let room = self.plan.batch_rows - self.rows();
        let split = self.splitter.split(&read.text, ended, room, &mut self.table);
        if split.consumed == 0 {
            let (looked, saw_all) = (look.len(), at_end && look.len() == window.len());
            return if split.meets_new_field { self.learn() } else { self.look_further(looked, saw_all) };
        }
        let mut faults = Faults::new();
        for flaw in &read.flaws {
            if let Some(row) = self.table.row_at(flaw.at) {
                let fault = || RowFault { column: None, reason: flaw.kind.reason().to_owned() };
                faults.entry(row).or_insert_with(fault);
            }
        }
        self.columns.append(&read.text, &self.table, &mut faults);
        let given_up = self.judge(split.consumed, &faults);
        self.advance(split.consumed);
        self.wanted = BLOCK_BYTES;
        Ok(given_up.map_or(Step::On, |reason| Step::Stop(Verdict::GivenUp(reason))))
    }

    /// Sorts the good rows of the table from the bad ones. Returns why the file is given up, if it is; then rows
    /// after the one that did it count for nothing.
    fn judge(&mut self, consumed: usize, faults: &Faults) -> Option<String> {
        let rows = self.table.rows();
        let mut bad: Vec<BadRow> = Vec::new();
        for (index, fault) in faults {
            bad.push(BadRow { row: rows[*index], before: *index, is_split: true, fault: fault.clone() });
        }
        for refused in self.table.refused() {
            let start = refused.row.range().start;
            let before = rows.partition_point(|row| row.range().start < start);
            let fault = RowFault { column: refused.column.clone(), reason: refused.reason.clone() };
            bad.push(BadRow { row: refused.row, before, is_split: false, fault });
        }
        bad.sort_by_key(|bad| bad.row.range().start);
        let before = self.counts.good + self.counts.bad;
        let window = &self.text.window()[..consumed];
        let mut accepted = rows.len();
        let mut given_up = None;
        let mut unsplit = 0;
        for BadRow { row, before: rows_before, is_split, fault } in bad {
            self.letters.push(self.plan.letter(row.line, fault, &window[row.range()]));
            self.counts.bad += 1;
            let read = before + (rows_before + unsplit + 1) as u64;
            given_up = self.plan.rule.max_bad_rows.exceeded(self.counts.bad, read, false);
            if given_up.is_some() {
                accepted = rows_before + usize::from(is_split);
                break;
            }
            unsplit += usize::from(!is_split);
        }
        self.counts.good += self.columns.accept(rows.len(), accepted, faults) as u64;
        given_up
    }

    fn advance(&mut self, consumed: usize) {
        self.text.consume(consumed);
        self.batch_bytes += consumed;
        self.counts.offset = self.text.offset();
        self.counts.line = self.splitter.line();
    }

    /// The first `looked` bytes of the window hold no complete record: more text is needed, or there is too much of it
    /// already.
    fn look_further(&mut self, looked: usize, saw_all: bool) -> Result<Step, ReadFault> {
        if looked as u64 > self.plan.rule.max_record_bytes.0 {
            let (raw, _) = DeadLetter::clip(self.text.window());
            self.skipping = Some(Skipping { line: self.splitter.line(), raw, begun: false });
            return Ok(Step::On);
        }
        if saw_all && self.growing {
            return Ok(Step::Stop(Verdict::Waiting));
        }
        if looked == self.text.window().len() {
            self.text.damage()?;
        }
        self.wanted = looked.max(self.wanted) * 2;
        Ok(Step::On)
    }

    /// Passes over the next part of a record that is too long.
    fn skip(&mut self) -> Result<Step, ReadFault> {
        if self.text.window().is_empty() {
            self.text.fill(BLOCK_BYTES)?;
        }
        let Some(skipping) = &mut self.skipping else { return Ok(Step::On) };
        let window = self.text.window();
        if window.is_empty() && self.growing {
            return Ok(Step::Stop(Verdict::Waiting));
        }
        let skip = self.splitter.skip(window, !skipping.begun);
        let done = skip.done || window.is_empty();
        skipping.begun = true;
        self.text.consume(skip.consumed);
        // Hands over nothing now and then, so that a stop is heard in the middle of a record of any length.
        self.batch_bytes += skip.consumed;
        let Some(Skipping { line, raw, .. }) = self.skipping.take_if(|_| done) else { return Ok(Step::On) };
        let longest = usize::try_from(self.plan.rule.max_record_bytes.0).unwrap_or(usize::MAX);
        let fault = RowFault { column: None, reason: too_long(longest) };
        let mut letter = self.plan.letter(line, fault, &raw);
        letter.raw_truncated = true;
        self.letters.push(letter);
        self.counts.bad += 1;
        self.wanted = BLOCK_BYTES;
        self.advance(0);
        let Counts { good, bad, .. } = self.counts;
        let given_up = self.plan.rule.max_bad_rows.exceeded(bad, good + bad, false);
        Ok(given_up.map_or(Step::On, |reason| Step::Stop(Verdict::GivenUp(reason))))
    }

    /// Adds the new fields of the next record to the columns.
    fn learn(&mut self) -> Result<Step, ReadFault> {
        if self.columns.rows() > 0 || !self.letters.is_empty() {
            return Ok(Step::Flush);
        }
        let Self { plan, splitter, text, inferred, .. } = self;
        let opening = Opening {
            rule: &plan.rule,
            facts: &plan.facts,
            provenance: plan.provenance,
            known: inferred.clone(),
        };
        let (columns, inferred) = grow(&opening, splitter.as_mut(), text)?;
        self.columns = columns;
        self.inferred = Some(inferred);
        Ok(Step::On)
    }
}

impl ReadPlan {
    /// The dead letter of a row.
    pub(crate) fn letter(&self, line: u64, fault: RowFault, raw: &[u8]) -> DeadLetter {
        let (raw, raw_truncated) = DeadLetter::clip(raw);
        DeadLetter {
            resource: self.resource.clone(),
            line,
            column: fault.column,
            reason: fault.reason,
            raw,
            raw_truncated,
        }
    }
}

#[cfg(test)]
mod tests;
