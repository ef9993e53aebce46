//! How much has passed through the log, per stream.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use towpath_record::{FrameHeader, FrameKind, SchemaHash, SourceId, StreamName};

/// Totals of a stream, since the log was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    /// Frames of records.
    pub frames: u64,
    /// Records.
    pub records: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// When the newest frame was sealed, in microseconds since 1970-01-01 UTC.
    pub last_captured_us: i64,
    /// The schema of the newest frame of records.
    #[serde(default)]
    pub schema: Option<SchemaHash>,
}

/// Totals of every stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(pub BTreeMap<StreamName, StreamTotals>);

impl Totals {
    /// Counts a frame of this many bytes.
    pub fn count(&mut self, header: &FrameHeader, bytes: usize) {
        if matches!(header.kind, FrameKind::Progress | FrameKind::Replay) {
            return;
        }
        let totals = match self.0.get_mut(&header.stream) {
            Some(totals) => totals,
            None => self.0.entry(header.stream.clone()).or_default(),
        };
        match header.kind {
            FrameKind::Records => {
                totals.frames += 1;
                totals.records += u64::from(header.rows);
                totals.bytes += bytes as u64;
                totals.schema = Some(header.schema);
            }
            FrameKind::DeadLetters => totals.dead_letters += u64::from(header.rows),
            FrameKind::Progress | FrameKind::Replay => {}
        }
        totals.last_captured_us = totals.last_captured_us.max(header.captured_at_us);
    }
}

/// What a source has brought since the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// Records.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// The streams they belong to.
    pub streams: BTreeSet<StreamName>,
}

impl SourceTotals {
    /// Counts a frame of this many bytes.
    pub fn count(by_source: &mut BTreeMap<SourceId, Self>, header: &FrameHeader, bytes: usize) {
        if header.kind == FrameKind::Records {
            let totals = by_source.entry(header.lane.source).or_default();
            totals.records += u64::from(header.rows);
            totals.bytes += bytes as u64;
            if !totals.streams.contains(&header.stream) {
                totals.streams.insert(header.stream.clone());
            }
        }
    }
}
