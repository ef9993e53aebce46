//! Ingest: opens lanes, appends their frames to the region's log, acknowledges what is durable. What the policies do not
//! let in is refused before it is written anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use towpath_log::{AppendError, Outcome, RegionLog, Verdict};
use towpath_proto::link::LaneFault;
use towpath_record::{LaneId, Mark, SchemaHash, SealedFrame, SourceId, StreamSchema};
use towpath_session::{LaneOpening, cell};

use super::border::{Checkpoint, Forbidden};
use super::epoch_of_now;
use super::refusals::Refusals;
use crate::link::SessionHandle;

/// Frames of one session that are offered to the log together, in bytes. The log gathers across sessions.
const OFFER_BYTES: usize = 16 << 20;
/// How long a session waits before it offers again what the log could not take.
const PAUSE: Duration = Duration::from_millis(500);

/// Says to the audit trail what was refused.
pub(crate) type Report = Box<dyn Fn(SourceId, &Forbidden) + Send + Sync>;

/// What the frames of one session must pass.
pub(crate) struct Customs {
    pub checkpoint: Checkpoint,
    pub refusals: Arc<Refusals>,
    pub report: Report,
}

/// The lanes of one session.
pub(crate) struct Ingest {
    log: RegionLog,
    session: SessionHandle,
    refusals: Arc<Refusals>,
    // Bounded by the windows of the session's lanes.
    appends: mpsc::UnboundedSender<(u32, SealedFrame)>,
    marks: Arc<Mutex<BTreeMap<u32, Arc<Vec<Mark>>>>>,
}

impl Ingest {
    /// The lanes of a session that has begun.
    pub(crate) fn new(log: RegionLog, session: SessionHandle, customs: Customs) -> Self {
        let (appends, offered) = mpsc::unbounded_channel();
        let refusals = customs.refusals.clone();
        tokio::spawn(append_all(log.clone(), session.clone(), customs, offered));
        Self { log, session, refusals, appends, marks: Arc::default() }
    }

    /// Opens a lane for an agent that may speak for its source.
    pub(crate) fn open(&self, asked: LaneOpening) {
        let (log, session) = (self.log.clone(), self.session.clone());
        if asked.chain.is_none() {
            // The agent reads its source again: what was refused does not come once more as it was.
            self.refusals.over(asked.lane.source);
        }
        tokio::spawn(async move {
            let LaneOpening { opening, lane, chain, want_marks } = asked;
            let state = log.lane(&lane);
            let state = match chain {
                Some(chain) if chain.is_ahead_of(state.epoch, state.last) => {
                    log.go_on_behind(lane.clone(), chain.epoch, chain.before()).await
                }
                Some(_) => Ok(state),
                None => log.grant_epoch(lane.clone(), epoch_of_now()).await,
            };
            session.request(move |machine, now| match state {
                Ok(state) => machine.handle_lane_opened(
                    now,
                    opening,
                    state.epoch,
                    state.last,
                    state.position,
                    want_marks,
                ),
                Err(error) => machine.refuse_lane(
                    now,
                    opening,
                    LaneFault::Unavailable,
                    &error.to_string(),
                    "check the control plane's disk",
                ),
            });
        });
    }

    /// Reads marks of a lane.
    pub(crate) fn marks(&self, opening: u32, lane: LaneId, after: usize) {
        let (log, session, known) = (self.log.clone(), self.session.clone(), self.marks.clone());
        tokio::spawn(async move {
            let found = known.lock().get(&opening).cloned();
            let marks = match found {
                Some(marks) => Ok(marks),
                None => log.lane_marks(&lane).await.map(Arc::new),
            };
            match marks {
                Ok(marks) => {
                    let (chunk, last) = cell::marks_chunk(&mut marks.iter().skip(after).cloned());
                    if last {
                        known.lock().remove(&opening);
                    } else {
                        known.lock().insert(opening, marks);
                    }
                    session.request(move |machine, now| machine.handle_marks(now, opening, chunk, last));
                }
                Err(error) => session.request(move |machine, now| {
                    let remedy = "check the control plane's disk";
                    machine.refuse_lane(now, opening, LaneFault::Unavailable, &error.to_string(), remedy);
                }),
            }
        });
    }

    /// Stores a schema.
    pub(crate) fn schema(&self, hash: SchemaHash, canonical: &Bytes) {
        let schema = StreamSchema::from_canonical(canonical);
        let (log, session) = (self.log.clone(), self.session.clone());
        tokio::spawn(async move {
            let refusal = match schema {
                Ok(schema) if schema.hash() != hash => Some("its hash is not that of its bytes".to_owned()),
                Ok(schema) => log.put_schema(schema).await.err().map(|error| error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            session.request(move |machine, now| match refusal {
                None => machine.handle_schema_stored(now, hash),
                Some(reason) => {
                    machine.handle_schema_refused(now, hash, &reason, "check the agent's version");
                }
            });
        });
    }

    /// Appends a frame.
    pub(crate) fn append(&self, opening: u32, frame: SealedFrame) {
        // The appending task ends only with the session.
        drop(self.appends.send((opening, frame)));
    }
}

async fn append_all(
    log: RegionLog,
    session: SessionHandle,
    mut customs: Customs,
    mut offered: mpsc::UnboundedReceiver<(u32, SealedFrame)>,
) {
    while let Some(first) = offered.recv().await {
        let mut offer = vec![first];
        let mut bytes = offer[0].1.bytes().len();
        while bytes < OFFER_BYTES
            && let Ok(next) = offered.try_recv()
        {
            bytes += next.1.bytes().len();
            offer.push(next);
        }
        let refused = customs.refuse(&mut offer);
        let appended = tokio::select! {
            appended = append(&log, &session, offer) => appended,
            () = session.closed() => return,
        };
        if appended.is_err() {
            return;
        }
        // After what came before on the same lane, so that this is acknowledged still.
        for (opening, forbidden) in refused {
            session.request(move |machine, now| {
                let (reason, remedy) = (&forbidden.reason, &forbidden.remedy);
                machine.refuse_lane(now, opening, LaneFault::Policy, reason, remedy);
            });
        }
    }
}

impl Customs {
    /// Takes out of an offer the frames that may not stand in the log, and what follows them in their openings. Returns
    /// what was found, by opening.
    fn refuse(&mut self, offer: &mut Vec<(u32, SealedFrame)>) -> BTreeMap<u32, Arc<Forbidden>> {
        let mut refused = BTreeMap::new();
        offer.retain(|(opening, frame)| {
            if refused.contains_key(opening) {
                return false;
            }
            let source = frame.header().lane.source;
            match self.checkpoint.judge(frame) {
                Ok(()) => self.refusals.over(source),
                Err(forbidden) => {
                    self.refusals.refused(source, self.checkpoint.edits(), &forbidden);
                    (self.report)(source, &forbidden);
                    refused.insert(*opening, forbidden);
                    return false;
                }
            }
            true
        });
        refused
    }
}

/// Offers frames until the log has judged them. A log that has no room is asked again: meanwhile nothing is
/// acknowledged, so that the windows close and the agents' spools hold what comes.
async fn append(log: &RegionLog, session: &SessionHandle, offer: Vec<(u32, SealedFrame)>) -> Result<(), ()> {
    let mut complained = false;
    if offer.is_empty() {
        return Ok(());
    }
    loop {
        let frames = offer.iter().map(|(_, frame)| frame.clone()).collect();
        match log.append(frames).await {
            Ok(outcomes) => {
                answer(log, session, &offer, &outcomes);
                return Ok(());
            }
            Err(AppendError::Closed) => return Err(()),
            Err(error @ (AppendError::UnknownSchema(_) | AppendError::Schema(_))) => {
                refuse_all(session, &offer, &error);
                return Ok(());
            }
            Err(error @ (AppendError::NoSpace | AppendError::Full | AppendError::Disk(_))) => {
                if !complained {
                    tracing::error!(%error, "frames are not taken for now; agents keep them");
                    complained = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn answer(log: &RegionLog, session: &SessionHandle, offer: &[(u32, SealedFrame)], outcomes: &[Outcome]) {
    let mut openings: BTreeMap<u32, (LaneId, Option<Verdict>)> = BTreeMap::new();
    for ((opening, frame), outcome) in offer.iter().zip(outcomes) {
        let lane = &frame.header().lane;
        let (_, refused) = openings.entry(*opening).or_insert_with(|| (lane.clone(), None));
        if let (None, Outcome::Refused(verdict)) = (&refused, outcome) {
            *refused = Some(*verdict);
        }
    }
    for (opening, (lane, refused)) in openings {
        let last = log.lane(&lane).last;
        session.request(move |machine, now| match (refused, last) {
            (Some(verdict), _) => {
                let (fault, reason, remedy) = explained(verdict);
                machine.refuse_lane(now, opening, fault, &reason, remedy);
            }
            (None, Some(last)) => machine.handle_durable(now, opening, last),
            (None, None) => {}
        });
    }
}

fn refuse_all(session: &SessionHandle, offer: &[(u32, SealedFrame)], error: &AppendError) {
    let openings: std::collections::BTreeSet<u32> = offer.iter().map(|(opening, _)| *opening).collect();
    for opening in openings {
        let reason = error.to_string();
        session.request(move |machine, now| {
            machine.refuse_lane(now, opening, LaneFault::Schema, &reason, "check the agent's version");
        });
    }
}

fn explained(verdict: Verdict) -> (LaneFault, String, &'static str) {
    match verdict {
        Verdict::Gap { expected } => (
            LaneFault::Gap,
            format!("frame {expected} of the lane is missing before the one that came"),
            "none needed: the agent resumes from what the log has",
        ),
        Verdict::Diverged => (
            LaneFault::Diverged,
            "the log holds another frame of that number".to_owned(),
            "if two agents share one state directory or identity, stop one of them",
        ),
        Verdict::Fenced { current } => (
            LaneFault::Fenced,
            format!("epoch {current} has begun"),
            "if two agents share one state directory or identity, stop one of them",
        ),
        Verdict::Append | Verdict::Repeat => unreachable!("these are not refusals"),
    }
}
