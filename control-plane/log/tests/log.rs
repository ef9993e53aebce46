//! What the region log promises, through its public face.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::path::Path;
use std::time::Duration;

use arrow_array::RecordBatch;
use bytes::Bytes;
use towpath_log::{AppendError, LogConfig, Outcome, ReadError, RegionLog, Retention, Verdict};
use towpath_record::{
    Column, ColumnType, FrameDraft, FrameKind, LaneId, Link, LogOffset, Mark, Position, RegionName,
    SealedFrame, SourceId, StreamName, StreamSchema, dead_letter,
};

fn lane(n: u8) -> LaneId {
    LaneId { source: SourceId::from_bytes([n; 16]), region: RegionName::main() }
}

fn open(dir: &Path) -> RegionLog {
    RegionLog::open(dir, &LogConfig { region: RegionName::main(), segment_bytes: 4 << 10 }).unwrap().0
}

fn frame(lane: &LaneId, epoch: u64, last: Option<Link>) -> SealedFrame {
    let schema = dead_letter::schema();
    let seq = last.map_or(1, |link| link.seq + 1);
    let draft = FrameDraft {
        lane: lane.clone(),
        epoch,
        seq,
        prev_crc: last.map_or(0, |link| link.crc),
        stream: StreamName::new("erp.orders").unwrap(),
        kind: FrameKind::Progress,
        position: Position(Bytes::from(format!("after {seq}"))),
        marks: vec![Mark(Bytes::from(format!("mark {seq}")))],
        captured_at_us: 5,
        transaction_continues: false,
    };
    draft.seal(schema, &RecordBatch::new_empty(schema.arrow().clone())).unwrap()
}

/// A chain of so many frames after `last`.
fn chain(lane: &LaneId, epoch: u64, mut last: Option<Link>, count: usize) -> Vec<SealedFrame> {
    let links = std::iter::repeat_with(|| {
        let next = frame(lane, epoch, last);
        last = Some(next.link());
        next
    });
    links.take(count).collect()
}

fn forever() -> Retention {
    Retention { age: None, bytes: None, drop_undelivered: false }
}

#[tokio::test]
async fn a_frame_lands_once_however_often_it_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert_eq!(log.grant_epoch(lane(1), 0).await.unwrap().epoch, 1);
    let frames = chain(&lane(1), 1, None, 3);
    let first = log.append(frames.clone()).await.unwrap();
    assert_eq!(first, [1, 2, 3].map(|n| Outcome::Appended(LogOffset(n))));
    assert_eq!(log.append(frames.clone()).await.unwrap(), [Outcome::Repeat; 3]);
    let mut reader = log.reader(LogOffset(1));
    for frame in &frames {
        assert_eq!(reader.next_now().unwrap().unwrap().frame, *frame);
    }
    assert!(reader.next_now().unwrap().is_none());
}

#[tokio::test]
async fn an_old_epoch_is_fenced_from_the_moment_a_new_one_is_granted() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let frames = chain(&lane(1), 1, None, 2);
    log.append(frames[..1].to_vec()).await.unwrap();
    let granted = log.grant_epoch(lane(1), 0).await.unwrap();
    assert_eq!((granted.epoch, granted.last), (2, Some(frames[0].link())));
    assert_eq!(granted.position, Position(Bytes::from_static(b"after 1")));
    let refused = log.append(frames[1..].to_vec()).await.unwrap();
    assert_eq!(refused, [Outcome::Refused(Verdict::Fenced { current: 2 })]);
    let next = chain(&lane(1), 2, granted.last, 1);
    assert_eq!(log.append(next).await.unwrap(), [Outcome::Appended(LogOffset(2))]);
    assert_eq!(log.grant_epoch(lane(1), 40).await.unwrap().epoch, 41);
}

#[tokio::test]
async fn a_gap_is_refused_and_nothing_of_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let frames = chain(&lane(1), 1, None, 3);
    let offered = vec![frames[0].clone(), frames[2].clone()];
    let outcomes = log.append(offered).await.unwrap();
    assert_eq!(outcomes[1], Outcome::Refused(Verdict::Gap { expected: 2 }));
    assert_eq!(log.status().next, LogOffset(2));
    assert_eq!(log.lane(&lane(1)).last, Some(frames[0].link()));
}

#[tokio::test]
async fn lanes_and_totals_come_back_after_a_restart_even_without_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let frames = chain(&lane(1), 1, None, 40);
    log.append(frames.clone()).await.unwrap();
    // What a killed process leaves behind: no orderly close, so no checkpoint.
    let copied =
        std::process::Command::new("cp").arg("-r").arg(dir.path()).arg(copy.path().join("log")).status();
    assert!(copied.unwrap().success());
    let (killed, recovered) = RegionLog::open(
        &copy.path().join("log"),
        &LogConfig { region: RegionName::main(), segment_bytes: 4 << 10 },
    )
    .unwrap();
    assert_eq!(recovered.frames_read, 40);
    assert_eq!(killed.lane(&lane(1)), log.lane(&lane(1)));
    let status = log.status();
    drop(log);
    let log = open(dir.path());
    assert_eq!((log.status().next, log.status().totals), (status.next, status.totals));
    assert_eq!(log.append(frames).await.unwrap(), [Outcome::Repeat; 40]);
}

#[tokio::test]
async fn retention_removes_old_frames_and_keeps_what_they_said_of_their_source() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    for frames in chain(&lane(1), 1, None, 200).chunks(10) {
        log.append(frames.to_vec()).await.unwrap();
    }
    let by_size = Retention { bytes: Some(8 << 10), ..forever() };
    let pinned = log.retain(by_size, 0, Some(LogOffset(1))).await.unwrap();
    assert!(pinned.full && pinned.segments == 0);
    let refused = log.append(chain(&lane(1), 1, log.lane(&lane(1)).last, 1)).await;
    assert!(matches!(refused, Err(AppendError::Full)));
    let done = log.retain(by_size, 0, None).await.unwrap();
    assert!(done.segments > 0 && !done.full);
    assert!(log.status().first > LogOffset(1));
    assert!(matches!(log.reader(LogOffset(1)).next_now(), Err(ReadError::Retained { .. })));
    let marks = log.lane_marks(&lane(1)).await.unwrap();
    let expected: Vec<_> = (1..=200).map(|n| Mark(Bytes::from(format!("mark {n}")))).collect();
    assert_eq!(marks, expected);
    let before = log.lane(&lane(1));
    drop(log);
    assert_eq!(open(dir.path()).lane(&lane(1)), before);
}

#[tokio::test]
async fn retention_by_age_keeps_what_is_young() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    for frames in chain(&lane(1), 1, None, 100).chunks(10) {
        log.append(frames.to_vec()).await.unwrap();
    }
    let hour = Retention { age: Some(Duration::from_secs(3_600)), ..forever() };
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    assert_eq!(log.retain(hour, now, None).await.unwrap().segments, 0);
    assert!(log.retain(hour, now + 7_200_000_000, None).await.unwrap().segments > 0);
}

#[tokio::test]
async fn a_frame_that_names_an_unknown_schema_is_refused_until_the_schema_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let schema = StreamSchema::new(vec![Column::nullable("a", ColumnType::Int64)], vec![]).unwrap();
    let plain = frame(&lane(1), 1, None);
    let header = plain.header();
    let draft = FrameDraft {
        lane: header.lane.clone(),
        epoch: 1,
        seq: 1,
        prev_crc: 0,
        stream: header.stream.clone(),
        kind: FrameKind::Records,
        position: Position::default(),
        marks: vec![],
        captured_at_us: 0,
        transaction_continues: false,
    };
    let records = draft.seal(&schema, &RecordBatch::new_empty(schema.arrow().clone())).unwrap();
    let refused = log.append(vec![records.clone()]).await;
    assert!(matches!(refused, Err(AppendError::UnknownSchema(hash)) if hash == schema.hash()));
    log.put_schema(schema.clone()).await.unwrap();
    assert_eq!(log.append(vec![records]).await.unwrap(), [Outcome::Appended(LogOffset(1))]);
    drop(log);
    assert_eq!(open(dir.path()).schema(schema.hash()), Some(schema));
}

#[tokio::test]
async fn a_reader_waits_for_what_comes_and_finds_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let mut reader = log.reader(LogOffset(1));
    let waiting = tokio::spawn(async move {
        assert!(reader.wait().await);
        reader.next_now().unwrap().unwrap()
    });
    log.append(chain(&lane(1), 1, None, 1)).await.unwrap();
    let entry = waiting.await.unwrap();
    assert_eq!(entry.offset, LogOffset(1));
    assert_eq!(log.offset_at(entry.appended_us).unwrap(), LogOffset(1));
    assert_eq!(log.offset_at(entry.appended_us + 1).unwrap(), LogOffset(2));
    assert_eq!(log.offset_at(0).unwrap(), LogOffset(1));
}

#[tokio::test]
async fn a_log_is_not_opened_for_another_region() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let other = LogConfig { region: RegionName::new("eu").unwrap(), segment_bytes: 4 << 10 };
    let refused = RegionLog::open(dir.path(), &other).err().unwrap().to_string();
    assert!(refused.contains("belongs to region main, not eu"), "{refused}");
}

#[tokio::test]
async fn offsets_of_frames_that_the_disk_lost_are_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let frames = chain(&lane(1), 1, None, 12);
    log.append(frames[..11].to_vec()).await.unwrap();
    drop(log);
    let mut segments: Vec<_> = std::fs::read_dir(dir.path().join("frames"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .collect();
    segments.sort();
    let last = segments.pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();

    let config = LogConfig { region: RegionName::main(), segment_bytes: 4 << 10 };
    let (log, recovered) = RegionLog::open(dir.path(), &config).unwrap();
    assert_eq!(
        recovered.segments.lost.iter().map(|lost| (lost.from, lost.to)).collect::<Vec<_>>(),
        [(11, 12)]
    );
    assert_eq!(log.append(frames[11..].to_vec()).await.unwrap(), [Outcome::Appended(LogOffset(12))]);
    let mut reader = log.reader(LogOffset(11));
    assert!(matches!(reader.next_now(), Err(ReadError::Lost { from: LogOffset(11), to: LogOffset(11), .. })));
    assert_eq!(reader.next_now().unwrap().unwrap().frame, frames[11]);
}

#[tokio::test]
async fn a_log_restored_from_an_older_copy_leaves_out_the_offsets_that_others_have_passed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let frames = chain(&lane(1), 1, None, 3);
    log.append(frames[..2].to_vec()).await.unwrap();
    log.skip_to(LogOffset(2)).await.unwrap();
    assert_eq!(log.status().next, LogOffset(3), "the log went back");
    log.skip_to(LogOffset(9)).await.unwrap();
    assert_eq!(log.append(frames[2..].to_vec()).await.unwrap(), [Outcome::Appended(LogOffset(9))]);
    let mut reader = log.reader(LogOffset(3));
    assert!(matches!(reader.next_now(), Err(ReadError::Lost { from: LogOffset(3), to: LogOffset(8), .. })));
    assert_eq!(reader.next_now().unwrap().unwrap().offset, LogOffset(9));
}

#[tokio::test]
async fn a_lane_goes_on_behind_frames_that_the_log_has_lost() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let frames = chain(&lane(1), 1, None, 9);
    log.append(frames[..2].to_vec()).await.unwrap();
    let state = log.go_on_behind(lane(1), 1, frames[6].link()).await.unwrap();
    assert_eq!((state.epoch, state.last), (1, Some(frames[6].link())));
    assert_eq!(log.status().lost_frames, 5);
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.lane(&lane(1)).last, Some(frames[6].link()));
    assert_eq!(log.append(frames[7..8].to_vec()).await.unwrap(), [Outcome::Appended(LogOffset(3))]);
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.append(frames[8..].to_vec()).await.unwrap(), [Outcome::Appended(LogOffset(4))]);
}

#[tokio::test]
async fn a_place_beyond_what_the_log_has_lost_is_where_new_frames_begin() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    log.append(chain(&lane(1), 1, None, 9)).await.unwrap();
    let then = log.id();
    assert_eq!(log.place_of(then, LogOffset(7)), Some(LogOffset(7)));
    drop(log);
    let segment = dir.path().join("frames/00000000000000000001.seg");
    let used = std::fs::read(&segment).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    std::fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(used as u64 / 2).unwrap();
    std::fs::remove_dir_all(dir.path().join("book")).unwrap();
    let log = open(dir.path());
    let next = log.status().next;
    assert!(next < LogOffset(9));
    assert_eq!(log.place_of(then, LogOffset(9)), Some(LogOffset(next.0 - 1)));
    assert_ne!(log.id(), then);
}

/// A frame of records with one column of this name.
fn records(lane: &LaneId, last: Option<Link>, column: &str) -> (StreamSchema, SealedFrame) {
    let schema = StreamSchema::new(vec![Column::nullable(column, ColumnType::Int64)], Vec::new()).unwrap();
    let draft = FrameDraft {
        lane: lane.clone(),
        epoch: 1,
        seq: last.map_or(1, |link| link.seq + 1),
        prev_crc: last.map_or(0, |link| link.crc),
        stream: StreamName::new("erp.orders").unwrap(),
        kind: FrameKind::Records,
        position: Position::default(),
        marks: Vec::new(),
        captured_at_us: 5,
        transaction_continues: false,
    };
    let frame = draft.seal(&schema, &RecordBatch::new_empty(schema.arrow().clone())).unwrap();
    (schema, frame)
}

#[tokio::test]
async fn versions_of_schemas_come_back_after_a_restart_and_outlive_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.grant_epoch(lane(1), 0).await.unwrap();
    let mut last = None;
    for column in ["a", "b", "a", "c"] {
        let (schema, frame) = records(&lane(1), last, column);
        log.put_schema(schema).await.unwrap();
        last = Some(frame.link());
        log.append(vec![frame]).await.unwrap();
    }
    let seen = log.schema_versions();
    let firsts: Vec<_> = seen.iter().next().unwrap().2.iter().map(|it| (it.version, it.first.0)).collect();
    assert_eq!(firsts, [(1, 1), (2, 2), (3, 4)]);
    // What a killed process leaves behind: no checkpoint, so the versions are found in the frames.
    let copied =
        std::process::Command::new("cp").arg("-r").arg(dir.path()).arg(copy.path().join("log")).status();
    assert!(copied.unwrap().success());
    assert_eq!(open(&copy.path().join("log")).schema_versions(), seen);
    for frame in chain(&lane(1), 1, last, 200) {
        log.append(vec![frame]).await.unwrap();
    }
    let retention = Retention { bytes: Some(1), ..forever() };
    assert!(log.retain(retention, 0, None).await.unwrap().segments > 0);
    assert!(log.status().first > LogOffset(4), "the frames that named them are gone");
    drop(log);
    assert_eq!(open(dir.path()).schema_versions(), seen);
}
