//! What a cell's machine tells its owner and its transport.

use bytes::Bytes;
use towpath_proto::link::{CellMessage, GoodbyeCode, Hello, answer};
use towpath_record::{LaneId, Link, LogId, LogOffset, SchemaHash, SourceId, StreamName, StreamSchema};

use crate::chain::Chain;
use crate::closing::Closed;

/// Something for the transport.
#[derive(Clone, PartialEq, Debug)]
pub enum CellTransmit<F> {
    /// Write this on the control stream.
    Message(CellMessage),
    /// Write this offset and frame on the stream of this binding, opening the stream if it is the first. Answer
    /// with [`super::CellSession::handle_written`].
    Delivery {
        /// The binding.
        binding: u32,
        /// The frame's place in the region's log.
        offset: LogOffset,
        /// The frame.
        frame: F,
    },
    /// Stop reading the stream of this opening.
    EndLane {
        /// The opening.
        opening: u32,
    },
    /// Abandon the stream of this binding.
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

/// How an agent asks for a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneOpening {
    /// The number of the opening on this connection.
    pub opening: u32,
    /// The lane.
    pub lane: LaneId,
    /// What the agent would go on with; absent when it needs a new epoch.
    pub chain: Option<Chain>,
    /// Whether it needs every mark that the lane's frames ever carried.
    pub want_marks: bool,
}

/// Frames of a source's stream in one schema shall be cast to another before the sink sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CastOrder {
    /// The source whose lane the frames are of.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// The schema of the frames.
    pub from: SchemaHash,
    /// The schema of what the sink sees.
    pub to: StreamSchema,
}

/// Rows of one frame that a sink refuses for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejections {
    /// The binding.
    pub binding: u32,
    /// The frame's place in the region's log.
    pub offset: LogOffset,
    /// Its lane.
    pub lane: LaneId,
    /// Its place in that lane.
    pub link: Link,
    /// The rows by their index in the frame, each with the reason.
    pub rows: Vec<(u32, String)>,
    /// Whether more rows of the same frame follow.
    pub more: bool,
}

/// Something for the owner.
#[derive(Clone, PartialEq, Debug)]
pub enum CellEvent<F> {
    /// An agent said hello. Answer with [`super::CellSession::welcome`] or [`super::CellSession::goodbye`], and
    /// say [`GoodbyeCode::Superseded`] to an older session of the same agent.
    Greeted(Hello),
    /// An agent asks for a lane. Check that it is the agent's, then answer with
    /// [`super::CellSession::handle_lane_opened`] or [`super::CellSession::refuse_lane`].
    LaneRequested(LaneOpening),
    /// Read marks of a lane. Answer with [`super::CellSession::handle_marks`].
    MarksWanted {
        /// The opening.
        opening: u32,
        /// The lane.
        lane: LaneId,
        /// How many marks were read before.
        after: usize,
    },
    /// Nothing more comes in this opening. What was appended may still become durable.
    LaneClosed {
        /// The opening.
        opening: u32,
        /// The lane.
        lane: LaneId,
    },
    /// The meaning of a schema hash. Check that it hashes so, make it durable, then answer with
    /// [`super::CellSession::handle_schema_stored`] or [`super::CellSession::handle_schema_refused`].
    SchemaOffered {
        /// The hash.
        hash: SchemaHash,
        /// The canonical form.
        canonical: Bytes,
    },
    /// Append a frame to the log, in the order of these events. Answer, for one or many, with
    /// [`super::CellSession::handle_durable`], or with [`super::CellSession::refuse_lane`].
    Append {
        /// The opening.
        opening: u32,
        /// The frame.
        frame: F,
    },
    /// A sink is open. Read the log from behind the checkpoint.
    RouteReady {
        /// The binding.
        binding: u32,
        /// What the sink durably holds: a place in a log.
        checkpoint: Option<(LogId, LogOffset)>,
    },
    /// A sink cannot be used, or no longer. The binding is over.
    RouteRefused {
        /// The binding.
        binding: u32,
        /// Why.
        reason: String,
        /// What a person may do about it.
        remedy: String,
    },
    /// Read the route's next frame from the log, as soon as there is one. Answer with
    /// [`super::CellSession::handle_delivery`].
    DeliveryWanted {
        /// The binding.
        binding: u32,
    },
    /// Find a schema. Answer with [`super::CellSession::handle_schema`].
    SchemaWanted {
        /// Its hash.
        hash: SchemaHash,
    },
    /// Everything of the route up to this offset is durable in the sink.
    Delivered {
        /// The binding.
        binding: u32,
        /// The offset.
        offset: LogOffset,
    },
    /// Make these rows durable as dead letters. Answer the last of a frame with
    /// [`super::CellSession::handle_rejections_stored`].
    Rejected(Rejections),
    /// What the agent observes of itself.
    Observed {
        /// The generation it runs.
        generation: u64,
        /// The status, JSON.
        status: Bytes,
    },
    /// The agent answers a question.
    Answered {
        /// The question.
        question: u32,
        /// Whether more parts follow.
        more: bool,
        /// The answer, or a part of it; none if this version does not know it.
        kind: Option<answer::Kind>,
    },
    /// Sign a new certificate. Answer with [`super::CellSession::renewed`].
    RenewalWanted {
        /// The request, DER.
        csr_der: Bytes,
    },
    /// The session is over. Nothing follows but what the transport must still do.
    Closed(Closed),
}
