//! The frame header as protobuf. Field numbers are for ever; a reader ignores fields it does not know.

use bytes::Bytes;
use prost::Message;

use super::{FrameError, FrameHeader, FrameKind, SealError, seal_within};
use crate::id::{LaneId, RegionName, SourceId, StreamName};
use crate::limits::{
    MAX_FRAME_MARKS, MAX_FRAME_ROWS, MAX_MARK_BYTES, MAX_PAYLOAD_RAW_BYTES, MAX_POSITION_BYTES,
};
use crate::position::{Mark, Position};
use crate::schema::SchemaHash;

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(bytes = "bytes", tag = "1")]
    source: Bytes,
    #[prost(string, tag = "2")]
    region: String,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(uint64, tag = "4")]
    seq: u64,
    #[prost(fixed32, tag = "5")]
    prev_crc: u32,
    #[prost(string, tag = "6")]
    stream: String,
    #[prost(bytes = "bytes", tag = "7")]
    schema: Bytes,
    #[prost(uint32, tag = "8")]
    kind: u32,
    #[prost(uint32, tag = "9")]
    rows: u32,
    #[prost(bytes = "bytes", tag = "10")]
    position: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "11")]
    marks: Vec<Bytes>,
    #[prost(sint64, tag = "12")]
    captured_at_us: i64,
    #[prost(bool, tag = "13")]
    transaction_continues: bool,
    #[prost(uint32, tag = "14")]
    payload_raw_bytes: u32,
}

pub(super) fn encode(header: &FrameHeader) -> Result<Vec<u8>, SealError> {
    seal_within("position in bytes", header.position.0.len(), MAX_POSITION_BYTES)?;
    seal_within("mark count", header.marks.len(), MAX_FRAME_MARKS)?;
    for mark in &header.marks {
        seal_within("mark in bytes", mark.0.len(), MAX_MARK_BYTES)?;
    }
    let wire = Wire {
        source: Bytes::copy_from_slice(header.lane.source.as_bytes()),
        region: header.lane.region.as_str().to_owned(),
        epoch: header.epoch,
        seq: header.seq,
        prev_crc: header.prev_crc,
        stream: header.stream.as_str().to_owned(),
        schema: Bytes::copy_from_slice(&header.schema.0),
        kind: match header.kind {
            FrameKind::Records => 1,
            FrameKind::DeadLetters => 2,
            FrameKind::Progress => 3,
            FrameKind::Replay => 4,
        },
        rows: header.rows,
        position: header.position.0.clone(),
        marks: header.marks.iter().map(|mark| mark.0.clone()).collect(),
        captured_at_us: header.captured_at_us,
        transaction_continues: header.transaction_continues,
        payload_raw_bytes: header.payload_raw_bytes,
    };
    Ok(wire.encode_to_vec())
}

pub(super) fn decode(bytes: &[u8]) -> Result<FrameHeader, FrameError> {
    let invalid = |reason: &dyn std::fmt::Display| FrameError::Header(reason.to_string());
    let wire = Wire::decode(bytes).map_err(|e| invalid(&e))?;
    within("position in bytes", wire.position.len(), MAX_POSITION_BYTES)?;
    within("mark count", wire.marks.len(), MAX_FRAME_MARKS)?;
    within("mark in bytes", wire.marks.iter().map(Bytes::len).max().unwrap_or(0), MAX_MARK_BYTES)?;
    within("row count", wire.rows as usize, MAX_FRAME_ROWS)?;
    within("raw payload in bytes", wire.payload_raw_bytes as usize, MAX_PAYLOAD_RAW_BYTES)?;
    if wire.seq == 0 || wire.epoch == 0 {
        return Err(invalid(&"epoch and seq begin at 1"));
    }
    Ok(FrameHeader {
        lane: LaneId {
            source: SourceId::from_bytes(sized(&wire.source, "source")?),
            region: RegionName::new(wire.region).map_err(|e| invalid(&e))?,
        },
        epoch: wire.epoch,
        seq: wire.seq,
        prev_crc: wire.prev_crc,
        stream: StreamName::new(wire.stream).map_err(|e| invalid(&e))?,
        kind: match wire.kind {
            1 => FrameKind::Records,
            2 => FrameKind::DeadLetters,
            3 => FrameKind::Progress,
            4 => FrameKind::Replay,
            other => return Err(invalid(&format_args!("kind {other} is not known here"))),
        },
        schema: SchemaHash(sized(&wire.schema, "schema hash")?),
        rows: wire.rows,
        position: Position(wire.position),
        marks: wire.marks.into_iter().map(Mark).collect(),
        captured_at_us: wire.captured_at_us,
        transaction_continues: wire.transaction_continues,
        payload_raw_bytes: wire.payload_raw_bytes,
    })
}

fn sized<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], FrameError> {
    bytes
        .try_into()
        .map_err(|_| FrameError::Header(format!("{what} has {} bytes instead of {N}", bytes.len())))
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), FrameError> {
    if found <= limit { Ok(()) } else { Err(FrameError::TooLarge { what, found, limit }) }
}
