//! What the file sink promises of its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{Checkpoint, CommitReason, Delivery, Durability, ErrorKind, RouteKey, Sink};
use towpath_record::{
    Column, ColumnType, LaneId, Link, LogOffset, Op, RegionName, RouteId, SourceId, StreamName, StreamSchema,
};

use crate::factory;
use crate::read::{files, text};

const DAY_US: i64 = 86_400_000_000;

struct Outbox {
    folder: TempDir,
    settings: Value,
}

impl Outbox {
    fn new(settings: Value) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), settings }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn sink(&self) -> Box<dyn Sink> {
        let mut config = self.settings.clone();
        config["path"] = json!(self.path());
        (factory().build)(&config).unwrap()
    }

    async fn open(&self) -> (Box<dyn Sink>, Option<Checkpoint>) {
        self.open_replay(0).await
    }

    async fn open_replay(&self, replay: u64) -> (Box<dyn Sink>, Option<Checkpoint>) {
        let mut sink = self.sink();
        let found = sink.open(&route(replay)).await.unwrap();
        (sink, found)
    }

    fn seen(&self) -> Vec<(String, String)> {
        let shown = |path: &Path| path.strip_prefix(self.path()).unwrap().to_string_lossy().into_owned();
        files(&self.path()).unwrap().iter().map(|path| (shown(path), text(path).unwrap())).collect()
    }

    fn state(&self) -> PathBuf {
        self.path().join(".towpath").join(route(0).to_string())
    }
}

fn route(replay: u64) -> RouteKey {
    RouteKey { route: RouteId::from_bytes([0xab; 16]), replay }
}

fn checkpoint(number: u8) -> Checkpoint {
    Checkpoint(Bytes::from(vec![number]))
}

/// Rows with these ids, operations and days.
fn rows(offset: u64, rows: &[(i64, Op, i64)]) -> Delivery {
    let schema = StreamSchema::new(vec![Column::required("id", ColumnType::Int64)], vec![]).unwrap();
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, _, day)| day * DAY_US));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(_, op, _)| op.code()).collect::<UInt8Array>()),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(StringArray::new_null(rows.len())),
        Arc::new(rows.iter().map(|(id, ..)| *id).collect::<Int64Array>()),
    ];
    Delivery {
        offset: LogOffset(offset),
        lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
        link: Link { epoch: 1, seq: offset, crc: 0 },
        stream: StreamName::new("erp.orders").unwrap(),
        batch: RecordBatch::try_new(schema.arrow().clone(), columns).unwrap(),
        schema,
        captured_at_us: 0,
    }
}

fn created(offset: u64, ids: &[i64]) -> Delivery {
    rows(offset, &ids.iter().map(|id| (*id, Op::Create, 0)).collect::<Vec<_>>())
}

async fn send(sink: &mut dyn Sink, number: u8, ids: &[i64], reason: CommitReason) -> Durability {
    assert_eq!(sink.apply(&created(number.into(), ids)).await.unwrap(), []);
    sink.commit(&checkpoint(number), reason).await.unwrap()
}

#[tokio::test]
async fn text_is_durable_at_each_commit_and_visible_when_the_file_is_full() {
    let outbox = Outbox::new(json!({ "format": "json_lines", "roll": { "bytes": "20B", "every": "1h" } }));
    let (mut sink, _) = outbox.open().await;
    assert_eq!(send(&mut *sink, 1, &[1], CommitReason::Batch).await, Durability::Durable);
    assert_eq!(outbox.seen(), []);
    assert_eq!(send(&mut *sink, 2, &[2, 3], CommitReason::Batch).await, Durability::Durable);
    assert_eq!(
        outbox.seen(),
        [(
            "erp.orders/erp.orders-0000000001-abababababab.0.jsonl".to_owned(),
            "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n".to_owned()
        )]
    );
}

#[tokio::test]
async fn a_file_becomes_visible_when_it_is_old_enough_and_nothing_follows() {
    let outbox = Outbox::new(json!({ "format": "csv", "roll": { "every": "30ms" } }));
    let (mut sink, _) = outbox.open().await;
    send(&mut *sink, 1, &[1], CommitReason::Idle).await;
    assert_eq!(outbox.seen(), []);
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    sink.commit(&checkpoint(1), CommitReason::Idle).await.unwrap();
    assert_eq!(outbox.seen()[0].1, "id\n1\n");
}

#[tokio::test]
async fn parquet_is_accepted_until_its_file_is_finished() {
    let outbox = Outbox::new(json!({ "format": "parquet", "roll": { "every": "1h" } }));
    let (mut sink, _) = outbox.open().await;
    assert_eq!(send(&mut *sink, 1, &[1], CommitReason::Batch).await, Durability::Accepted);
    drop(sink);
    let (mut sink, found) = outbox.open().await;
    assert_eq!(found, None);
    assert_eq!(send(&mut *sink, 1, &[1], CommitReason::Closing).await, Durability::Durable);
    assert_eq!(files(&outbox.path()).unwrap().len(), 1);
}

#[tokio::test]
async fn an_unfinished_file_goes_on_after_a_crash_at_its_committed_length() {
    for compression in ["none", "gzip", "zstd"] {
        let outbox = Outbox::new(json!({ "format": "csv", "compression": compression }));
        let (mut sink, _) = outbox.open().await;
        send(&mut *sink, 1, &[1], CommitReason::Batch).await;
        sink.apply(&created(2, &[2, 2, 2])).await.unwrap();
        drop(sink);
        let (mut sink, found) = outbox.open().await;
        assert_eq!(found, Some(checkpoint(1)));
        send(&mut *sink, 2, &[2], CommitReason::Closing).await;
        let seen = outbox.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].1, "id\n1\n2\n");
    }
}

#[tokio::test]
async fn a_rename_that_a_crash_prevented_is_made_up_for_and_one_that_was_made_is_not_repeated() {
    let outbox = Outbox::new(json!({ "format": "json_lines" }));
    let (mut sink, _) = outbox.open().await;
    send(&mut *sink, 1, &[1], CommitReason::Closing).await;
    drop(sink);
    let finished = files(&outbox.path()).unwrap().remove(0);
    // The crash came after the state was stored and before the rename.
    std::fs::rename(&finished, outbox.state().join("1")).unwrap();
    drop(outbox.open().await);
    assert_eq!(outbox.seen()[0].1, "{\"id\":1}\n");
    // A consumer takes the file away; nothing brings it back.
    std::fs::remove_file(&finished).unwrap();
    let (_, found) = outbox.open().await;
    assert_eq!(found, Some(checkpoint(1)));
    assert_eq!(outbox.seen(), []);
}

#[tokio::test]
async fn a_consumer_that_takes_every_file_away_gets_each_row_once() {
    let outbox = Outbox::new(json!({ "format": "json_lines", "roll": { "bytes": "1B" } }));
    let mut taken = String::new();
    for number in 1..=20 {
        let (mut sink, _) = outbox.open().await;
        send(&mut *sink, number, &[number.into()], CommitReason::Batch).await;
        for path in files(&outbox.path()).unwrap() {
            taken += &text(&path).unwrap();
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(taken, (1..=20).map(|id| format!("{{\"id\":{id}}}\n")).collect::<String>());
}

#[tokio::test]
async fn rows_lie_in_the_folder_of_their_day() {
    let outbox = Outbox::new(json!({ "format": "csv", "name": "{date}/{stream}" }));
    let (mut sink, _) = outbox.open().await;
    sink.apply(&rows(1, &[(1, Op::Create, 0), (2, Op::Create, 1), (3, Op::Create, 0)])).await.unwrap();
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    let seen: Vec<_> = outbox.seen().into_iter().map(|(path, text)| (path[..21].to_owned(), text)).collect();
    assert_eq!(
        seen,
        [
            ("1970-01-01/erp.orders".to_owned(), "id\n1\n3\n".to_owned()),
            ("1970-01-02/erp.orders".to_owned(), "id\n2\n".to_owned())
        ]
    );
}

#[tokio::test]
async fn many_days_in_one_frame_do_not_keep_many_files_open() {
    let outbox = Outbox::new(json!({ "format": "parquet", "name": "{stream}/{date}" }));
    let (mut sink, _) = outbox.open().await;
    let days: Vec<_> = (0..200).map(|day| (day, Op::Create, day)).collect();
    sink.apply(&rows(1, &days)).await.unwrap();
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    assert_eq!(files(&outbox.path()).unwrap().len(), 200);
}

#[tokio::test]
async fn deletes_are_refused_without_metadata_and_written_with_it() {
    let change = [(1, Op::Create, 0), (1, Op::Delete, 0)];
    let plain = Outbox::new(json!({ "format": "csv" }));
    let (mut sink, _) = plain.open().await;
    let refused = sink.apply(&rows(1, &change)).await.unwrap();
    assert_eq!(refused.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [1]);
    assert!(refused[0].reason.contains("metadata"));

    let full = Outbox::new(json!({ "format": "csv", "metadata": true }));
    let (mut sink, _) = full.open().await;
    assert_eq!(sink.apply(&rows(1, &change)).await.unwrap(), []);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    let expected = "_op,_ts,id\ncreate,1970-01-01T00:00:00Z,1\ndelete,1970-01-01T00:00:00Z,1\n";
    assert_eq!(full.seen()[0].1, expected);
}

#[tokio::test]
async fn a_route_is_written_by_one_instance_at_a_time() {
    let outbox = Outbox::new(json!({ "format": "csv" }));
    let (first, _) = outbox.open().await;
    let refused = outbox.sink().open(&route(0)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    drop(first);
    outbox.open().await;
}

#[tokio::test]
async fn a_replay_shows_what_the_one_before_left_unfinished() {
    let outbox = Outbox::new(json!({ "format": "csv" }));
    let (mut sink, _) = outbox.open().await;
    send(&mut *sink, 1, &[1], CommitReason::Batch).await;
    drop(sink);
    let (mut sink, found) = outbox.open_replay(2).await;
    assert_eq!(found, None);
    send(&mut *sink, 1, &[7], CommitReason::Closing).await;
    let texts: Vec<_> = outbox.seen().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["id\n1\n", "id\n7\n"]);
}

#[tokio::test]
async fn a_file_of_another_form_is_finished_and_not_gone_on_with() {
    let mut outbox = Outbox::new(json!({ "format": "csv" }));
    let (mut sink, _) = outbox.open().await;
    send(&mut *sink, 1, &[1], CommitReason::Batch).await;
    drop(sink);
    outbox.settings = json!({ "format": "json_lines" });
    let (mut sink, found) = outbox.open().await;
    assert_eq!(found, Some(checkpoint(1)));
    send(&mut *sink, 2, &[2], CommitReason::Closing).await;
    let texts: Vec<_> = outbox.seen().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["id\n1\n", "{\"id\":2}\n"]);
}

#[tokio::test]
async fn a_lost_unfinished_file_and_a_damaged_state_are_named_and_not_papered_over() {
    let outbox = Outbox::new(json!({ "format": "csv" }));
    let (mut sink, _) = outbox.open().await;
    send(&mut *sink, 1, &[1], CommitReason::Batch).await;
    drop(sink);
    let part = outbox.state().join("1");
    std::fs::write(&part, "id").unwrap();
    let short = outbox.sink().open(&route(0)).await.unwrap_err();
    assert_eq!(short.kind, ErrorKind::Corrupt);
    assert!(short.message.contains("cut short"), "{short}");
    std::fs::remove_file(&part).unwrap();
    assert!(outbox.sink().open(&route(0)).await.unwrap_err().message.contains("removed"));
    std::fs::write(outbox.state().join("state.json"), "{}").unwrap();
    let damaged = outbox.sink().open(&route(0)).await.unwrap_err();
    assert_eq!(damaged.kind, ErrorKind::Corrupt);
    assert!(damaged.message.contains("start over"), "{damaged}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let blocked = tempfile::tempdir().unwrap();
    std::fs::write(blocked.path().join("file"), "").unwrap();
    let config = json!({ "path": blocked.path().join("file/out"), "format": "csv" });
    let refused = (factory().build)(&config).unwrap().open(&route(0)).await.unwrap_err();
    assert!(refused.resource.contains("file/out"), "{refused}");
}
