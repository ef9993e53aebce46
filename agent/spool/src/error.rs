//! What can go wrong in the spool, and why it may wait.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use towpath_record::{LaneId, Link};
use towpath_segment::{AppendError, OpenError, StorageFault};

/// Why the spool refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    /// The spool's directory could not be created or listed.
    #[error("the directory `{}` of the spool cannot be used: check that it may be written to", dir.display())]
    Prepare {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        cause: std::sync::Arc<std::io::Error>,
    },
    /// The directory of a lane that nobody uses any more could not be removed.
    #[error("the lane directory `{}` cannot be removed; nothing needs it, remove it by hand", dir.display())]
    Remove {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        cause: std::sync::Arc<std::io::Error>,
    },
    /// One lane's directory could not be opened.
    #[error("the lane directory `{}` cannot be opened", dir.display())]
    Open {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// The system gives no thread for a lane.
    #[error("the spool has no thread for lane {lane}: raise the limit on threads")]
    Thread {
        /// The lane.
        lane: LaneId,
        /// Why.
        #[source]
        cause: std::sync::Arc<std::io::Error>,
    },
    /// The frame belongs to another lane.
    #[error("a frame of lane {found} was given to the spool of lane {lane}")]
    OtherLane {
        /// The lane of the queue.
        lane: LaneId,
        /// The lane of the frame.
        found: LaneId,
    },
    /// The frame does not follow the last one.
    #[error(
        "a frame with {found} (after checksum {found_prev:08x}) does not follow {head} in the spool of lane {lane}"
    )]
    OutOfOrder {
        /// The lane.
        lane: LaneId,
        /// The newest frame in the spool.
        head: Link,
        /// The frame that was given.
        found: Link,
        /// The checksum of the frame that it follows.
        found_prev: u32,
    },
    /// Frames were lost to a damaged disk; the lane must be reset and its source read again.
    #[error("the spool of lane {lane} is damaged and waits to be filled again from its source: {damage}")]
    Broken {
        /// The lane.
        lane: LaneId,
        /// What was lost.
        damage: Damage,
    },
    /// The frame was trimmed away, or the lane was reset.
    #[error("frame {seq} of lane {lane} is no longer in the spool")]
    Gone {
        /// The lane.
        lane: LaneId,
        /// The frame's number.
        seq: u64,
    },
    /// A frame did not become durable because the spool is closing.
    #[error("a frame of lane {lane} was not spooled")]
    Append {
        /// The lane.
        lane: LaneId,
        /// Why.
        #[source]
        cause: AppendError,
    },
    /// The file system refused a read.
    #[error("the spool of lane {lane} cannot be read")]
    Read {
        /// The lane.
        lane: LaneId,
        /// Why.
        #[source]
        cause: StorageFault,
    },
}

/// What a lane lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The lost frames, where their numbers are known.
    pub lost: Option<Range<u64>>,
    /// What is wrong with which file.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(lost) = &self.lost {
            write!(f, "frames {} to {} are lost: ", lost.start, lost.end.saturating_sub(1))?;
        }
        f.write_str(&self.reason)
    }
}

/// Why the spool takes no frame just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// All lanes together hold as much as they may.
    Full {
        /// Bytes held.
        held_bytes: u64,
        /// `SpoolConfig::max_bytes`.
        max_bytes: u64,
    },
    /// The disk has less free space than the spool must leave.
    LowDisk {
        /// Bytes free.
        free_bytes: u64,
        /// `SpoolConfig::min_free_bytes`.
        min_free_bytes: u64,
    },
    /// The disk refuses.
    Disk {
        /// What it says.
        message: String,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { held_bytes, max_bytes } => {
                write!(f, "the spool is full: {held_bytes} of {max_bytes} bytes wait to be shipped")
            }
            Self::LowDisk { free_bytes, min_free_bytes } => write!(
                f,
                "the disk is nearly full: {free_bytes} bytes are free and the spool leaves {min_free_bytes}"
            ),
            Self::Disk { message } => write!(f, "the disk refuses: {message}"),
        }
    }
}
