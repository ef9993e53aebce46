//! What writes a system.

use std::time::Instant;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use towpath_record::{LaneId, Link, LogOffset, RouteId, StreamName, StreamSchema};

use crate::error::AdapterError;

/// A system that is written.
///
/// The promises of the agent's core, for each sink instance, which serves one [`RouteKey`]:
/// * [`Sink::open`] comes first; then deliveries in the order of the region's log; a delivery that the returned
///   checkpoint covers is not applied again.
/// * [`Sink::commit`] is called only where no source transaction is cut, and after every rejection that
///   [`Sink::apply`] returned is durable as a dead letter.
/// * After any error the instance is dropped without a commit, and a new one is opened later.
///
/// The demands on the sink:
/// * What was applied and not committed leaves no trace after a crash or a drop.
/// * A checkpoint is stored with the rows it covers, in one atomic act, where the system allows it; the sink's
///   [`Guarantee`] says whether it does.
/// * [`Durability::Durable`] is answered only when rows and checkpoint survive power loss.
/// * Memory is bounded by configuration.
#[async_trait]
pub trait Sink: Send {
    /// What a user may rely on.
    fn guarantee(&self) -> Guarantee;

    /// Connects and returns the checkpoint that the system holds for this route, if any.
    async fn open(&mut self, route: &RouteKey) -> Result<Option<Checkpoint>, AdapterError>;

    /// Applies the rows of one frame, creating or evolving the target as the schema demands, and returns the
    /// rows that the system refuses for good. Refusing one row does not refuse the others.
    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, AdapterError>;

    /// Makes what was applied visible together with the checkpoint. [`Durability::Accepted`] says that the sink
    /// goes on collecting (a file part that is not full yet); a later commit then covers it.
    async fn commit(
        &mut self,
        checkpoint: &Checkpoint,
        reason: CommitReason,
    ) -> Result<Durability, AdapterError>;

    /// When a commit is wanted even if nothing comes until then, such as to show a file that is old enough.
    fn commit_wanted_by(&self) -> Option<Instant> {
        None
    }
}

/// A route and its replay generation. A replay that an admin asks for raises the generation, so that what was
/// delivered before does not count as delivered again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RouteKey {
    /// The route.
    pub route: RouteId,
    /// How often the route was replayed.
    pub replay: u64,
}

impl std::fmt::Display for RouteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.route, self.replay)
    }
}

/// What a sink has durably applied, in a form that only the agent's core reads. Sinks store its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint(pub Bytes);

/// One frame's rows for a sink.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The frame's place in the region's log.
    pub offset: LogOffset,
    /// The chain it belongs to.
    pub lane: LaneId,
    /// Its place in that chain.
    pub link: Link,
    /// The stream of its rows.
    pub stream: StreamName,
    /// The schema of its rows.
    pub schema: StreamSchema,
    /// The rows, reserved columns included.
    pub batch: RecordBatch,
    /// When the agent sealed it, in microseconds since 1970-01-01 UTC.
    pub captured_at_us: i64,
}

/// A row that the system refuses for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The row's index in the delivered batch.
    pub row: u32,
    /// Why, and what would make it acceptable.
    pub reason: String,
}

/// Why a commit is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitReason {
    /// Enough rows or bytes have been applied.
    Batch,
    /// Nothing more is waiting.
    Idle,
    /// The route is being closed; nothing follows on this instance.
    Closing,
}

/// How far a commit reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The sink has it, and may still lose it. Nobody may forget it yet.
    Accepted,
    /// It survives power loss, checkpoint included.
    Durable,
}

/// What a user may rely on at a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Every row lands exactly once: rows and checkpoint are one atomic act.
    ExactlyOnce,
    /// Every row lands; after a crash some may land again.
    AtLeastOnce,
}
