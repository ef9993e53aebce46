//! The signed checkpoints beside the events: a segment log in which record N is checkpoint N.
//!
//! Checkpoints are never removed; there is one for so many events and so much time in which something happened.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use towpath_audit::{AuditKey, Checkpoint, EventHash, PublicKey, SignedCheckpoint};
use towpath_segment::{Config, LogView, ReadError, Recovery, SegmentLog, Storage};

use crate::error::{CatalogError, OpenError};

const SEGMENT_BYTES: u64 = 16 << 20;
const MAX_CHECKPOINT_BYTES: usize = 64 << 10;

/// The owner of the checkpoints.
pub(crate) struct Checkpoints<S: Storage> {
    log: SegmentLog<S>,
    /// The hash of the last one that can be read.
    last: EventHash,
    vouched: BTreeMap<u64, EventHash>,
    anchor: Option<Checkpoint>,
}

impl<S: Storage> Checkpoints<S> {
    /// Opens those in `dir`. What `key` did not sign is not believed, and left for a verification to name.
    pub(crate) fn open(
        storage: S,
        dir: &Path,
        key: Option<&PublicKey>,
    ) -> Result<(Self, Recovery), OpenError> {
        let config = Config {
            segment_bytes: SEGMENT_BYTES,
            max_record_bytes: MAX_CHECKPOINT_BYTES,
            ..Config::default()
        };
        let (log, recovery) = SegmentLog::open(storage, dir, config)?;
        let mut opened = Self { log, last: EventHash::default(), vouched: BTreeMap::new(), anchor: None };
        for signed in read(opened.log.view(), 1).map_err(OpenError::Read)? {
            let Some(key) = key else { break };
            if let Err(fault) = signed.check(std::slice::from_ref(key)) {
                let number = signed.said().number;
                tracing::error!(checkpoint = number, %fault, "a checkpoint of the catalog is not believed; run `towpath audit verify`");
                continue;
            }
            opened.note(&signed);
        }
        Ok((opened, recovery))
    }

    pub(crate) fn view(&self) -> LogView<S> {
        self.log.view().clone()
    }

    /// The newest event that is vouched for, and its hash.
    pub(crate) fn furthest(&self) -> Option<(u64, EventHash)> {
        self.vouched.last_key_value().map(|(seq, head)| (*seq, *head))
    }

    /// The hash of this event, as it was signed.
    pub(crate) fn vouched(&self, seq: u64) -> Option<EventHash> {
        self.vouched.get(&seq).copied()
    }

    /// The newest checkpoint that has a snapshot: the events up to it may be gone.
    pub(crate) fn anchor(&self) -> Option<&Checkpoint> {
        self.anchor.as_ref()
    }

    /// Signs for the events up to this one, durably.
    pub(crate) fn append(
        &mut self,
        key: &AuditKey,
        (seq, head): (u64, EventHash),
        at: Timestamp,
        snapshot: Option<EventHash>,
    ) -> Result<SignedCheckpoint, CatalogError> {
        // An earlier failure may have left undecided what is durable.
        if self.log.sync().is_err() {
            self.log.reopen()?;
        }
        let number = self.log.next_index();
        let said = Checkpoint { number, seq, head, at, previous: self.last, snapshot };
        let signed = said.sign(key);
        self.log.append(&[signed.to_json().as_bytes()])?;
        self.log.sync()?;
        self.note(&signed);
        Ok(signed)
    }

    fn note(&mut self, signed: &SignedCheckpoint) {
        let said = signed.said();
        self.last = signed.hash();
        self.vouched.insert(said.seq, said.head);
        if said.snapshot.is_some() {
            self.anchor = Some(said.clone());
        }
    }
}

/// The checkpoints from this number on, as they were written. Those that are lost or no checkpoints are passed over.
pub(crate) fn read<S: Storage>(view: &LogView<S>, from: u64) -> Result<Vec<SignedCheckpoint>, ReadError> {
    let mut reader = view.reader(from.max(view.first_index()));
    let mut found = Vec::new();
    loop {
        match reader.next() {
            Ok(None) => return Ok(found),
            Ok(Some(record)) => found.extend(SignedCheckpoint::from_json(&record.payload)),
            Err(ReadError::Lost(_)) => {}
            Err(error) => return Err(error),
        }
    }
}
