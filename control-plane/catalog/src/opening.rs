//! Opening: from what the state is made, and whether the events are those that were written.
//!
//! 1. The projection is used where its last event is, hash for hash, the one in the log, or one that was signed.
//! 2. Else the snapshot of the newest anchor, where retention removed older events.
//! 3. Else replay begins with the first event.
//!
//! Every event that is replayed must carry the hash of the one before it and be the one that was signed. Where the log
//! ends before an event that a checkpoint vouches for, those events are lost, and their numbers are never given again.

use std::path::{Path, PathBuf};

use towpath_audit::EventHash;
use towpath_segment::{LostRange, Storage};

use crate::catalog::Opened;
use crate::chain::ChainFault;
use crate::checkpoints::Checkpoints;
use crate::error::OpenError;
use crate::event_log::{EventLog, EventReader, Step};
use crate::projection::Projection;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Where a catalog keeps its truth.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) events: PathBuf,
    pub(crate) checkpoints: PathBuf,
    pub(crate) snapshots: PathBuf,
}

impl Places {
    pub(crate) fn of(dir: &Path) -> Self {
        let [events, checkpoints, snapshots] =
            ["events", "checkpoints", "snapshots"].map(|name| dir.join(name));
        Self { events, checkpoints, snapshots }
    }
}

/// Brings the state up to the end of the log, and the log up to what was signed.
pub(crate) fn replay<S: Storage>(
    storage: &S,
    places: &Places,
    log: &mut EventLog<S>,
    checkpoints: &Checkpoints<S>,
    projected: State,
    projection: &mut Projection,
    opened: &mut Opened,
) -> Result<State, OpenError> {
    let mut state = match trusted(projected, log, checkpoints)? {
        Some(state) => state,
        None => {
            projection.clear();
            base(storage, places, log, checkpoints, projection)?
        }
    };
    if let Some(anchor) = checkpoints.anchor().filter(|anchor| anchor.seq <= state.seq) {
        // Whatever ended the last owner may have left some of what the anchor lets go.
        log.trim_before(anchor.seq + 1).map_err(OpenError::Settle)?;
    }
    let mut reader = EventReader::new(&log.view(), state.seq + 1);
    let mut head = Some(state.head);
    let mut replayed = projection.replay();
    loop {
        match reader.next()? {
            Step::End => break,
            Step::Lost(range) => {
                tracing::error!(lost = %range, "events of the catalog are lost; what they said must be said again");
                state.seq = range.to - 1;
                head = checkpoints.vouched(state.seq);
                state.head = head.unwrap_or_default();
            }
            Step::Event(linked) => {
                if let Some(head) = head {
                    linked.check_follows(head)?;
                }
                check_vouched(checkpoints, linked.event.seq, linked.hash)?;
                let touched = state.take(&linked.event, linked.hash);
                replayed.note(&state, touched);
                head = Some(linked.hash);
                opened.replayed += 1;
            }
        }
    }
    replayed.end(&state);
    leave_out_what_is_lost(places, log, checkpoints, &mut state, opened)?;
    projection.flush();
    Ok(state)
}

/// The projected state, if its last event is the one in the log.
fn trusted<S: Storage>(
    projected: State,
    log: &EventLog<S>,
    checkpoints: &Checkpoints<S>,
) -> Result<Option<State>, OpenError> {
    if projected.seq == 0 {
        return Ok(None);
    }
    let view = log.view();
    let signed = checkpoints.vouched(projected.seq) == Some(projected.head);
    let same = if projected.seq + 1 < view.first_index() {
        // Events between it and the oldest that is kept are gone.
        false
    } else if projected.seq + 1 == view.first_index() || projected.seq >= log.next_seq() {
        signed
    } else {
        match EventReader::new(&view, projected.seq).next()? {
            Step::Event(linked) => linked.hash == projected.head,
            // The event is lost, so the projection is the best witness of what it said.
            Step::Lost(_) => true,
            Step::End => false,
        }
    };
    if !same {
        tracing::warn!(
            event = projected.seq,
            "the catalog's projection is not of these events; it is rebuilt from them"
        );
    }
    Ok(same.then_some(projected))
}

/// The state before the first event that is replayed.
fn base<S: Storage>(
    storage: &S,
    places: &Places,
    log: &EventLog<S>,
    checkpoints: &Checkpoints<S>,
    projection: &mut Projection,
) -> Result<State, OpenError> {
    let first = log.view().first_index();
    let anchor = checkpoints.anchor().and_then(|anchor| Some((anchor.seq, anchor.snapshot?)));
    match anchor {
        Some((seq, hash)) if seq + 1 >= first => {
            match Snapshot::read(storage, &places.snapshots, seq, hash) {
                Ok(snapshot) => {
                    let state = snapshot.state().map_err(|damage| OpenError::Piece(damage.to_string()))?;
                    projection.write_pieces(&state, snapshot.pieces());
                    return Ok(state);
                }
                Err(fault) if first > 1 => return Err(fault.into()),
                Err(fault) => tracing::error!(%fault, "every event is still there and replayed instead"),
            }
        }
        _ if first > 1 => {
            let fault =
                "is the oldest there is, and no signed anchor says that retention removed those before it";
            let fault = fault.to_owned();
            return Err(ChainFault { seq: first, fault }.into());
        }
        _ => {}
    }
    Ok(State::default())
}

fn check_vouched<S: Storage>(
    checkpoints: &Checkpoints<S>,
    seq: u64,
    hash: EventHash,
) -> Result<(), ChainFault> {
    match checkpoints.vouched(seq) {
        Some(signed) if signed != hash => {
            let fault = format!("has the hash {hash}, but {signed} was signed");
            Err(ChainFault { seq, fault })
        }
        _ => Ok(()),
    }
}

/// Passes over the numbers of events that were signed and cannot be found: another event under such a number would be
/// another history.
fn leave_out_what_is_lost<S: Storage>(
    places: &Places,
    log: &mut EventLog<S>,
    checkpoints: &Checkpoints<S>,
    state: &mut State,
    opened: &mut Opened,
) -> Result<(), OpenError> {
    let furthest = checkpoints.furthest().unwrap_or_default();
    let reached = furthest.0.max(state.seq);
    if reached < log.next_seq() {
        return Ok(());
    }
    let reason = "they were signed, but the log ends before them".to_owned();
    let (file, from) = (places.events.clone(), log.next_seq());
    let lost = LostRange { from, to: reached + 1, file, offset: None, reason };
    tracing::error!(%lost, "events of the catalog are lost; what they said must be said again");
    opened.lost.push(lost);
    log.advance_to(reached + 1).map_err(OpenError::Settle)?;
    if state.seq < reached {
        (state.seq, state.head) = furthest;
    }
    Ok(())
}
