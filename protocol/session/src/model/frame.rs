//! A frame without bytes: what it says of itself and which records it stands for.

use std::ops::Range;
use std::sync::Arc;

use towpath_record::{LaneId, Link, SchemaHash};

use crate::frame::Frame;

#[derive(Clone, PartialEq, Debug)]
pub(super) struct SimFrame(Arc<Body>);

#[derive(PartialEq, Debug)]
pub(super) struct Body {
    pub(super) lane: LaneId,
    pub(super) link: Link,
    pub(super) prev_crc: u32,
    pub(super) schema: SchemaHash,
    pub(super) wire_bytes: u64,
    pub(super) records: Range<u64>,
}

impl SimFrame {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(body))
    }

    pub(super) fn records(&self) -> Range<u64> {
        self.0.records.clone()
    }

    /// Every third frame of a lane carries a mark that names it.
    pub(super) fn mark(&self) -> Option<u64> {
        self.0.link.seq.is_multiple_of(3).then_some(self.0.link.seq)
    }
}

impl Frame for SimFrame {
    fn lane(&self) -> &LaneId {
        &self.0.lane
    }

    fn link(&self) -> Link {
        self.0.link
    }

    fn prev_crc(&self) -> u32 {
        self.0.prev_crc
    }

    fn schema(&self) -> SchemaHash {
        self.0.schema
    }

    fn wire_bytes(&self) -> u64 {
        self.0.wire_bytes
    }
}
