//! What a peer did that it may not do. The session ends with it, and names it.

use towpath_proto::ids::FieldError;
use towpath_record::{LaneId, LogOffset, SchemaHash};

/// A breach of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message that has no place where it came.
    #[error("the message `{message}` may not come {when}")]
    Unexpected {
        /// The message.
        message: &'static str,
        /// When it came.
        when: &'static str,
    },
    /// A field that cannot be read.
    #[error("the message `{message}` is not valid: {fault}")]
    Field {
        /// The message.
        message: &'static str,
        /// The field and what is wrong with it.
        fault: FieldError,
    },
    /// A number that does not rise.
    #[error("{what} {number} was used before")]
    Reused {
        /// What is numbered.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// A number that was never agreed.
    #[error("{what} {number} was never agreed")]
    Unknown {
        /// What is numbered.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// The same lane in two openings at once.
    #[error("lane {0} is open already")]
    OpenTwice(LaneId),
    /// Frames of a lane before it was opened.
    #[error("frames of lane {0} came before it was opened")]
    NotOpen(LaneId),
    /// A frame of another lane.
    #[error("a frame of lane {found} came where lane {opened} was opened")]
    OtherLane {
        /// The lane that was opened.
        opened: LaneId,
        /// The lane of the frame.
        found: LaneId,
    },
    /// A frame out of order.
    #[error("frame {found} of lane {lane} came where {expected} should")]
    FrameOrder {
        /// The lane.
        lane: LaneId,
        /// The frame that should have come.
        expected: u64,
        /// The frame that came.
        found: u64,
    },
    /// A delivery out of order.
    #[error("offset {found} came on binding {binding} after offset {last}")]
    DeliveryOrder {
        /// The binding.
        binding: u32,
        /// The last offset.
        last: LogOffset,
        /// The offset that came after it.
        found: LogOffset,
    },
    /// More than the window.
    #[error("{found} bytes are under way in {what} {number}; its window is {window}")]
    OverWindow {
        /// What has the window.
        what: &'static str,
        /// Its number.
        number: u32,
        /// The window, in bytes.
        window: u64,
        /// What is under way with the frame that was too much, in bytes.
        found: u64,
    },
    /// More credit than was used.
    #[error("binding {binding} was given back {given} bytes where {used} were used")]
    OverCredit {
        /// The binding.
        binding: u32,
        /// What was given back, in bytes.
        given: u64,
        /// What was used, in bytes.
        used: u64,
    },
    /// An acknowledgement of what was never sent.
    #[error("frame {through} of opening {opening} was acknowledged and never sent")]
    AckUnsent {
        /// The opening.
        opening: u32,
        /// The frame.
        through: u64,
    },
    /// Too many of something.
    #[error("more than {limit} {what} on one link")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A schema that never came.
    #[error("schema {0} was used and never said")]
    SchemaMissing(SchemaHash),
    /// A stream that cannot be read, as the shell found.
    #[error("a stream cannot be read: {0}")]
    Stream(String),
}

impl Violation {
    /// What a person may do about it.
    pub const fn remedy(&self) -> &'static str {
        "run agent and control plane in versions that are meant for each other, and report this as a fault"
    }
}
