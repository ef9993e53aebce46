//! How large the spool may grow.

use towpath_record::limits::MAX_FRAME_BYTES;
use towpath_segment::Config;

/// The spool's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolConfig {
    /// Bytes of frames that all lanes together may hold. On the disk there may be one segment more for each lane, of
    /// frames that were shipped. A single frame is taken even if it is larger.
    pub max_bytes: u64,
    /// Bytes that the spool leaves free on its disk.
    pub min_free_bytes: u64,
    /// Size of a segment, in bytes: the unit in which disk space is given back. At most an eighth of `max_bytes` is used.
    pub segment_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { max_bytes: 4 << 30, min_free_bytes: 512 << 20, segment_bytes: 32 << 20 }
    }
}

const MIN_SEGMENT_BYTES: u64 = 4 << 10;
const MAX_SEGMENT_BYTES: u64 = 1 << 30;

impl SpoolConfig {
    /// How exact the bytes held by a lane are known.
    pub(crate) fn accounting_bytes(&self) -> u64 {
        self.max_bytes / 1024
    }

    pub(crate) fn log(&self) -> Config {
        let segment_bytes =
            self.segment_bytes.min(self.max_bytes / 8).clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
        Config { segment_bytes, max_record_bytes: MAX_FRAME_BYTES, first_index: 1 }
    }
}
