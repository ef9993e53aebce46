//! What the machines need to know of a frame.

use towpath_record::{LaneId, Link, LogOffset, SchemaHash, SealedFrame};

use crate::limits::FRAME_OVERHEAD_BYTES;

/// A sealed frame, as far as the link looks into it.
pub trait Frame {
    /// The chain it belongs to.
    fn lane(&self) -> &LaneId;
    /// Its place in that chain.
    fn link(&self) -> Link;
    /// The checksum of the frame before it.
    fn prev_crc(&self) -> u32;
    /// The schema of its rows.
    fn schema(&self) -> SchemaHash;
    /// How many bytes it has on the wire.
    fn wire_bytes(&self) -> u64;

    /// What it counts in a window.
    fn cost(&self) -> u64 {
        self.wire_bytes() + FRAME_OVERHEAD_BYTES
    }
}

impl Frame for SealedFrame {
    fn lane(&self) -> &LaneId {
        &self.header().lane
    }

    fn link(&self) -> Link {
        SealedFrame::link(self)
    }

    fn prev_crc(&self) -> u32 {
        self.header().prev_crc
    }

    fn schema(&self) -> SchemaHash {
        self.header().schema
    }

    fn wire_bytes(&self) -> u64 {
        self.bytes().len() as u64
    }
}

/// A frame with its place in the region's log.
#[derive(Debug)]
pub(crate) struct Delivery<F> {
    pub(crate) offset: LogOffset,
    pub(crate) frame: F,
}

impl<F: Frame> Frame for Delivery<F> {
    fn lane(&self) -> &LaneId {
        self.frame.lane()
    }

    fn link(&self) -> Link {
        self.frame.link()
    }

    fn prev_crc(&self) -> u32 {
        self.frame.prev_crc()
    }

    fn schema(&self) -> SchemaHash {
        self.frame.schema()
    }

    fn wire_bytes(&self) -> u64 {
        self.frame.wire_bytes()
    }
}
