//! One source's lane: runs the source, captures what it emits into the spool, and settles what the log has.
//!
//! ```text
//!   a spool that goes on, a cache that knows ──▶ resume: the source reads on behind the newest spooled frame
//!   a spool that goes on, a cache that was lost ──▶ resume, with every mark of the lane to rebuild the cache from
//!   no frames, or damaged, or not what the log expects ──▶ fresh: a new epoch, from where the log ends
//!   frames that were captured under other policies ──▶ fresh, if the source can still give them
//! ```
//!
//! A fresh start needs the control plane; resuming does not. Shipping is the link's work: it reads the spool by
//! itself, as far as the cell's window allows.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use towpath_adapter_api::{
    AdapterError, ErrorKind, Precedence, Reaction, Registry, Resume, SourceContext, SourceDriver,
};
use towpath_minimise::Held;
use towpath_record::{LaneId, SealError};
use towpath_resource::ReleaseWhen;
use towpath_resource::desired::DesiredSource;
use towpath_resource::observed::Condition;
use towpath_session::{Backoff, BackoffConfig, LaneGrant};
use towpath_spool::{LaneQueue, Spool, SpoolError};

use super::capture::{Batcher, Capture, Chain, Limits, Pause, ResendOrder};
use super::minimise::{self, Minimise};
use super::schemas::{SchemaStore, SchemaStoreError};
use super::settle::{Settle, Unsettled};
use crate::control::ledger::{Ledger, LedgerError};
use crate::control::secrets;
use crate::control::status::{Board, trouble_of, waiting};
use crate::link::{LaneEvent, LaneHandle, LinkHandle, SpooledFrames};

/// Emissions that wait between a source and capture.
const EMISSIONS: usize = 1;

/// What every lane of an agent works with.
#[derive(Clone)]
pub(crate) struct LaneTools {
    pub link: LinkHandle,
    pub registry: Registry,
    pub spool: Arc<Spool>,
    pub schemas: SchemaStore,
    pub ledger: Ledger,
    pub board: Arc<Board>,
    pub precedence: Precedence,
}

/// Why a lane's run ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] AdapterError),
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Policies let nothing of a stream pass.
    #[error(transparent)]
    Held(#[from] Held),
    /// A parcel does not fit into a frame.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A schema cannot be stored.
    #[error(transparent)]
    Schema(#[from] SchemaStoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log does not go on where the spool does.
    #[error("the lane begins anew from where the region log ends: {0}")]
    Broken(String),
    /// Beginning anew would drop what the source cannot give again.
    #[error(
        "the region log does not go on where the spool does, and the source was released from the spool's frames {first} \
         to {last} already, so they are nowhere else; `release: log` gives them up and begins anew"
    )]
    OnlyHere {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopped,
}

/// Where a run begins.
struct Start {
    chain: Chain,
    resume: Resume,
    /// What the log is known to hold already.
    acknowledged: u64,
}

/// Runs a source until stopped; failures are retried.
pub(crate) async fn run(
    tools: LaneTools,
    source: DesiredSource,
    mut orders: mpsc::Receiver<ResendOrder>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(BackoffConfig::default(), fastrand::u64(..));
    let mut fresh = false;
    loop {
        let ended = tokio::select! {
            ended = attempt(&tools, &source, fresh, &mut orders, &stop, &mut backoff) => ended,
            () = stop.cancelled() => return,
        };
        let Err(error) = ended else { return };
        fresh = matches!(error, LaneError::Broken(_));
        let (reaction, error) = reaction(error);
        let (condition, trouble) = trouble_of(&error);
        tools.board.source_condition(source.id, condition, Some(trouble));
        match reaction {
            Reaction::End => return,
            Reaction::AwaitChange => {
                tracing::error!(source = %source.name, %error, "the source waits for its resource to be changed");
                return stop.cancelled().await;
            }
            Reaction::Retry { longest_pause } => {
                let pause = backoff.handle_failure(Instant::now()).min(longest_pause);
                tracing::warn!(source = %source.name, %error, ?pause, "the source will be started again");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

fn reaction(error: LaneError) -> (Reaction, AdapterError) {
    let error = match error {
        LaneError::Source(error) => error,
        LaneError::Stopped => AdapterError::new(ErrorKind::Stopped, "agent", "it is stopping"),
        LaneError::Seal(error) => AdapterError::new(ErrorKind::Config, "capture", error.to_string()),
        LaneError::Held(held) => AdapterError::new(ErrorKind::Config, "policy", held.to_string()),
        held @ LaneError::OnlyHere { .. } => AdapterError::new(ErrorKind::Config, "spool", held.to_string()),
        other => AdapterError::new(ErrorKind::Unavailable, "spool", other.to_string()),
    };
    (error.kind.reaction().0, error)
}

async fn attempt(
    tools: &LaneTools,
    source: &DesiredSource,
    fresh: bool,
    orders: &mut mpsc::Receiver<ResendOrder>,
    stop: &CancellationToken,
    backoff: &mut Backoff,
) -> Result<(), LaneError> {
    let lane = LaneId { source: source.id, region: source.region.clone() };
    let minimise = Minimise::of(source)?;
    let queue = tools.spool.lane(&lane)?;
    let (start, mut port) = begin(tools, source, &queue, fresh).await?;
    let config = secrets::resolve(&source.config)?;
    let adapter = tools.registry.source(source.adapter.as_str(), &config)?;
    let (output, releases, driver) = SourceDriver::channels(EMISSIONS);
    let cache = tools.ledger.cache(source.id)?;
    let position = start.resume.position.clone();
    let turn = tools.precedence.turn(source.name.clone());
    let rebuilding = start.resume.rebuild.is_some();
    let context = SourceContext {
        name: source.name.clone(),
        resume: start.resume,
        output,
        releases,
        cache: cache.clone(),
        turn: turn.clone(),
        stop: stop.child_token(),
    };
    let source_stop = context.stop.clone();
    let _stop_with_us = source_stop.drop_guard();
    let unsettled = Arc::new(Mutex::new(unsettled(tools, &lane, &queue)?));
    let releaser = driver.releaser();
    let mut running = AbortOnDropHandle::new(tokio::spawn(adapter.run(context)));
    tools.board.source_condition(source.id, Condition::Running, None);
    backoff.handle_success(Instant::now());
    let mut capture = Capture {
        tools,
        source,
        queue: queue.clone(),
        unsettled: unsettled.clone(),
        minimise,
        batcher: Batcher::new(Limits {
            rows: source.capture.max_rows as usize,
            bytes: usize::try_from(source.capture.max_bytes.0).unwrap_or(usize::MAX),
            linger: source.capture.linger.0,
        }),
        chain: Some(start.chain),
        position,
        in_transaction: false,
        weaving: None,
        on_first: rebuilding.then_some(move || cache.set_built()),
        pause: Pause::new(&tools.board, source.id, turn),
    };
    let settle = Settle { tools, source, lane: &lane, queue: &queue, unsettled: &unsettled, releaser };
    tokio::select! {
        ended = capture.run(driver.emissions, orders) => ended?,
        ended = settle.run(&mut port, start.acknowledged) => return ended,
    }
    match (&mut running).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(AdapterError::new(
            ErrorKind::Unavailable,
            source.name.as_str(),
            "the adapter stopped unexpectedly; its last words are in the agent's log",
        )
        .into()),
    }
}

/// Finds out where the run begins. Waits for the control plane where that cannot be told without it.
async fn begin(
    tools: &LaneTools,
    source: &DesiredSource,
    queue: &LaneQueue,
    fresh: bool,
) -> Result<(Start, LaneHandle), LaneError> {
    let open = |want_marks| {
        let frames = Arc::new(SpooledFrames::new(queue.clone()));
        tools.link.open_lane(queue.lane().clone(), frames, want_marks)
    };
    let built = tools.ledger.cache(source.id)?.is_built();
    let outdated = outdated(tools, source, queue)?;
    let goes_on = !fresh && !outdated && queue.damage().is_none() && queue.tail()?.is_some();
    let Some(newest) = queue.head().filter(|_| goes_on) else {
        if let Some(damage) = queue.damage() {
            tracing::warn!(source = %source.name, %damage, "the spool is filled again from the source");
        }
        if let Some((first, last)) = only_here(tools, source, queue)? {
            return Err(LaneError::OnlyHere { first, last });
        }
        if outdated {
            tracing::info!(source = %source.name, "policies changed; what waits in the spool is read from the source again");
        }
        queue.reset().await?;
        tools.ledger.set_policies(queue.lane(), &source.policies)?;
        let mut port = open(!built);
        let grant = granted(tools, source, &mut port).await?;
        // Of the new chain, the source is released from nothing yet.
        tools.ledger.set_released(queue.lane(), grant.last.map_or(0, |link| link.seq))?;
        let chain = Chain::new(grant.lane, grant.epoch, grant.last);
        let resume = Resume { position: grant.position, rebuild: grant.marks };
        return Ok((Start { chain, resume, acknowledged: 0 }, port));
    };
    tools.ledger.set_policies(queue.lane(), &source.policies)?;
    let chain = Chain::new(newest.header.lane.clone(), newest.header.epoch, Some(newest.link));
    let mut port = open(!built);
    let mut acknowledged = 0;
    let mut resume = Resume { position: newest.header.position, rebuild: None };
    if !built {
        let grant = granted(tools, source, &mut port).await?;
        acknowledged = grant.last.map_or(0, |link| link.seq);
        resume.rebuild = Some(grant.marks.unwrap_or_default());
    }
    Ok((Start { chain, resume, acknowledged }, port))
}

/// Whether frames of the spool were captured under policies that are others now. What the source no longer has stays as it
/// was captured; the region's log refuses what may not stand there.
fn outdated(tools: &LaneTools, source: &DesiredSource, queue: &LaneQueue) -> Result<bool, LaneError> {
    if source.release == ReleaseWhen::Spool {
        return Ok(false);
    }
    let then = tools.ledger.policies(queue.lane())?;
    let changed = minimise::changed(&then, &source.policies);
    let mut reader = queue.reader(0);
    while let Some(frame) = reader.try_next()?.filter(|_| !changed.is_empty()) {
        if changed.iter().any(|policy| policy.spec.covers(&frame.header().stream)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The frames of the spool that the source was released from, on the trust that the spool keeps them.
fn only_here(
    tools: &LaneTools,
    source: &DesiredSource,
    queue: &LaneQueue,
) -> Result<Option<(u64, u64)>, LaneError> {
    if source.release != ReleaseWhen::Spool || queue.damage().is_some() {
        return Ok(None);
    }
    let released = tools.ledger.released(queue.lane())?;
    let (oldest, newest) = (queue.tail()?, queue.head());
    let held = oldest.zip(newest).map(|(oldest, newest)| (oldest.link.seq, newest.link.seq.min(released)));
    Ok(held.filter(|(first, last)| first <= last))
}

async fn granted(
    tools: &LaneTools,
    source: &DesiredSource,
    port: &mut LaneHandle,
) -> Result<LaneGrant, LaneError> {
    let trouble =
        waiting("waits for the control plane to open its lane", "check the link to the control plane");
    tools.board.source_condition(source.id, Condition::Waiting, Some(trouble));
    loop {
        match port.next().await.ok_or(LaneError::Stopped)? {
            LaneEvent::Granted(grant) => return Ok(grant),
            LaneEvent::Refused { reason, remedy, .. } => {
                tools.board.source_condition(source.id, Condition::Waiting, Some(waiting(reason, &remedy)));
            }
            LaneEvent::Broken(cause) => return Err(LaneError::Broken(cause.to_string())),
            LaneEvent::Acknowledged(_) => {}
        }
    }
}

/// What was spooled in earlier runs and not released.
fn unsettled(tools: &LaneTools, lane: &LaneId, queue: &LaneQueue) -> Result<Unsettled, LaneError> {
    let released = tools.ledger.released(lane)?;
    let mut unsettled = Unsettled::default();
    let mut reader = queue.reader(0);
    while let Some(frame) = reader.try_next()? {
        if frame.header().seq > released {
            unsettled.spooled(frame.header());
        }
    }
    Ok(unsettled)
}
