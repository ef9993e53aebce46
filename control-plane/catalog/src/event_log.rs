//! The log of events on disk: appended under one owner, readable by all.

use std::path::Path;

use towpath_segment::{AppendError, Config, LogView, LostRange, ReadError, Recovery, SegmentLog, Storage};

use crate::chain::{self, ChainFault, EventHash, Linked};
use crate::error::{CatalogError, OpenError};
use crate::event::Event;

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

    /// Goes back to what is durable, if an earlier failure left that undecided.
    pub(crate) fn recover(&mut self) -> Result<(), CatalogError> {
        match self.log.sync() {
            Ok(_) => Ok(()),
            Err(_) => self.log.reopen().map_err(CatalogError::from),
        }
    }

    /// Appends these events behind the one with hash `head` and makes them durable. Returns the hashes of those that
    /// are, and why there are no more.
    pub(crate) fn append(
        &mut self,
        head: EventHash,
        events: &[Event],
    ) -> (Vec<EventHash>, Option<CatalogError>) {
        let mut hashes = Vec::with_capacity(events.len());
        let mut failure = None;
        for event in events {
            let (record, hash) = chain::encode(hashes.last().copied().unwrap_or(head), event);
            if let Err(error) = self.log.append(&[&record]) {
                failure = Some(error.into());
                break;
            }
            hashes.push(hash);
        }
        match self.log.sync() {
            Ok(_) => (hashes, failure),
            Err(error) => (Vec::new(), failure.or(Some(error.into()))),
        }
    }
}

impl<S: Storage> EventReader<S> {
    pub(crate) fn new(view: &LogView<S>, from: u64) -> Self {
        Self(view.reader(from))
    }

    pub(crate) fn next(&mut self) -> Result<Step, EventReadError> {
        match self.0.next() {
            Ok(None) => Ok(Step::End),
            Ok(Some(record)) => Ok(Step::Event(Box::new(chain::decode(record.index, &record.payload)?))),
            Err(ReadError::Lost(range)) => Ok(Step::Lost(range)),
            Err(error) => Err(error.into()),
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
