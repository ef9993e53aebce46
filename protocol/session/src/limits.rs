//! Every limit and default of the link, in one place.

use std::time::Duration;

/// The protocol that is spoken here.
pub const PROTOCOL_VERSION: u32 = 1;

/// How long either side keeps silent on the control stream before it says that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// After how many silent heartbeats a peer is taken for dead.
pub const SILENT_HEARTBEATS: u32 = 3;

/// The range of heartbeats that an agent accepts from a cell.
pub const HEARTBEAT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(300);

/// How long the first message of a peer may take.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// After how many silent heartbeats a schema that a frame waits for is taken as never said. More than
/// [`SILENT_HEARTBEATS`]: on a connection that died the schema may be lost where the frame is not, and then
/// silence tells, and nobody broke the protocol.
pub const SCHEMA_HEARTBEATS: u32 = 2 * SILENT_HEARTBEATS;

/// Most lanes of one session.
pub const MAX_LANES: usize = 1_000;

/// Most bound routes of one session.
pub const MAX_ROUTES: usize = 1_000;

/// Most casts of one bound route. All of them fit into one message.
pub const MAX_CASTS: usize = 1_000;

/// Most schemas that one side may say on one connection.
pub const MAX_SCHEMAS: usize = 4_096;

/// How much of a lane's frames may be under way without acknowledgement, in bytes. A single frame that is larger
/// travels alone.
pub const LANE_WINDOW_BYTES: u64 = 32 << 20;

/// How much of a route's frames may be under way without being consumed, in bytes. A single frame that is larger
/// travels alone.
pub const ROUTE_WINDOW_BYTES: u64 = 8 << 20;

/// What a frame counts in a window beyond its own bytes: about what holding it costs.
pub const FRAME_OVERHEAD_BYTES: u64 = 512;

/// Most frames of one lane or route that are fetched ahead of the transport.
pub(crate) const FRAMES_AHEAD: usize = 4;

/// Most frames of one lane or route that the transport has been given and has not taken yet.
pub(crate) const FRAMES_UNWRITTEN: usize = 2;

/// How much of all lanes' frames an agent holds in memory on their way to the transport, in bytes.
pub const AGENT_AHEAD_BYTES: u64 = 4 << 20;

/// Most frames that an agent fetches from its spool at the same time.
pub const AGENT_FETCHES: usize = 4;

/// Most bytes of marks that one lane may send to an agent that lost its cache.
pub const MAX_LANE_MARKS_BYTES: usize = 64 << 20;

/// Most bytes of marks in one message.
pub const MARKS_CHUNK_BYTES: usize = 1 << 20;

/// Most bytes of rejected rows in one message.
pub const REJECTIONS_CHUNK_BYTES: usize = 1 << 20;

/// Most questions that a cell may have asked an agent and not been answered.
pub const MAX_QUESTIONS: usize = 16;

/// Largest answer to one question, all parts together, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest reason or remedy in a message, in bytes. Longer ones are cut.
pub const MAX_REASON_BYTES: usize = 4 << 10;

/// How long an agent that was superseded waits before it tries again: two machines with one identity must not
/// chase each other.
pub const SUPERSEDED_PAUSE: Duration = Duration::from_secs(30);

/// How long an agent waits before it tries again after a fault that trying again will hardly mend.
pub const FAULT_PAUSE: Duration = Duration::from_secs(30);
