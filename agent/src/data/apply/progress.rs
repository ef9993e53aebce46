//! What a sink has taken, by the links of the chains, and its form as a checkpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towpath_adapter_api::Checkpoint;
use towpath_record::{LaneId, Link, LogId, LogOffset, RegionName, SourceId};

/// How far a route has come in a sink. Frames are told apart by lane and sequence, not by log offset alone, so
/// that a region log restored from an older backup cannot make a row land twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The log that the offset belongs to.
    pub log: LogId,
    /// The offset of the region's log that was applied or passed last.
    pub offset: LogOffset,
    /// Epoch and number of the newest frame of each lane.
    lanes: BTreeMap<LaneId, (u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    log: LogId,
    offset: LogOffset,
    lanes: Vec<StoredLane>,
}

#[derive(Serialize, Deserialize)]
struct StoredLane {
    source: SourceId,
    region: RegionName,
    epoch: u64,
    seq: u64,
}

/// The checkpoint in the sink cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint in the sink cannot be read; if it was edited by hand, restore it: {0}")]
pub(crate) struct UnreadableCheckpoint(#[source] serde_json::Error);

impl Progress {
    /// Nothing of this log was taken yet.
    pub(crate) fn none_of(log: LogId) -> Self {
        Self { log, offset: LogOffset(0), lanes: BTreeMap::new() }
    }

    /// Reads what a sink stored.
    pub(crate) fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, UnreadableCheckpoint> {
        let stored: Stored = serde_json::from_slice(&checkpoint.0).map_err(UnreadableCheckpoint)?;
        let lanes = stored
            .lanes
            .into_iter()
            .map(|StoredLane { source, region, epoch, seq }| (LaneId { source, region }, (epoch, seq)));
        Ok(Self { log: stored.log, offset: stored.offset, lanes: lanes.collect() })
    }

    /// The form that the sink stores with the rows.
    pub(crate) fn to_checkpoint(&self) -> Checkpoint {
        let lanes = self.lanes.iter().map(|(lane, (epoch, seq))| StoredLane {
            source: lane.source,
            region: lane.region.clone(),
            epoch: *epoch,
            seq: *seq,
        });
        let stored = Stored { log: self.log, offset: self.offset, lanes: lanes.collect() };
        Checkpoint(serde_json::to_vec(&stored).expect("numbers and names are always JSON").into())
    }

    /// Whether the sink has this frame already.
    pub(crate) fn covers(&self, lane: &LaneId, link: Link) -> bool {
        self.lanes.get(lane).is_some_and(|newest| *newest >= (link.epoch, link.seq))
    }

    /// Notes that the sink has this frame, which stands at `offset` of `log`.
    pub(crate) fn advance(&mut self, log: LogId, offset: LogOffset, lane: &LaneId, link: Link) {
        (self.log, self.offset) = (log, offset);
        let at = (link.epoch, link.seq);
        match self.lanes.get_mut(lane) {
            Some(newest) => *newest = at.max(*newest),
            None => drop(self.lanes.insert(lane.clone(), at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_the_sink_has_is_covered_whatever_its_offset_is_now() {
        let lane = LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() };
        let link = |seq| Link { epoch: 1, seq, crc: 0 };
        let log = LogId::from_bytes([1; 16]);
        let mut progress = Progress::none_of(log);
        progress.advance(log, LogOffset(90), &lane, link(5));
        let progress = Progress::from_checkpoint(&progress.to_checkpoint()).unwrap();
        assert_eq!(progress.offset, LogOffset(90));
        assert!(progress.covers(&lane, link(5)) && progress.covers(&lane, link(1)));
        assert!(!progress.covers(&lane, link(6)));
        assert!(!progress.covers(&lane, Link { epoch: 2, ..link(3) }), "a restored log gives numbers again");
        let mut moved = progress.clone();
        moved.advance(LogId::from_bytes([2; 16]), LogOffset(3), &lane, link(4));
        assert_eq!((moved.offset, moved.covers(&lane, link(5))), (LogOffset(3), true));
        assert!(!progress.covers(&LaneId { region: RegionName::new("eu").unwrap(), ..lane }, link(1)));
    }

    #[test]
    fn an_edited_checkpoint_is_refused() {
        assert!(Progress::from_checkpoint(&Checkpoint(bytes::Bytes::from_static(b"{}"))).is_err());
    }
}
