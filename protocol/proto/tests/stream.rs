//! What the data streams promise, however the network cuts them.

use arrow_array::RecordBatch;
use bytes::{Bytes, BytesMut};
use towpath_proto::stream::{DeliveryDecoder, FrameDecoder, Preamble, StreamError, delivery_prefix};
use towpath_record::{
    Column, ColumnType, FrameDraft, FrameKind, LaneId, LogOffset, Position, RegionName, SealedFrame,
    SourceId, StreamName, StreamSchema,
};

#[allow(clippy::unwrap_used, reason = "a helper of tests")]
fn frame(seq: u64) -> SealedFrame {
    let schema = StreamSchema::new(vec![Column::nullable("a", ColumnType::String)], vec![]).unwrap();
    let draft = FrameDraft {
        lane: LaneId { source: SourceId::from_bytes([1; 16]), region: RegionName::main() },
        epoch: 1,
        seq,
        prev_crc: 0,
        stream: StreamName::new("s").unwrap(),
        kind: FrameKind::Progress,
        position: Position(Bytes::from(vec![7; seq as usize])),
        marks: vec![],
        captured_at_us: 0,
        transaction_continues: false,
    };
    draft.seal(&schema, &RecordBatch::new_empty(schema.arrow().clone())).unwrap()
}

#[test]
fn frames_come_out_whole_and_in_order_however_the_bytes_are_cut() {
    let frames: Vec<_> = (1..=5).map(frame).collect();
    let wire: BytesMut = frames.iter().flat_map(|frame| frame.bytes().clone()).collect();
    for piece in 1..wire.len() {
        let (mut decoder, mut out) = (FrameDecoder::default(), Vec::new());
        for part in wire.chunks(piece) {
            let mut part = Bytes::copy_from_slice(part);
            while !part.is_empty() {
                out.extend(decoder.next_frame(&mut part).unwrap());
            }
        }
        assert_eq!(out, frames);
        assert!(decoder.is_between_frames());
    }
}

#[test]
fn deliveries_come_out_with_their_offsets_however_the_bytes_are_cut() {
    let deliveries: Vec<_> = (1..=5).map(|n| (LogOffset(n * 1000), frame(n))).collect();
    let mut wire = BytesMut::new();
    for (offset, frame) in &deliveries {
        wire.extend_from_slice(&delivery_prefix(*offset));
        wire.extend_from_slice(frame.bytes());
    }
    for piece in 1..wire.len() {
        let (mut decoder, mut out) = (DeliveryDecoder::default(), Vec::new());
        for part in wire.chunks(piece) {
            let mut part = Bytes::copy_from_slice(part);
            while !part.is_empty() {
                out.extend(decoder.next_delivery(&mut part).unwrap());
            }
        }
        assert_eq!(out, deliveries);
    }
}

#[test]
fn a_stream_of_something_else_is_refused_at_its_first_bytes() {
    let mut wrong = Bytes::from_static(b"GET / HTTP/1.1\r\n");
    assert!(matches!(FrameDecoder::default().next_frame(&mut wrong), Err(StreamError::Frame(_))));
    assert_eq!(Preamble::parse(b"TWPS\x02\x01\0\0\0\0\0\0"), Err(StreamError::Preamble));
    assert_eq!(Preamble::parse(b"TWPS\x01\x03\0\0\0\0\0\0"), Err(StreamError::Preamble));
}

#[test]
fn a_preamble_comes_back_as_it_was() {
    for preamble in [Preamble::Lane { opening: 7 }, Preamble::Route { binding: u32::MAX }] {
        assert_eq!(Preamble::parse(&preamble.to_bytes()), Ok(preamble));
    }
}
