//! Where a chain of frames stands: in its source, in its lane and in the region log.

use std::fmt;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a source may resume. Only the adapter that wrote it can read it; the empty position is the beginning.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Position(pub Bytes);

/// A durable fact about a source, carried by the frame that makes it true: "this file is complete", "this slot
/// was dropped". An adapter that lost its local state rebuilds it from the marks that the region log kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark(pub Bytes);

/// A frame's place in its lane. The checksum makes the chain tamper-evident to accidents: a frame with the same
/// numbers and other bytes is not the same link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    /// The reign under which the frame was sealed. An older one is fenced.
    pub epoch: u64,
    /// The frame's number in its lane, from 1, without gaps, continuing across epochs.
    pub seq: u64,
    /// CRC32C of the whole frame.
    pub crc: u32,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} seq {} crc {:08x}", self.epoch, self.seq, self.crc)
    }
}

/// A frame's number in a region log, from 1, without gaps.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
pub struct LogOffset(pub u64);

impl LogOffset {
    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
