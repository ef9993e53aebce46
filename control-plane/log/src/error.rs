//! What can go wrong with a region log.

use std::path::PathBuf;

use towpath_record::{FrameError, LogOffset, SchemaError, SchemaHash};
use towpath_segment::error as segment;

/// The log cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The segments or the book cannot be opened.
    #[error(transparent)]
    Open(#[from] segment::OpenError),
    /// A write or sync failed.
    #[error(transparent)]
    Write(#[from] segment::AppendError),
    /// Frames cannot be read back.
    #[error(transparent)]
    Read(#[from] segment::ReadError),
    /// A file beside the segments cannot be used.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it was refused.
        #[source]
        source: std::io::Error,
    },
    /// A file beside the segments is damaged.
    #[error("{}: {reason}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The log's thread has ended.
    #[error("the region log is closed")]
    Closed,
}

/// A group of frames was not appended. None of it is stored; the sender offers it again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The disk is full.
    #[error("the region log's disk is full: free space or raise the quota; it resumes by itself")]
    NoSpace,
    /// Retention by size would have to remove frames that a route has not delivered.
    #[error(
        "the region log has reached its size limit with frames that routes have not delivered yet: resume or delete the slow route, or raise `log.retention_bytes`"
    )]
    Full,
    /// The disk failed; the log goes back to what is known to be durable.
    #[error("the region log's disk failed: {0}")]
    Disk(String),
    /// The log's thread has ended.
    #[error("the region log is closed")]
    Closed,
    /// A schema is not in its canonical form.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A frame names a schema that was not stored before it.
    #[error("a frame names schema {0}, which was not sent before it")]
    UnknownSchema(SchemaHash),
}

/// Frames cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Retention removed the frame.
    #[error("frame {wanted} was removed by retention; the oldest that is kept is {first}")]
    Retained {
        /// The offset asked for.
        wanted: LogOffset,
        /// The oldest offset that is kept.
        first: LogOffset,
    },
    /// Frames are damaged. The reader goes on after them.
    #[error("frames {from} to {to} are lost: {reason}")]
    Lost {
        /// The first lost offset.
        from: LogOffset,
        /// The last lost offset.
        to: LogOffset,
        /// What happened.
        reason: String,
    },
    /// A record is not a frame of ours.
    #[error("frame {offset} cannot be read")]
    Frame {
        /// Its offset.
        offset: LogOffset,
        /// Why it cannot be read.
        #[source]
        source: FrameError,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] segment::StorageFault),
}
