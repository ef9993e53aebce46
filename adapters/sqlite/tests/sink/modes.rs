//! What the SQLite sink promises of rows that are kept and of rows that are refused, beyond the laws.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use bytes::Bytes;
use rusqlite::Connection;
use serde_json::{Value, json};
use towpath_adapter_api::{Checkpoint, CommitReason, Delivery, ErrorKind, RouteKey, Sink};
use towpath_record::{
    Column, ColumnType, LaneId, Link, LogOffset, Op, RegionName, RouteId, SourceId, StreamName, StreamSchema,
};

const ROUTE: RouteKey = RouteKey { route: RouteId::from_bytes([1; 16]), replay: 0 };

async fn open(path: &Path, settings: Value) -> Box<dyn Sink> {
    let mut config = json!({ "path": path });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let mut sink = (towpath_adapter_sqlite::adapter().sink.unwrap().build)(&config).unwrap();
    sink.open(&ROUTE).await.unwrap();
    sink
}

/// Rows of the stream `t` with the columns `id`, its key, and `note`.
fn rows(rows: &[(Op, i64, &str)]) -> Delivery {
    let columns =
        vec![Column::required("id", ColumnType::Int64), Column::nullable("note", ColumnType::String)];
    let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(op, ..)| op.code()).collect::<UInt8Array>()),
        Arc::new(TimestampMicrosecondArray::from_value(0, rows.len()).with_timezone("UTC")),
        Arc::new(StringArray::new_null(rows.len())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, id, _)| *id))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(.., note)| note))),
    ];
    Delivery {
        offset: LogOffset(1),
        lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
        link: Link { epoch: 1, seq: 1, crc: 0 },
        stream: StreamName::new("t").unwrap(),
        batch: RecordBatch::try_new(schema.arrow().clone(), columns).unwrap(),
        schema,
        captured_at_us: 0,
    }
}

fn texts(path: &Path, sql: &str) -> Vec<String> {
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_history_says_what_made_each_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut history = open(&path, json!({ "mode": "history" })).await;
    let changes =
        [(Op::Read, 1, "copied"), (Op::Update, 1, "changed"), (Op::Delete, 1, ""), (Op::Create, 1, "back")];
    assert_eq!(history.apply(&rows(&changes)).await.unwrap(), []);
    history.commit(&Checkpoint(Bytes::from_static(b"1")), CommitReason::Closing).await.unwrap();
    let said = "SELECT _op || ' ' || note || ' ' || (_valid_to IS NULL) FROM t ORDER BY _seq";
    assert_eq!(texts(&path, said), ["read copied 0", "update changed 0", "create back 1"]);
}

#[tokio::test]
async fn a_table_with_one_row_for_each_key_is_not_taken_for_a_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upsert.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, note)").unwrap();
    let mut history = open(&path, json!({ "mode": "history" })).await;
    let unfit = history.apply(&rows(&[(Op::Create, 1, "x")])).await.unwrap_err();
    assert!(unfit.kind == ErrorKind::Config && unfit.message.contains("one version"), "{unfit}");
}

#[tokio::test]
async fn a_version_that_a_constraint_refuses_leaves_the_one_before_it_current() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checked.db");
    let table =
        "CREATE TABLE t (id INTEGER, note TEXT CHECK (note <> 'bad'), _valid_from, _valid_to, _op, _seq)";
    Connection::open(&path).unwrap().execute_batch(table).unwrap();
    let mut history = open(&path, json!({ "mode": "history" })).await;
    let changes = [(Op::Create, 1, "good"), (Op::Update, 1, "bad"), (Op::Create, 2, "good")];
    let refused = history.apply(&rows(&changes)).await.unwrap();
    assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [1]);
    assert!(refused[0].reason.contains("CHECK"), "{}", refused[0].reason);
    history.commit(&Checkpoint(Bytes::from_static(b"1")), CommitReason::Closing).await.unwrap();
    assert_eq!(
        texts(&path, "SELECT id || note FROM t WHERE _valid_to IS NULL ORDER BY id"),
        ["1good", "2good"]
    );

    let mut strict = open(&path, json!({ "mode": "history", "on_conflict": "stop" })).await;
    let stopped = strict.apply(&rows(&[(Op::Create, 3, "bad")])).await.unwrap_err();
    assert_eq!(stopped.kind, ErrorKind::Config);
    assert!(stopped.message.contains("CHECK") && stopped.message.contains("`stop`"), "{stopped}");
}
