//! The trail as others need it: signed from time to time, and copied out byte for byte.

use towpath_audit::{PublicKey, Record, SignedCheckpoint, event_line};
use towpath_segment::Storage;

use crate::catalog::{Catalog, Writer};
use crate::checkpoints;
use crate::error::CatalogError;
use crate::event_log::{EventReader, RawStep};

/// A checkpoint is signed after at most so many events; and by whoever calls [`Catalog::checkpoint`], after some time.
const EVENTS_PER_CHECKPOINT: u64 = 1_000;

/// How far an export has come.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The number of the last event that was exported.
    pub event: u64,
    /// The number of the last checkpoint that was exported.
    pub checkpoint: u64,
}

/// A part of an export.
#[derive(Clone, Debug, Default)]
pub struct Exported {
    /// The lines, events and checkpoints, in order.
    pub lines: Vec<String>,
    /// How far they reach.
    pub mark: Mark,
}

impl<S: Storage> Catalog<S> {
    /// Signs for every event there is, if none of the checkpoints does so yet. True if there is a new one.
    ///
    /// # Errors
    /// The disk refuses. The events are as durable as before.
    pub fn checkpoint(&self) -> Result<bool, CatalogError> {
        self.sign(&mut self.writer.lock())
    }

    /// The key with which its checkpoints are verified.
    pub fn audit_key(&self) -> Option<PublicKey> {
        self.config.key.as_ref().map(|key| key.public())
    }

    /// The checkpoints after this number, oldest first, at most `limit`.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn checkpoints(&self, after: u64, limit: usize) -> Result<Vec<SignedCheckpoint>, CatalogError> {
        let mut found =
            checkpoints::read(&self.checkpoints, after.saturating_add(1)).map_err(CatalogError::Read)?;
        found.truncate(limit);
        Ok(found)
    }

    /// The lines of an export behind this mark, of at most so many events. None: the export is up to date.
    ///
    /// # Errors
    /// The events or checkpoints cannot be read.
    pub fn export(&self, mark: Mark, limit: usize) -> Result<Exported, CatalogError> {
        let mut reader = EventReader::new(&self.events, mark.event.saturating_add(1));
        let signed = checkpoints::read(&self.checkpoints, mark.checkpoint + 1).map_err(CatalogError::Read)?;
        let mut signed = signed.into_iter().peekable();
        let mut exported = Exported { lines: Vec::new(), mark };
        // What an anchor vouches for may be gone before the first event that is kept.
        let kept_from = self.events.first_index();
        for events in 0.. {
            let reached = exported.mark.event.max(kept_from - 1);
            while let Some(checkpoint) = signed.next_if(|checkpoint| checkpoint.said().seq <= reached) {
                exported.mark.checkpoint = checkpoint.said().number;
                exported.lines.push(checkpoint.to_json());
            }
            if events == limit {
                break;
            }
            match reader.next_raw().map_err(CatalogError::Read)? {
                RawStep::End => break,
                RawStep::Lost(range) => exported.mark.event = range.to - 1,
                RawStep::Record(seq, bytes) => {
                    exported.lines.extend(Record::parse(&bytes).as_ref().and_then(event_line));
                    exported.mark.event = seq;
                }
            }
        }
        Ok(exported)
    }

    /// Signs when enough happened since the last checkpoint. That it cannot is no reason to refuse the command whose event
    /// is durable: the next one tries again.
    pub(crate) fn sign_when_due(&self, writer: &mut Writer<S>) {
        let signed = writer.checkpoints.furthest().map_or(0, |(seq, _)| seq);
        if self.state().seq < signed + EVENTS_PER_CHECKPOINT {
            return;
        }
        if let Err(error) = self.sign(writer) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no checkpoint of the catalog was signed"
            );
        }
    }

    fn sign(&self, writer: &mut Writer<S>) -> Result<bool, CatalogError> {
        let Some(key) = &self.config.key else { return Ok(false) };
        let state = self.state();
        if writer.checkpoints.furthest().map_or(0, |(seq, _)| seq) >= state.seq {
            return Ok(false);
        }
        let at = (self.config.clock)();
        writer.checkpoints.append(key, (state.seq, state.head), at, None)?;
        Ok(true)
    }
}
