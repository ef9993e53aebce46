//! What the frame codec promises, to friends and to strangers.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::sync::Arc;

use arrow_array::builder::{Decimal128Builder, ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow_schema::DataType;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use towpath_record::limits::{MAX_FRAME_BYTES, MAX_MARK_BYTES, MAX_POSITION_BYTES};
use towpath_record::{
    Column, ColumnType, FrameDraft, FrameError, FrameKind, LaneId, Mark, Op, Position, RegionName, SealError,
    SealedFrame, SourceId, StreamName, StreamSchema, dead_letter,
};

#[derive(Clone, Debug)]
struct Row {
    id: i64,
    name: Option<String>,
    amount: Option<i128>,
    ratio: f64,
    blob: Vec<u8>,
    flag: Option<bool>,
    day: Option<i32>,
    tags: Vec<Option<String>>,
}

fn schema() -> StreamSchema {
    let columns = vec![
        Column::required("id", ColumnType::Int64),
        Column::nullable("name", ColumnType::String),
        Column::nullable("amount", ColumnType::Decimal { precision: 38, scale: 4 }),
        Column::required("ratio", ColumnType::Float64),
        Column::required("blob", ColumnType::Binary),
        Column::nullable("flag", ColumnType::Boolean),
        Column::nullable("day", ColumnType::Date),
        Column::nullable("tags", ColumnType::List(Box::new(Column::nullable("item", ColumnType::String)))),
        Column::required("pair", ColumnType::Struct(vec![Column::nullable("left", ColumnType::Int64)])),
    ];
    StreamSchema::new(columns, vec!["id".into()]).unwrap()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut amounts = Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 4));
    let mut tags = ListBuilder::new(StringBuilder::new())
        .with_field(Arc::new(Column::nullable("item", ColumnType::String).to_arrow()));
    for row in rows {
        amounts.append_option(row.amount);
        row.tags.iter().for_each(|tag| tags.values().append_option(tag.as_deref()));
        tags.append(true);
    }
    let left: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.id)).collect::<Int64Array>());
    let pair = StructArray::new(
        vec![Column::nullable("left", ColumnType::Int64).to_arrow()].into(),
        vec![left],
        None,
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from_value(Op::Create.code(), rows.len())),
        Arc::new(TimestampMicrosecondArray::from_value(7, rows.len()).with_timezone("UTC")),
        Arc::new(rows.iter().map(|_| None::<&str>).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| Some(r.id)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.name.as_deref()).collect::<StringArray>()),
        Arc::new(amounts.finish()),
        Arc::new(rows.iter().map(|r| Some(r.ratio)).collect::<Float64Array>()),
        Arc::new(BinaryArray::from_iter_values(rows.iter().map(|r| &r.blob))),
        Arc::new(rows.iter().map(|r| r.flag).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|r| r.day).collect::<Date32Array>()),
        Arc::new(tags.finish()),
        Arc::new(pair),
    ];
    RecordBatch::try_new(schema().arrow().clone(), columns).unwrap()
}

fn draft() -> FrameDraft {
    FrameDraft {
        lane: LaneId { source: SourceId::from_bytes([9; 16]), region: RegionName::main() },
        epoch: 3,
        seq: 41,
        prev_crc: 0xdead_beef,
        stream: StreamName::new("erp.orders").unwrap(),
        kind: FrameKind::Records,
        position: Position(Bytes::from_static(b"file 7 offset 900")),
        marks: vec![Mark(Bytes::from_static(b"file 6 is done"))],
        captured_at_us: 1_700_000_000_000_000,
        transaction_continues: true,
    }
}

fn sample() -> SealedFrame {
    let row = |id| Row {
        id,
        name: Some(format!("customer {id}")),
        amount: Some(12_345),
        ratio: 0.5,
        blob: vec![0, 255],
        flag: None,
        day: Some(20_000),
        tags: vec![Some("a".into()), None],
    };
    draft().seal(&schema(), &batch(&(0..50).map(row).collect::<Vec<_>>())).unwrap()
}

/// The same frame with other bytes inside and a checksum that fits them, as a hostile agent would make it.
fn resealed(mut bytes: Vec<u8>) -> SealedFrame {
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&crc);
    match SealedFrame::parse(Bytes::from(bytes)) {
        Ok(frame) => frame,
        Err(_) => sample(),
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        any::<i64>(),
        any::<Option<String>>(),
        proptest::option::of(-(10i128.pow(37))..10i128.pow(37)),
        any::<f64>(),
        any::<Vec<u8>>(),
        any::<Option<bool>>(),
        any::<Option<i32>>(),
        proptest::collection::vec(any::<Option<String>>(), 0..4),
    );
    let row = row.prop_map(|(id, name, amount, ratio, blob, flag, day, tags)| Row {
        id,
        name,
        amount,
        ratio,
        blob,
        flag,
        day,
        tags,
    });
    proptest::collection::vec(row, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_sealed_is_read_again(rows in rows()) {
        let batch = batch(&rows);
        let frame = draft().seal(&schema(), &batch).unwrap();
        let back = SealedFrame::parse(frame.bytes().clone()).unwrap();
        prop_assert_eq!(back.header(), frame.header());
        prop_assert_eq!(back.link(), frame.link());
        let read = back.decode(&schema()).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{batch:?}"));
    }

    #[test]
    fn one_changed_bit_anywhere_is_noticed(bit in 0usize..8, at in any::<prop::sample::Index>()) {
        let frame = sample();
        let mut bytes = BytesMut::from(&frame.bytes()[..]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(SealedFrame::parse(bytes.freeze()).is_err());
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused_as_truncated(at in any::<prop::sample::Index>()) {
        let frame = sample();
        let cut = frame.bytes().slice(..at.index(frame.bytes().len()));
        let refused = matches!(SealedFrame::parse(cut), Err(FrameError::Truncated { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn bytes_of_a_stranger_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut framed = b"TWPF\x01\x01".to_vec();
        framed.extend_from_slice(&bytes);
        let _ = SealedFrame::parse(Bytes::from(bytes));
        let _ = SealedFrame::parse(Bytes::from(framed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_hostile_payload_with_a_fitting_checksum_is_refused_or_read_but_never_panics(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let rows = [Row { id: 1, name: None, amount: None, ratio: 0.0, blob: vec![1; 30], flag: None, day: None,
            tags: vec![] }];
        let frame = draft().seal(&schema(), &batch(&rows)).unwrap();
        let mut bytes = frame.bytes().to_vec();
        for (at, value) in edits {
            let at = 12 + at.index(bytes.len() - 16);
            bytes[at] = value;
        }
        if let Ok(batch) = resealed(bytes).decode(&schema()) {
            let _ = format!("{batch:?}");
        }
    }
}

#[test]
fn a_frame_of_a_later_layout_or_codec_says_upgrade() {
    let with = |at: usize, value: u8| {
        let mut bytes = sample().bytes().to_vec();
        bytes[at] = value;
        SealedFrame::parse(Bytes::from(bytes)).unwrap_err()
    };
    assert_eq!(with(4, 2), FrameError::UnknownVersion(2));
    assert_eq!(with(5, 9), FrameError::UnknownCodec(9));
    assert_eq!(with(0, b'X'), FrameError::NotAFrame);
}

#[test]
fn a_length_beyond_the_limit_is_refused_from_its_first_twelve_bytes() {
    let mut prelude = b"TWPF\x01\x00\x10\x00".to_vec();
    prelude.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        SealedFrame::peek_len(&prelude),
        Err(FrameError::TooLarge { limit: MAX_FRAME_BYTES, .. })
    ));
    assert_eq!(SealedFrame::peek_len(&prelude[..11]), Ok(None));
    assert_eq!(SealedFrame::peek_len(sample().bytes()), Ok(Some(sample().bytes().len())));
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = sample().bytes().to_vec();
    bytes.push(0);
    assert_eq!(SealedFrame::parse(Bytes::from(bytes)), Err(FrameError::Trailing(1)));
}

#[test]
fn a_draft_beyond_a_limit_is_not_sealed() {
    let empty = RecordBatch::new_empty(schema().arrow().clone());
    let long_position = FrameDraft { position: Position(vec![0; MAX_POSITION_BYTES + 1].into()), ..draft() };
    assert!(matches!(long_position.seal(&schema(), &empty), Err(SealError::TooLarge { .. })));
    let long_mark = FrameDraft { marks: vec![Mark(vec![0; MAX_MARK_BYTES + 1].into())], ..draft() };
    assert!(matches!(long_mark.seal(&schema(), &empty), Err(SealError::TooLarge { .. })));
    let marks_of_64_kib = FrameDraft { marks: vec![Mark(vec![0; MAX_MARK_BYTES].into()); 8], ..draft() };
    assert!(matches!(marks_of_64_kib.seal(&schema(), &empty), Err(SealError::TooLarge { .. })));
    let other = dead_letter::schema();
    assert!(matches!(draft().seal(other, &empty), Err(SealError::SchemaMismatch { .. })));
}

#[test]
fn a_frame_is_not_read_with_another_schema() {
    assert!(sample().decode(dead_letter::schema()).is_err());
}

#[test]
fn dead_letters_travel_like_records() {
    let letter = dead_letter::DeadLetter {
        resource: "/drop/orders.csv".into(),
        line: 17,
        column: Some("qty".into()),
        reason: "`many` is not an int64".into(),
        raw: b"5;many\xff".to_vec(),
        raw_truncated: false,
    };
    let batch = dead_letter::to_batch(&[letter], 9);
    let frame =
        FrameDraft { kind: FrameKind::DeadLetters, ..draft() }.seal(dead_letter::schema(), &batch).unwrap();
    assert_eq!(
        SealedFrame::parse(frame.bytes().clone()).unwrap().decode(dead_letter::schema()).unwrap(),
        batch
    );
}
