//! The log of events on disk: appended under one owner, readable by all.

use std::path::Path;

use towpath_segment::{AppendError, Config, LogView, LostRange, ReadError, Recovery, SegmentLog, Storage};

use crate::chain::{self, ChainFault, Linked};
use crate::commit::Entry;
use crate::error::{CatalogError, OpenError};

const SEGMENT_BYTES: u64 = 16 << 20;
const MAX_EVENT_BYTES: usize = 1 << 20;

/// The owner of the events.
pub(crate) struct EventLog<S: Storage> {
    log: SegmentLog<S>,
}

/// The next thing in the log.
pub(crate) enum Step {
    /// An event.
    Event(Box<Linked>),
    /// Events that are gone. Reading goes on behind them.
    Lost(LostRange),
    /// Nothing more.
    End,
}

/// The same, as it was written.
pub(crate) enum RawStep {
    /// A record and its number.
    Record(u64, Vec<u8>),
    /// Events that are gone.
    Lost(LostRange),
    /// Nothing more.
    End,
}

/// Reads events in order.
pub(crate) struct EventReader<S: Storage>(towpath_segment::Reader<S>);

impl<S: Storage> EventLog<S> {
    pub(crate) fn open(storage: S, dir: &Path) -> Result<(Self, Recovery), OpenError> {
        let config =
            Config { segment_bytes: SEGMENT_BYTES, max_record_bytes: MAX_EVENT_BYTES, ..Config::default() };
        let (log, recovery) = SegmentLog::open(storage, dir, config)?;
        Ok((Self { log }, recovery))
    }

    pub(crate) fn view(&self) -> LogView<S> {
        self.log.view().clone()
    }

    /// The number that the next event gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.log.next_index()
    }

    /// Removes the events before this one.
    pub(crate) fn trim_before(&mut self, seq: u64) -> Result<(), AppendError> {
        self.log.trim_before(seq)
    }

    /// Begins another segment, if there is something in this one.
    pub(crate) fn roll(&mut self) -> Result<(), AppendError> {
        self.log.roll()
    }

    /// Leaves out the numbers before this one.
    pub(crate) fn advance_to(&mut self, seq: u64) -> Result<(), AppendError> {
        self.log.advance_to(seq)
    }

    /// Goes back to what is durable, if an earlier failure left that undecided.
    fn recover(&mut self) -> Result<(), CatalogError> {
        match self.log.sync() {
            Ok(_) => Ok(()),
            Err(_) => self.log.reopen().map_err(CatalogError::from),
        }
    }

    /// Appends these events and makes them durable. Returns how many are, and why there are no more.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> (usize, Option<CatalogError>) {
        if let Err(failure) = self.recover() {
            return (0, Some(failure));
        }
        if entries.first().is_some_and(|entry| entry.event.seq != self.log.next_index()) {
            return (0, Some(CatalogError::Stuck));
        }
        let (mut appended, mut failure) = (0, None);
        while appended < entries.len() {
            let rest: Vec<_> = entries[appended..].iter().map(|entry| [&entry.record]).collect();
            match self.log.append_batch(&rest) {
                Ok(indexes) => appended += (indexes.end - indexes.start) as usize,
                Err(error) => {
                    failure = Some(error.into());
                    break;
                }
            }
        }
        match self.log.sync() {
            Ok(_) => (appended, failure),
            Err(error) => (0, failure.or(Some(error.into()))),
        }
    }
}

/// Whether the log takes a record of this size.
///
/// # Errors
/// It does not.
pub(crate) fn check_size(record: &[u8]) -> Result<(), CatalogError> {
    let (bytes, limit) = (record.len(), MAX_EVENT_BYTES);
    if bytes > limit { Err(AppendError::TooLarge { bytes, limit }.into()) } else { Ok(()) }
}

impl<S: Storage> EventReader<S> {
    /// Reads from this event on, or from the oldest that is kept.
    pub(crate) fn new(view: &LogView<S>, from: u64) -> Self {
        Self(view.reader(from.max(view.first_index())))
    }

    pub(crate) fn next(&mut self) -> Result<Step, EventReadError> {
        Ok(match self.next_raw()? {
            RawStep::Record(seq, bytes) => Step::Event(Box::new(chain::decode(seq, &bytes)?)),
            RawStep::Lost(range) => Step::Lost(range),
            RawStep::End => Step::End,
        })
    }

    pub(crate) fn next_raw(&mut self) -> Result<RawStep, ReadError> {
        loop {
            return match self.0.next() {
                Ok(None) => Ok(RawStep::End),
                Ok(Some(record)) => Ok(RawStep::Record(record.index, record.payload)),
                Err(ReadError::Lost(range)) => Ok(RawStep::Lost(range)),
                // Retention went on meanwhile.
                Err(ReadError::Trimmed { first, .. }) => {
                    self.0.seek(first);
                    continue;
                }
                Err(error) => Err(error),
            };
        }
    }
}

/// Why the next event could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventReadError {
    #[error(transparent)]
    Chain(#[from] ChainFault),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<AppendError> for CatalogError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NoSpace(fault) => Self::NoSpace(fault),
            other => Self::Append(other),
        }
    }
}
