//! The rule that makes delivery into the log exactly once: a lane accepts only its next link. Pure.

use towpath_record::{FrameHeader, Link, Position};

/// Where a lane stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// The epoch whose frames are accepted; 0 before any was granted.
    pub epoch: u64,
    /// The last frame in the log.
    pub last: Option<Link>,
    /// Where the source may resume after it.
    pub position: Position,
}

/// What the log does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next link.
    Append,
    /// The log has it already.
    Repeat,
    /// Frames before it are missing.
    Gap {
        /// The number the log waits for.
        expected: u64,
    },
    /// The log has another frame of this number, or another one before it.
    Diverged,
    /// Its epoch is over, or was never granted.
    Fenced {
        /// The epoch that is accepted.
        current: u64,
    },
}

impl LaneState {
    /// What to do with a frame whose whole-frame checksum is `crc`.
    pub fn judge(&self, header: &FrameHeader, crc: u32) -> Verdict {
        if header.epoch != self.epoch {
            return Verdict::Fenced { current: self.epoch };
        }
        let (last_seq, last_crc) = self.last.map_or((0, 0), |link| (link.seq, link.crc));
        if header.seq < last_seq {
            Verdict::Repeat
        } else if header.seq == last_seq {
            if crc == last_crc { Verdict::Repeat } else { Verdict::Diverged }
        } else if header.seq > last_seq + 1 {
            Verdict::Gap { expected: last_seq + 1 }
        } else if header.prev_crc == last_crc {
            Verdict::Append
        } else {
            Verdict::Diverged
        }
    }

    /// The lane after an appended frame.
    pub fn advance(&mut self, header: &FrameHeader, crc: u32) {
        // A frame from before an epoch was granted may be read again at opening; the grant is not undone by it.
        self.epoch = self.epoch.max(header.epoch);
        self.last = Some(Link { epoch: header.epoch, seq: header.seq, crc });
        self.position = header.position.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use towpath_record::{FrameKind, LaneId, RegionName, SchemaHash, SourceId, StreamName};

    fn header(epoch: u64, seq: u64, prev_crc: u32) -> FrameHeader {
        FrameHeader {
            lane: LaneId { source: SourceId::from_bytes([1; 16]), region: RegionName::main() },
            epoch,
            seq,
            prev_crc,
            stream: StreamName::new("s").unwrap(),
            kind: FrameKind::Progress,
            schema: SchemaHash([0; 32]),
            rows: 0,
            position: Position::default(),
            marks: Vec::new(),
            captured_at_us: 0,
            transaction_continues: false,
            payload_raw_bytes: 0,
        }
    }

    fn lane(epoch: u64, seq: u64, crc: u32) -> LaneState {
        LaneState { epoch, last: Some(Link { epoch, seq, crc }), position: Position::default() }
    }

    #[test]
    fn only_the_next_link_of_the_granted_epoch_is_appended() {
        let lane = lane(3, 10, 77);
        assert_eq!(lane.judge(&header(3, 11, 77), 5), Verdict::Append);
        assert_eq!(lane.judge(&header(3, 10, 0), 77), Verdict::Repeat);
        assert_eq!(lane.judge(&header(3, 10, 0), 78), Verdict::Diverged);
        assert_eq!(lane.judge(&header(3, 4, 0), 0), Verdict::Repeat);
        assert_eq!(lane.judge(&header(3, 11, 78), 5), Verdict::Diverged);
        assert_eq!(lane.judge(&header(3, 12, 77), 5), Verdict::Gap { expected: 11 });
        assert_eq!(lane.judge(&header(2, 11, 77), 5), Verdict::Fenced { current: 3 });
        assert_eq!(lane.judge(&header(4, 11, 77), 5), Verdict::Fenced { current: 3 });
        assert_eq!(
            LaneState { epoch: 1, ..LaneState::default() }.judge(&header(1, 1, 0), 5),
            Verdict::Append
        );
        assert_eq!(LaneState::default().judge(&header(1, 1, 0), 5), Verdict::Fenced { current: 0 });
    }

    proptest! {
        /// However often and in whatever order frames of a chain are offered, the log holds a prefix of it, each once.
        #[test]
        fn any_schedule_of_a_chain_gives_a_prefix_of_it(offers in proptest::collection::vec(1u64..20, 0..200)) {
            let crc = |seq: u64| u32::try_from(seq * 31).unwrap();
            let mut lane = LaneState { epoch: 1, ..LaneState::default() };
            let mut stored = Vec::new();
            for seq in offers {
                let frame = header(1, seq, if seq == 1 { 0 } else { crc(seq - 1) });
                if lane.judge(&frame, crc(seq)) == Verdict::Append {
                    lane.advance(&frame, crc(seq));
                    stored.push(seq);
                }
            }
            let expected: Vec<u64> = (1..=stored.len() as u64).collect();
            prop_assert_eq!(stored, expected);
        }
    }
}
