//! Frames to fill a spool with.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use bytes::Bytes;
use towpath_record::{
    Column, ColumnType, FrameDraft, FrameKind, LaneId, Link, Position, RegionName, SealedFrame, SourceId,
    StreamName, StreamSchema,
};

pub(crate) fn lane(number: u8) -> LaneId {
    LaneId { source: SourceId::from_bytes([number; 16]), region: RegionName::main() }
}

/// A frame that follows `after`, with a text of this size in its only row.
pub(crate) fn frame(lane: &LaneId, epoch: u64, after: Option<Link>, bytes: usize) -> SealedFrame {
    let schema = StreamSchema::new(vec![Column::nullable("text", ColumnType::String)], vec![]).unwrap();
    let seq = after.map_or(1, |link| link.seq + 1);
    // Compresses badly, so that the frame has about the size that was asked for.
    let mut state = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let text: String = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from(vec![1])),
        Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")),
        Arc::new(StringArray::from(vec![None::<&str>])),
        Arc::new(StringArray::from(vec![text])),
    ];
    let batch = RecordBatch::try_new(schema.arrow().clone(), columns).unwrap();
    let draft = FrameDraft {
        lane: lane.clone(),
        epoch,
        seq,
        prev_crc: after.map_or(0, |link| link.crc),
        stream: StreamName::new("erp.orders").unwrap(),
        kind: FrameKind::Records,
        position: Position(Bytes::from(seq.to_string())),
        marks: vec![],
        captured_at_us: 1_000_000 * i64::try_from(seq).unwrap(),
        transaction_continues: false,
    };
    draft.seal(&schema, &batch).unwrap()
}

/// A chain of frames from the first on.
pub(crate) fn chain(lane: &LaneId, count: usize, bytes: usize) -> Vec<SealedFrame> {
    let mut after = None;
    (0..count)
        .map(|_| {
            let frame = frame(lane, 1, after, bytes);
            after = Some(frame.link());
            frame
        })
        .collect()
}
