//! How events are recorded: many commands share one sync.
//!
//! A command is decided on the [`Decided`]: the state as it will be once all that was decided before is durable. Its event
//! waits in the open batch. Whoever finds nobody at the disk takes the batch there; what is decided meanwhile waits in
//! the next one. So a command that is alone costs a sync, and many at once share theirs.
//!
//! # Rules
//! * No answer is given before everything that it rests on is durable. A refusal, or an answer without an event, rests on
//!   the events before it too.
//! * When a batch fails, whatever was decided on top of it fails with it, and it is taken back.
//! * Readers are shown durable states only.
//! * Locks are taken in one order: the writer, then what was decided, which is never held across a disk operation.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use towpath_audit::EventHash;
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::chain;
use crate::error::CatalogError;
use crate::event::{Cause, Event, EventKind};
use crate::event_log;
use crate::state::State;
use crate::transition::Key;

/// What was decided, durable or not.
pub(crate) struct Decided {
    state: Arc<State>,
    open: Arc<Batch>,
    entries: Vec<Entry>,
    under_way: Option<Arc<Batch>>,
    someone_writes: bool,
}

/// An event that waits for the disk.
pub(crate) struct Entry {
    pub(crate) event: Event,
    pub(crate) record: Vec<u8>,
    pub(crate) hash: EventHash,
    touched: Vec<Key>,
}

/// Events that become durable together, once it is known whether they did.
#[derive(Default)]
struct Batch(OnceLock<Settled>);

/// What an answer rests on.
pub(crate) struct Basis {
    /// The last event.
    seq: u64,
    /// The batch that it is in; none if it is durable.
    batch: Option<Arc<Batch>>,
}

/// How far the events are durable, and why no further.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    durable: u64,
    failure: Option<CatalogError>,
}

impl Decided {
    /// Nothing was decided beyond this state.
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state, open: Arc::default(), entries: Vec::new(), under_way: None, someone_writes: false }
    }

    /// The state on which commands are decided.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Adds the event that a command leads to.
    ///
    /// # Errors
    /// It is too large. Nothing was added.
    pub(crate) fn add(&mut self, at: Timestamp, cause: &Cause, kind: EventKind) -> Result<(), CatalogError> {
        let event = Event { seq: self.state.seq + 1, at, cause: cause.clone(), kind };
        let (record, hash) = chain::encode(self.state.head, &event);
        event_log::check_size(&record)?;
        let touched = Arc::make_mut(&mut self.state).take(&event, hash);
        self.entries.push(Entry { event, record, hash, touched });
        Ok(())
    }

    /// What an answer rests on that is given now.
    pub(crate) fn basis(&self) -> Basis {
        let waiting = (!self.entries.is_empty()).then(|| self.open.clone());
        Basis { seq: self.state.seq, batch: waiting.or_else(|| self.under_way.clone()) }
    }

    /// Closes the open batch and hands it over, with the state behind it.
    fn take(&mut self) -> (Arc<Batch>, Vec<Entry>, Arc<State>) {
        let batch = std::mem::take(&mut self.open);
        self.under_way = Some(batch.clone());
        (batch, std::mem::take(&mut self.entries), self.state.clone())
    }

    /// Notes what became of the batch that was under way, and of what was decided on top of it.
    fn settle(&mut self, shown: Arc<State>, failure: Option<CatalogError>) {
        let settled = Settled { durable: shown.seq, failure };
        let batch = self.under_way.take();
        if settled.failure.is_some() {
            self.state = shown;
            self.entries.clear();
            std::mem::take(&mut self.open).end(settled.clone());
        }
        if let Some(batch) = batch {
            batch.end(settled);
        }
    }
}

impl Batch {
    fn end(&self, settled: Settled) {
        let first = self.0.set(settled).is_ok();
        debug_assert!(first, "a batch is settled once");
    }
}

impl Basis {
    /// The last event that the answer rests on.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }
}

impl Settled {
    /// Whether everything up to this event is durable.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn covers(&self, seq: u64) -> Result<(), CatalogError> {
        match &self.failure {
            Some(failure) if self.durable < seq => Err(failure.clone()),
            _ => Ok(()),
        }
    }
}

impl<S: Storage> Catalog<S> {
    /// Waits until it is known how far all that an answer rests on is durable. Blocks on the disk.
    pub(crate) fn settled(&self, basis: &Basis) -> Settled {
        let Some(batch) = &basis.batch else { return Settled { durable: basis.seq, failure: None } };
        let mut decided = self.decided.lock();
        loop {
            if let Some(settled) = batch.0.get() {
                return settled.clone();
            }
            if decided.someone_writes {
                self.batch_settled.wait(&mut decided);
                continue;
            }
            decided.someone_writes = true;
            drop(decided);
            let turn = Turn(self);
            self.write_batch();
            drop(turn);
            decided = self.decided.lock();
        }
    }

    /// Writes the open batch, takes what is durable of it into the state and shows it.
    fn write_batch(&self) {
        let mut writer = self.writer.lock();
        let (_batch, entries, next) = self.decided.lock().take();
        let (durable, failure) = writer.log.append(&entries);
        let durable = &entries[..durable];
        let state = if failure.is_none() { next } else { self.state().and(durable) };
        if !durable.is_empty() {
            self.shown.send_replace(state.clone());
        }
        self.decided.lock().settle(state.clone(), failure);
        // Those who waited need not wait for the copy and the signature.
        self.batch_settled.notify_all();
        let touched: BTreeSet<&Key> = durable.iter().flat_map(|entry| &entry.touched).collect();
        if !touched.is_empty() {
            writer.projection.write(&state, touched);
        }
        self.sign_when_due(&mut writer);
    }
}

impl State {
    /// The state after these events too.
    fn and(self: &Arc<Self>, entries: &[Entry]) -> Arc<Self> {
        let mut state = self.clone();
        for entry in entries {
            Arc::make_mut(&mut state).take(&entry.event, entry.hash);
        }
        state
    }
}

/// The turn at the disk. It ends when this is dropped, even by a panic: then what was under way is given up, and whoever
/// waits for it is told.
struct Turn<'a, S: Storage>(&'a Catalog<S>);

impl<S: Storage> Drop for Turn<'_, S> {
    fn drop(&mut self) {
        let mut decided = self.0.decided.lock();
        decided.someone_writes = false;
        if decided.under_way.is_some() {
            decided.settle(self.0.state(), Some(CatalogError::Stuck));
        }
        self.0.batch_settled.notify_all();
    }
}
