//! What an agent's machine tells its owner and its transport.

use std::time::Duration;

use bytes::Bytes;
use towpath_proto::link::{AgentMessage, GoodbyeCode, LaneFault, question};
use towpath_record::{
    LaneId, Link, LogId, LogOffset, Mark, Position, RouteId, SchemaHash, SinkId, SourceId, StreamName,
};

use crate::chain::Inconsistency;
use crate::closing::Closed;

/// Something for the transport.
#[derive(Clone, PartialEq, Debug)]
pub enum AgentTransmit<F> {
    /// Write this on the control stream.
    Message(AgentMessage),
    /// Write this frame on the stream of this opening, opening the stream if it is the first. Answer with
    /// [`super::AgentSession::handle_written`].
    Frame {
        /// The opening.
        opening: u32,
        /// The frame.
        frame: F,
    },
    /// Abandon the stream of this opening.
    EndLane {
        /// The opening.
        opening: u32,
    },
    /// Stop reading the stream of this binding.
    EndRoute {
        /// The binding.
        binding: u32,
    },
    /// Close the connection, once what was written has had a moment to leave.
    Close {
        /// The application close code.
        code: GoodbyeCode,
        /// The reason, for people.
        reason: String,
    },
}

/// A lane is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneGrant {
    /// The lane.
    pub lane: LaneId,
    /// Whether a new epoch was asked for: the owner then holds nothing and reads from `position`.
    pub fresh: bool,
    /// The epoch to seal under.
    pub epoch: u64,
    /// The last frame that is durable in the log, which the next one is sealed behind. Told with a new epoch
    /// only: what the log has of a chain that goes on is acknowledged once it is proved to be that chain.
    pub last: Option<Link>,
    /// Where the source may resume after it. Told with a new epoch only.
    pub position: Position,
    /// Every mark the lane's frames ever carried, oldest first, when they were asked for.
    pub marks: Option<Vec<Mark>>,
}

/// A route to take to a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteBinding {
    /// Its number on this connection.
    pub binding: u32,
    /// The route.
    pub route: RouteId,
    /// How often it was replayed.
    pub replay: u64,
    /// The sink.
    pub sink: SinkId,
    /// The log whose frames will come.
    pub log: LogId,
}

/// Frames of a source's stream in one schema are cast to another before the sink sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cast {
    /// The source whose lane the frames are of.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// The schema of the frames.
    pub from: SchemaHash,
    /// The schema of what the sink sees. It was said before.
    pub to: SchemaHash,
}

/// Something for the owner.
#[derive(Clone, PartialEq, Debug)]
pub enum AgentEvent<F> {
    /// The cell accepted the session.
    Welcomed {
        /// The session's identity, for logs.
        session: Bytes,
        /// The newest generation of desired state; it comes by itself when the agent does not run it.
        desired_generation: u64,
    },
    /// Frames of a lane may flow.
    LaneGranted(LaneGrant),
    /// The cell does not take a lane now. [`AgentEvent::ChainWanted`] follows after a while.
    LaneRefused {
        /// The lane.
        lane: LaneId,
        /// Why, for machines.
        fault: LaneFault,
        /// Why, for people.
        reason: String,
        /// What a person may do about it.
        remedy: String,
        /// After how long it is tried again.
        retry_in: Duration,
    },
    /// Open a lane that was refused again, with what is held of it now: answer with
    /// [`super::AgentSession::open_lane`].
    ChainWanted {
        /// The lane.
        lane: LaneId,
    },
    /// What is held of a lane does not go on where the log ends. The owner stops the source, discards what it
    /// holds, and opens the lane with no chain.
    LaneBroken {
        /// The lane.
        lane: LaneId,
        /// Why.
        cause: Inconsistency,
    },
    /// Read a frame from the spool. Answer each with [`super::AgentSession::handle_frame`] or
    /// [`super::AgentSession::handle_fetch_failed`].
    FetchFrame {
        /// The opening it is for.
        opening: u32,
        /// The lane.
        lane: LaneId,
        /// The frame's number.
        seq: u64,
    },
    /// Find a schema. Answer with [`super::AgentSession::handle_schema`].
    SchemaWanted {
        /// Its hash.
        hash: SchemaHash,
    },
    /// Everything of the lane up to this frame is durable in the log. It may be trimmed and released.
    Acknowledged {
        /// The lane.
        lane: LaneId,
        /// The frame.
        link: Link,
    },
    /// The agent shall become this.
    Desired {
        /// The generation.
        generation: u64,
        /// The state, JSON.
        state: Bytes,
    },
    /// Take a route's frames to a sink. Answer with [`super::AgentSession::route_ready`] or
    /// [`super::AgentSession::route_refused`].
    RouteBound {
        /// What was bound to what.
        binding: RouteBinding,
        /// What is cast before the sink sees it.
        casts: Vec<Cast>,
    },
    /// No more frames of a route come.
    RouteUnbound {
        /// The binding that is over.
        binding: u32,
        /// Why.
        reason: String,
    },
    /// The meaning of a schema hash; frames that need it come later. The owner checks that it hashes so.
    SchemaLearned {
        /// The hash.
        hash: SchemaHash,
        /// The canonical form.
        canonical: Bytes,
    },
    /// A frame for a sink. Give its cost back with [`super::AgentSession::consumed`].
    Delivery {
        /// The binding.
        binding: u32,
        /// The frame's place in the region's log.
        offset: LogOffset,
        /// The frame.
        frame: F,
    },
    /// The rows rejected at this offset are durable as dead letters.
    RejectionsStored {
        /// The binding.
        binding: u32,
        /// The offset.
        offset: LogOffset,
    },
    /// The cell asks for something beside the flow of frames. Answer with [`super::AgentSession::answer`].
    Asked {
        /// The question's number on this connection.
        question: u32,
        /// What is asked; none if this version does not know it.
        kind: Option<question::Kind>,
    },
    /// Nobody waits for the answer to a question any more.
    Dismissed {
        /// The question.
        question: u32,
    },
    /// A new certificate, leaf first, DER.
    Renewed {
        /// The chain.
        chain: Vec<Bytes>,
    },
    /// The certificate was not renewed.
    RenewalRefused {
        /// Why.
        reason: String,
    },
    /// The session is over. Nothing follows but what the transport must still do.
    Closed(Closed),
}
