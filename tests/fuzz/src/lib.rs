//! What the targets share: good inputs to start from, ways to change them, and a source to feed.

use std::sync::{Arc, OnceLock};

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt8Array, new_null_array,
};
use bytes::{BufMut, Bytes, BytesMut};
use towpath_record::{
    Column, ColumnType, FrameDraft, FrameKind, LaneId, Position, RegionName, SealedFrame, SourceId,
    StreamName, StreamSchema, dead_letter,
};

#[cfg(feature = "files")]
pub mod feed;

const CRC_BYTES: usize = 4;

/// Good frames with the schemas of their rows: of records whose payload is compressed and not, and of dead letters.
pub fn frames() -> &'static [(StreamSchema, SealedFrame)] {
    static FRAMES: OnceLock<Vec<(StreamSchema, SealedFrame)>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let schema = schema();
        let letters = vec![
            dead_letter::DeadLetter {
                resource: "a.csv".to_owned(),
                line: 7,
                column: Some("id".to_owned()),
                reason: "no number".to_owned(),
                raw: b"x;y".to_vec(),
                raw_truncated: false,
            };
            3
        ];
        let dead = dead_letter::to_batch(&letters, 1);
        vec![
            (schema.clone(), seal(&schema, &batch(&schema, 2), FrameKind::Records)),
            (schema.clone(), seal(&schema, &batch(&schema, 300), FrameKind::Records)),
            (dead_letter::schema().clone(), seal(dead_letter::schema(), &dead, FrameKind::DeadLetters)),
        ]
    })
}

/// A frame with some of its bytes changed, and its checksum right again. The input is taken in threes: two bytes of
/// where, one of what.
pub fn changed(frame: &Bytes, changes: &[u8]) -> Bytes {
    let mut body = BytesMut::from(&frame[..frame.len() - CRC_BYTES]);
    for change in changes.chunks_exact(3) {
        let offset = usize::from(u16::from_le_bytes([change[0], change[1]])) % body.len();
        body[offset] ^= change[2];
    }
    let crc = crc32c::crc32c(&body);
    body.put_u32_le(crc);
    body.freeze()
}

/// The input in pieces: each begins with its length.
pub fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first()?;
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        Some(piece)
    })
}

fn schema() -> StreamSchema {
    let columns = vec![
        Column::required("id", ColumnType::Int64),
        Column::nullable("name", ColumnType::String),
        Column::nullable("ratio", ColumnType::Float64),
        Column::nullable("flag", ColumnType::Boolean),
    ];
    StreamSchema::new(columns, vec!["id".to_owned()]).expect("the columns obey the rules of a schema")
}

fn batch(schema: &StreamSchema, rows: usize) -> RecordBatch {
    let arrow = schema.arrow();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from_value(0, rows)),
        Arc::new(TimestampMicrosecondArray::from_value(1, rows).with_timezone("UTC")),
        new_null_array(arrow.field(2).data_type(), rows),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
        Arc::new((0..rows).map(|row| (row % 3 > 0).then(|| format!("name {row}"))).collect::<StringArray>()),
        Arc::new((0..rows).map(|row| Some(row as f64 / 4.0)).collect::<Float64Array>()),
        Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(arrow.clone(), columns).expect("built column by column from the schema")
}

fn seal(schema: &StreamSchema, batch: &RecordBatch, kind: FrameKind) -> SealedFrame {
    let draft = FrameDraft {
        lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
        epoch: 1,
        seq: 1,
        prev_crc: 0,
        stream: StreamName::new("fuzz.rows").expect("a valid name"),
        kind,
        position: Position(Bytes::from_static(b"here")),
        marks: Vec::new(),
        captured_at_us: 1,
        transaction_continues: false,
    };
    draft.seal(schema, batch).expect("a small batch can be sealed")
}
