//! What the API needs of the data path. The API knows resources; the data path knows what flows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use towpath_record::{
    AgentId, LogOffset, RegionName, RouteId, SchemaHash, SourceId, StreamName, StreamSchema,
};
use towpath_resource::StartFrom;
use towpath_resource::api::fleet::{BreakerState, Lag};
use towpath_resource::api::{CompareLine, CompareOrder, Finding, LogPage, StreamRecord};
use towpath_resource::observed::{Observed, Trouble};

/// The data path, as the API sees it.
#[async_trait]
pub trait Plane: Send + Sync + 'static {
    /// How everything goes, as of a moment ago at most. Called for each request that shows a status.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Whether the data path takes and delivers frames; if not, why.
    fn ready(&self) -> Result<(), String>;

    /// The records of a stream from there on, in the order of the log. Without `follow` the stream ends where the log
    /// ended when it was asked for. Dropping the stream ends the work.
    async fn tail(
        &self,
        order: TailOrder,
    ) -> Result<BoxStream<'static, Result<StreamRecord, PlaneError>>, PlaneError>;

    /// Looks whether the system behind a source is ready to be read.
    async fn check_source(&self, source: SourceId) -> Result<Vec<Finding>, PlaneError>;

    /// The newest lines of an agent's log, or those that follow a cursor.
    async fn agent_log(
        &self,
        agent: AgentId,
        after: Option<String>,
        limit: u32,
    ) -> Result<LogPage, PlaneError>;

    /// Compares what the sources of a route have with what its sink keeps, stream by stream. Dropping the answer ends
    /// the work.
    async fn compare(
        &self,
        route: RouteId,
        order: CompareOrder,
    ) -> Result<BoxStream<'static, CompareLine>, PlaneError>;

    /// The versions of every stream's schema.
    fn schemas(&self) -> Vec<StreamVersions>;

    /// Dead letters, newest first.
    async fn letters(&self, order: LetterOrder) -> Result<Vec<Letter>, PlaneError>;

    /// One dead letter.
    async fn letter(&self, id: &str) -> Result<Letter, PlaneError>;

    /// Sends a dead letter on its way again. Doing it twice is refused.
    async fn replay_letter(&self, id: &str) -> Result<Letter, PlaneError>;
}

/// How everything goes. What is not known is left out.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The agents that are or were connected since the control plane was started.
    pub agents: BTreeMap<AgentId, AgentPresence>,
    /// What each source has brought into the region's log.
    pub sources: BTreeMap<SourceId, SourceFlow>,
    /// What each route has delivered.
    pub routes: BTreeMap<RouteId, RouteFlow>,
    /// The streams of the logs.
    pub streams: BTreeMap<StreamName, StreamFlow>,
    /// The regions' logs.
    pub logs: BTreeMap<RegionName, LogFlow>,
}

/// An agent's presence.
#[derive(Clone, Debug, Default)]
pub struct AgentPresence {
    /// Since when it is connected, while it is.
    pub connected_since: Option<Timestamp>,
    /// Where it connects or connected from.
    pub address: Option<String>,
    /// What it last said of itself, and when.
    pub observed: Option<(Timestamp, Observed)>,
}

/// What a source has brought.
#[derive(Clone, Debug, Default)]
pub struct SourceFlow {
    /// Records that are durable in the log, counted since any fixed moment.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Frames that the log refused because policies forbid what they hold, since the control plane was started.
    pub refused_frames: u64,
    /// Why its frames are not taken, when they are not.
    pub trouble: Option<Trouble>,
}

/// What a route has delivered.
#[derive(Clone, Debug, Default)]
pub struct RouteFlow {
    /// Records that are durable in the sink, counted since any fixed moment.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// How far the sink is behind the log.
    pub lag: Lag,
    /// The circuit breaker.
    pub breaker: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// When delivery is tried again, while it pauses.
    pub next_try_at: Option<Timestamp>,
    /// The last error, until a delivery succeeds.
    pub trouble: Option<Trouble>,
    /// Whether it waits for an admin.
    pub stopped: bool,
    /// Rows that the sink refused and that wait as dead letters.
    pub dead_letters: u64,
    /// The version of a schema before which it stopped.
    pub held: Option<RouteHold>,
}

/// Before which version of a schema a route stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteHold {
    /// The source.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// The version that breaks the route's rule.
    pub version: u32,
    /// Its schema.
    pub schema: SchemaHash,
    /// The version that the route took last.
    pub taken: u32,
    /// What breaks.
    pub reason: String,
}

/// The versions of a stream's schema, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamVersions {
    /// The source.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// The versions.
    pub versions: Vec<SchemaVersion>,
}

/// A version of a stream's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaVersion {
    /// Its number, from 1.
    pub version: u32,
    /// The schema.
    pub schema: StreamSchema,
    /// The first frame that named it.
    pub first_offset: LogOffset,
    /// When that frame came, in microseconds since 1970-01-01 UTC.
    pub first_us: i64,
}

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct StreamFlow {
    /// Records in the log since it was created.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Input that could not become records, since the log was created.
    pub dead_letters: u64,
    /// When the newest frame was sealed.
    pub last_captured_at: Option<Timestamp>,
    /// The sources that were seen to feed it.
    pub sources: BTreeSet<SourceId>,
}

/// A region's log.
#[derive(Clone, Debug, Default)]
pub struct LogFlow {
    /// The oldest frame it retains.
    pub first_offset: LogOffset,
    /// The number of its next frame.
    pub next_offset: LogOffset,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes it may take on disk, if that is limited.
    pub max_bytes: Option<u64>,
    /// Records that became durable in it since it was created.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Frames that it has acknowledged and lost, as agents proved since it was opened.
    pub lost_frames: u64,
    /// Versions of streams' schemas.
    pub schema_versions: u64,
    /// Why it takes no frames, when it does not.
    pub trouble: Option<Trouble>,
}

/// Which records are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TailOrder {
    /// The stream.
    pub stream: StreamName,
    /// Where to begin.
    pub from: StartFrom,
    /// Whether to wait for more at the end.
    pub follow: bool,
}

/// Which dead letters are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LetterOrder {
    /// Those of this stream only.
    pub stream: Option<StreamName>,
    /// Those of this route only.
    pub route: Option<RouteId>,
    /// At most so many.
    pub limit: usize,
}

/// A dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter {
    /// Its identity.
    pub id: String,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// The source it comes from.
    pub source: SourceId,
    /// The route whose sink refused it; none if it could not even become a record.
    pub route: Option<RouteId>,
    /// Where it stood: a file path, a table, a frame.
    pub resource: String,
    /// Line or record number in the resource, from 1; 0 where it has none.
    pub line: u64,
    /// The column that was refused, where one was.
    pub column: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// Whether it was sent on its way again.
    pub replayed: bool,
    /// The record, where it had become one.
    pub record: Option<serde_json::Value>,
    /// The raw input, where it had not.
    pub raw: Option<Vec<u8>>,
    /// Whether the raw input was longer than what is kept.
    pub raw_truncated: bool,
}

/// Why the data path does not do what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaneError {
    /// It is not there.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// It cannot be done now; the text names the cause and the remedy.
    #[error("{0}")]
    Unavailable(String),
}
