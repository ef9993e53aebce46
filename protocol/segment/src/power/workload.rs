//! What is done to a log, and a model of what must be there afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{AppendError, ReadError};
use crate::log::{Config, SegmentLog};
use crate::recovery::Recovery;
use crate::simulated::SimulatedStorage;

/// Small, so that a short workload rolls often.
pub(super) const SEGMENT_BYTES: u64 = 256;

pub(super) const DIR: &str = "/log";

pub(super) fn config() -> Config {
    Config { segment_bytes: SEGMENT_BYTES, max_record_bytes: 4096, first_index: 1 }
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Append(Vec<Vec<u8>>),
    Sync,
    Roll,
    /// Keep this many of the durable records.
    TrimTo(u64),
    Clear,
}

pub(super) fn steps(random: &mut fastrand::Rng) -> Vec<Step> {
    let count = random.usize(20..40);
    let step = |random: &mut fastrand::Rng| match random.u8(0..100) {
        0..55 => {
            let records = random.usize(1..4);
            Step::Append((0..records).map(|_| payload(random)).collect())
        }
        55..85 => Step::Sync,
        85..89 => Step::Roll,
        89..99 => Step::TrimTo(random.u64(0..8)),
        _ => Step::Clear,
    };
    (0..count).map(|_| step(random)).collect()
}

fn payload(random: &mut fastrand::Rng) -> Vec<u8> {
    let len = if random.u8(0..10) == 0 { random.usize(100..600) } else { random.usize(0..48) };
    (0..len).map(|_| random.u8(..)).collect()
}

/// What was tried and what was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Every payload that was ever appended under an index; the last is the one that counts once it is acknowledged.
    attempts: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Every index below was acknowledged as durable.
    acknowledged: u64,
    /// Every index below may be gone.
    trimmed: u64,
}

impl Model {
    /// Does the steps until one is refused for good. A refusal that the log promises to survive is survived.
    pub(super) fn run(
        &mut self,
        log: &mut SegmentLog<SimulatedStorage>,
        steps: &[Step],
    ) -> Result<(), AppendError> {
        steps.iter().try_for_each(|step| match self.step(log, step) {
            Err(AppendError::Poisoned(_)) => {
                let refused = log.append(&[b"must not be taken"]);
                assert!(matches!(refused, Err(AppendError::Poisoned(_))), "a poisoned log took a record");
                log.reopen()
            }
            Err(AppendError::NoSpace(_)) => Ok(()),
            other => other,
        })
    }

    /// Does the steps until one is refused.
    pub(super) fn run_to_first_refusal(
        &mut self,
        log: &mut SegmentLog<SimulatedStorage>,
        steps: &[Step],
    ) -> Result<(), AppendError> {
        steps.iter().try_for_each(|step| self.step(log, step))
    }

    /// Takes what a recovery says is there for acknowledged.
    pub(super) fn acknowledge_all(&mut self, log: &SegmentLog<SimulatedStorage>) {
        self.acknowledged = self.acknowledged.max(log.durable_index());
    }

    fn step(&mut self, log: &mut SegmentLog<SimulatedStorage>, step: &Step) -> Result<(), AppendError> {
        match step {
            Step::Append(payloads) => self.append(log, payloads)?,
            Step::Sync => self.acknowledged = log.sync()?,
            Step::Roll => {
                log.roll()?;
                self.acknowledged = log.next_index();
            }
            Step::TrimTo(keep) => {
                let before = log.durable_index().saturating_sub(*keep);
                self.trimmed = self.trimmed.max(before);
                log.trim_before(before)?;
            }
            Step::Clear => {
                self.trimmed = log.next_index();
                log.clear()?;
                self.acknowledged = log.next_index();
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        log: &mut SegmentLog<SimulatedStorage>,
        payloads: &[Vec<u8>],
    ) -> Result<(), AppendError> {
        let mut records: Vec<[&[u8]; 2]> = payloads
            .iter()
            .map(|payload| {
                let (head, tail) = payload.split_at(payload.len() / 2);
                [head, tail]
            })
            .collect();
        while !records.is_empty() {
            for (index, record) in (log.next_index()..).zip(&records) {
                self.attempts.entry(index).or_default().push(record.concat());
            }
            let taken = log.append_batch(&records)?;
            records.drain(..taken.count());
        }
        Ok(())
    }

    /// Compares what was found with what must be there; says how many records were equal.
    pub(super) fn compare(
        &self,
        log: &SegmentLog<SimulatedStorage>,
        recovery: &Recovery,
    ) -> Result<u64, String> {
        if !recovery.lost.is_empty() || !recovery.quarantined.is_empty() {
            return Err(format!("a power cut was taken for damage: {recovery:?}"));
        }
        let (first, next) = (log.first_index(), log.next_index());
        if next < self.acknowledged {
            return Err(format!(
                "records {next} to {} were acknowledged and are gone",
                self.acknowledged - 1
            ));
        }
        if first > self.trimmed.max(1) {
            return Err(format!(
                "records {} to {} were not trimmed and are gone",
                self.trimmed.max(1),
                first - 1
            ));
        }
        let mut reader = log.reader(first);
        for index in first..next {
            let found = match reader.next() {
                Ok(Some(record)) => record,
                other => return Err(format!("record {index} cannot be read: {other:?}")),
            };
            let attempts = self.attempts.get(&index).map(Vec::as_slice).unwrap_or_default();
            let expected = if index < self.acknowledged {
                &attempts[attempts.len().saturating_sub(1)..]
            } else {
                attempts
            };
            if found.index != index || !expected.contains(&found.payload) {
                return Err(format!(
                    "record {index} is not what was appended: {found:?}, not one of {expected:?}"
                ));
            }
        }
        Ok(next - first)
    }
}

/// Opens what a power cut left.
pub(super) fn open(storage: &SimulatedStorage) -> Result<(SegmentLog<SimulatedStorage>, Recovery), String> {
    SegmentLog::open(storage.clone(), Path::new(DIR), config())
        .map_err(|error| format!("cannot be opened: {error}"))
}

/// Whether the error is one that only reports what the recovery lists as lost.
pub(super) fn is_lost(error: &ReadError) -> bool {
    matches!(error, ReadError::Lost(_))
}
