//! What was spooled and waits for the log, frame by frame.

use std::collections::VecDeque;

use towpath_record::{FrameHeader, Mark, Position};

/// Frames without marks are remembered one by one up to this many; beyond, a later frame speaks for them. A long
/// outage then releases in larger steps, in bounded memory.
const MOST_PLAIN_ENTRIES: usize = 4_096;

/// What the source may be told, frame by frame, while the frames wait for their acknowledgement.
#[derive(Default, Debug)]
pub(crate) struct Unsettled {
    entries: VecDeque<Entry>,
    plain: usize,
    /// Rows of all frames that were spooled, and of those that were settled.
    spooled_rows: u64,
    settled_rows: u64,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    position: Position,
    marks: Vec<Mark>,
    /// Rows of all frames up to this one.
    rows: u64,
}

/// What a source is released from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// The last frame it covers.
    pub seq: u64,
    /// The position of that frame.
    pub position: Position,
    /// The marks of all the frames it covers, in order.
    pub marks: Vec<Mark>,
}

impl Unsettled {
    /// Remembers a frame that was spooled.
    pub(crate) fn spooled(&mut self, header: &FrameHeader) {
        self.spooled_rows += u64::from(header.rows);
        if header.marks.is_empty() {
            if self.plain >= MOST_PLAIN_ENTRIES {
                return;
            }
            self.plain += 1;
        }
        self.entries.push_back(Entry {
            seq: header.seq,
            position: header.position.clone(),
            marks: header.marks.clone(),
            rows: self.spooled_rows,
        });
    }

    /// Rows that wait for their acknowledgement.
    pub(crate) fn rows(&self) -> u64 {
        self.spooled_rows - self.settled_rows
    }

    /// Everything up to `seq` is durable where it counts: what the source may be told, if anything.
    pub(crate) fn settled(&mut self, seq: u64) -> Option<Settlement> {
        let mut settlement: Option<Settlement> = None;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.seq <= seq) {
            self.plain -= usize::from(entry.marks.is_empty());
            let so_far = settlement.get_or_insert_with(|| Settlement {
                seq: 0,
                position: Position::default(),
                marks: Vec::new(),
            });
            self.settled_rows = entry.rows;
            so_far.seq = entry.seq;
            so_far.position = entry.position;
            so_far.marks.extend(entry.marks);
        }
        settlement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use towpath_record::{FrameKind, LaneId, RegionName, SchemaHash, SourceId, StreamName};

    fn header(seq: u64, marks: &[&'static str]) -> FrameHeader {
        FrameHeader {
            lane: LaneId { source: SourceId::from_bytes([1; 16]), region: RegionName::main() },
            epoch: 1,
            seq,
            prev_crc: 0,
            stream: StreamName::new("s").unwrap(),
            kind: FrameKind::Progress,
            schema: SchemaHash([0; 32]),
            rows: 2,
            position: Position(Bytes::from(seq.to_string())),
            marks: marks.iter().map(|m| Mark(Bytes::from_static(m.as_bytes()))).collect(),
            captured_at_us: 0,
            transaction_continues: false,
            payload_raw_bytes: 0,
        }
    }

    #[test]
    fn an_acknowledgement_releases_every_mark_before_it_once() {
        let mut unsettled = Unsettled::default();
        for (seq, marks) in [(1, &["a"][..]), (2, &[]), (3, &["b", "c"]), (4, &["d"])] {
            unsettled.spooled(&header(seq, marks));
        }
        let settlement = unsettled.settled(3).unwrap();
        assert_eq!((settlement.seq, settlement.marks.len()), (3, 3));
        assert_eq!(settlement.position, Position(Bytes::from("3")));
        assert_eq!(unsettled.settled(3), None);
        assert_eq!(unsettled.settled(9).unwrap().seq, 4);
    }

    #[test]
    fn a_long_outage_is_remembered_in_bounded_memory_and_loses_no_mark() {
        let mut unsettled = Unsettled::default();
        for seq in 1..=20_000 {
            unsettled.spooled(&header(seq, if seq % 1_000 == 0 { &["m"] } else { &[] }));
        }
        assert!(unsettled.entries.len() <= MOST_PLAIN_ENTRIES + 20);
        let settlement = unsettled.settled(20_000).unwrap();
        assert_eq!((settlement.seq, settlement.marks.len()), (20_000, 20));
        assert_eq!(unsettled.rows(), 0);
    }
}
