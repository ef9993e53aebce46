//! Retention of events: the oldest are removed, and the chain holds.
//!
//! The state after the last event to be removed is kept as a snapshot, and a checkpoint signs the hash of both: the
//! anchor. From then on the chain begins there. Only whole segments go, so that the oldest event that is kept is the
//! one behind the anchor. In this order, each step durable before the next: snapshot, anchor, removal.

use std::time::Duration;

use jiff::Timestamp;
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::chain::ChainFault;
use crate::error::RetentionError;
use crate::event_log::{EventReader, Step};
use crate::snapshot::{self, Snapshot};
use crate::state::State;

/// The growing segment is sealed when its first event has reached this share of the age at which events are removed, so
/// that they are removed in as many parts.
const PARTS: i32 = 8;

/// What a run of retention removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// How many events.
    pub events: u64,
    /// The number of the oldest that is kept.
    pub first: u64,
}

impl<S: Storage> Catalog<S> {
    /// Removes events that are older than `age`, as far as whole segments of them are. Without a key to sign the anchor
    /// nothing is removed. Commands wait only for the last step, not for the snapshot.
    ///
    /// # Errors
    /// The events or the last snapshot cannot be read or are not as they were written, or the disk refuses. Then no event
    /// was removed that the state needs.
    pub fn retain(&self, age: Duration) -> Result<Removed, RetentionError> {
        let first = self.events.first_index();
        let nothing = Removed { events: 0, first };
        let Some(key) = self.config.key.clone() else { return Ok(nothing) };
        let now = (self.config.clock)();
        self.seal_old_segment(now, age)?;
        let Some(last) = self.last_to_remove(now.saturating_sub(age).unwrap_or(Timestamp::MIN))? else {
            return Ok(nothing);
        };
        let snapshot = self.snapshot_at(last)?;
        let hash = snapshot.write(&self.storage, &self.places.snapshots)?;
        {
            let mut writer = self.writer.lock();
            writer.checkpoints.append(&key, (snapshot.seq, snapshot.head), now, Some(hash))?;
            writer.log.trim_before(last + 1)?;
        }
        snapshot::keep_only(&self.storage, &self.places.snapshots, last)?;
        Ok(Removed { events: last + 1 - first, first: last + 1 })
    }

    fn seal_old_segment(&self, now: Timestamp, age: Duration) -> Result<(), RetentionError> {
        let begun_before = now.saturating_sub(age / PARTS.unsigned_abs()).unwrap_or(Timestamp::MIN);
        let mut writer = self.writer.lock();
        let growing = self.events.segments().last().map(|segment| segment.first_index);
        let began = growing.map(|first| self.time_of(first)).transpose()?.flatten();
        if began.is_some_and(|began| began < begun_before) {
            writer.log.roll()?;
        }
        Ok(())
    }

    /// The last event of the last sealed segment whose events are all from before this time.
    fn last_to_remove(&self, before: Timestamp) -> Result<Option<u64>, RetentionError> {
        let mut found = None;
        for segment in self.events.segments().iter().filter(|segment| segment.sealed) {
            let last = segment.next_index - 1;
            match self.time_of(last)? {
                Some(at) if at < before => found = Some(last),
                Some(_) => break,
                // A lost event has no hash that could be signed; a later segment may take it along.
                None => {}
            }
        }
        Ok(found)
    }

    /// When this event happened, if it can be read.
    fn time_of(&self, seq: u64) -> Result<Option<Timestamp>, RetentionError> {
        Ok(match EventReader::new(&self.events, seq).next()? {
            Step::Event(linked) if linked.event.seq == seq => Some(linked.event.at),
            _ => None,
        })
    }

    /// The state after this event, from the last snapshot and the events behind it.
    fn snapshot_at(&self, last: u64) -> Result<Snapshot, RetentionError> {
        let anchor = self.writer.lock().checkpoints.anchor().cloned();
        let begun_with = anchor.and_then(|anchor| Some((anchor.seq, anchor.snapshot?)));
        let mut snapshot = match begun_with {
            Some((seq, hash)) => Snapshot::read(&self.storage, &self.places.snapshots, seq, hash)?,
            None => Snapshot::default(),
        };
        let mut state: State =
            snapshot.state().map_err(|damage| RetentionError::Piece(damage.to_string()))?;
        let mut reader = EventReader::new(&self.events, state.seq + 1);
        let mut head = Some(state.head);
        while state.seq < last {
            match reader.next()? {
                Step::Event(linked) => {
                    if let Some(head) = head {
                        linked.check_follows(head)?;
                    }
                    let touched = state.take(&linked.event, linked.hash);
                    snapshot.follow(&state, &touched);
                    head = Some(linked.hash);
                }
                Step::Lost(range) => {
                    state.seq = range.to - 1;
                    head = None;
                }
                Step::End => {
                    let fault = "is missing, though it was just there".to_owned();
                    return Err(ChainFault { seq: state.seq + 1, fault }.into());
                }
            }
        }
        Ok(snapshot)
    }
}
