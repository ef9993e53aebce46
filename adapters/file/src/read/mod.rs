//! From a file to batches of records.

mod bytes;
mod text;
mod clean;
mod records;

use std::io;

pub(crate) use clean::clean;
pub(crate) use records::{Counts, Parsed, ReadPlan, RecordReader, Verdict};
pub(crate) use text::{Extent, TextReader};

/// How much is read and split at once. Small enough that the text is still in the processor's cache when its
/// fields are typed.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFault {
    /// What is in the file is at fault; reading it again changes nothing.
    #[error("{0}")]
    Damaged(String),
    /// The system failed; another attempt may succeed.
    #[error("cannot read it: {0}")]
    System(#[source] io::Error),
    /// The source is to stop.
    #[error("the source was stopped")]
    Stopped,
}
