//! What the MySQL sink promises beyond the laws.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array,
};
use bytes::Bytes;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use towpath_adapter_api::{Checkpoint, CommitReason, Delivery, ErrorKind, RouteKey, Sink};
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_record::{
    Column, ColumnType, LaneId, Link, LogOffset, Op, RegionName, RouteId, SourceId, StreamName, StreamSchema,
};

use crate::{connect, factory};

const ROUTE: RouteKey = RouteKey { route: RouteId::from_bytes([1; 16]), replay: 0 };

fn sink(server: &MariaDbServer, extra: &Value) -> Box<dyn Sink> {
    let mut config = json!({ "url": server.url("towpath"), "tls": { "mode": "disable" } });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    (factory().build)(&config).unwrap()
}

async fn opened(server: &MariaDbServer, extra: Value) -> Box<dyn Sink> {
    let mut sink = sink(server, &extra);
    sink.open(&ROUTE).await.unwrap();
    sink
}

fn checkpoint(number: u8) -> Checkpoint {
    Checkpoint(Bytes::from(vec![number]))
}

fn delivery(stream: &str, columns: Vec<(Column, ArrayRef)>, key: &[&str], ops: &[Op]) -> Delivery {
    let (columns, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let schema = StreamSchema::new(columns, key.iter().map(|&name| name.to_owned()).collect()).unwrap();
    let reserved: [ArrayRef; 3] = [
        Arc::new(ops.iter().map(|op| op.code()).collect::<UInt8Array>()),
        Arc::new(TimestampMicrosecondArray::from_value(0, ops.len()).with_timezone("UTC")),
        Arc::new(StringArray::new_null(ops.len())),
    ];
    let arrays = reserved.into_iter().chain(arrays).collect();
    Delivery {
        offset: LogOffset(1),
        lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
        link: Link { epoch: 1, seq: 1, crc: 0 },
        stream: StreamName::new(stream).unwrap(),
        batch: RecordBatch::try_new(schema.arrow().clone(), arrays).unwrap(),
        schema,
        captured_at_us: 0,
    }
}

/// Rows of a stream with the columns `id`, its key if `keyed`, and `note`.
fn rows(stream: &str, keyed: bool, rows: &[(Op, Option<i64>, &str)]) -> Delivery {
    let ids: ArrayRef = Arc::new(rows.iter().map(|(_, id, _)| *id).collect::<Int64Array>());
    let notes: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(.., note)| note)));
    let columns = vec![
        (Column::nullable("id", ColumnType::Int64), ids),
        (Column::nullable("note", ColumnType::String), notes),
    ];
    let ops: Vec<_> = rows.iter().map(|(op, ..)| *op).collect();
    delivery(stream, columns, if keyed { &["id"] } else { &[] }, &ops)
}

async fn texts(server: &MariaDbServer, sql: &str) -> Vec<String> {
    connect(server, "towpath").await.unwrap().query(sql).await.unwrap()
}

async fn run(server: &MariaDbServer, sql: &str) {
    connect(server, "towpath").await.unwrap().query_drop(sql).await.unwrap();
}

fn refused_rows(refused: &[towpath_adapter_api::Rejection]) -> Vec<u32> {
    refused.iter().map(|rejection| rejection.row).collect()
}

#[tokio::test]
async fn rows_that_mysql_cannot_hold_are_refused_with_the_reason() {
    let server = MariaDbServer::start().unwrap();
    let mut sink = opened(&server, json!({})).await;
    let ratios: ArrayRef = Arc::new(Float64Array::from(vec![0.5, f64::NAN, 1.0, f64::NEG_INFINITY, 2.0]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(5)]));
    let columns = vec![
        (Column::nullable("id", ColumnType::Int64), ids),
        (Column::nullable("ratio", ColumnType::Float64), ratios),
    ];
    let refused = sink.apply(&delivery("t", columns, &["id"], &[Op::Create; 5])).await.unwrap();
    assert_eq!(refused_rows(&refused), [1, 2, 3]);
    assert!(
        refused[0].reason.contains("\"ratio\"") && refused[0].reason.contains("NaN"),
        "{}",
        refused[0].reason
    );
    assert!(refused[1].reason.contains("key column is null"), "{}", refused[1].reason);
    let refused =
        sink.apply(&rows("log", false, &[(Op::Delete, Some(1), ""), (Op::Create, None, "x")])).await;
    assert_eq!(refused_rows(&refused.unwrap()), [0]);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    assert_eq!(texts(&server, "SELECT ratio FROM t ORDER BY id").await, ["0.5", "2"]);
}

#[tokio::test]
async fn a_table_of_other_types_takes_what_mysql_converts_and_refuses_the_rest_by_row() {
    let server = MariaDbServer::start().unwrap();
    run(
        &server,
        "CREATE TABLE t (id int PRIMARY KEY, note date, extra varchar(9) DEFAULT 'mine');
         CREATE TABLE log (id smallint, note varchar(5)); CREATE TABLE flags (id bigint, note bit(3))",
    )
    .await;
    let mut sink = opened(&server, json!({})).await;
    // Enough rows to be loaded, of which every fault is told nevertheless.
    let mut sent: Vec<_> = (0..200).map(|id| (Op::Create, Some(id), "2026-01-31")).collect();
    sent[70] = (Op::Create, Some(70), "no date");
    sent[71] = (Op::Create, Some(1 << 40), "2026-01-31");
    sent[199] = (Op::Delete, Some(5), "");
    let refused = sink.apply(&rows("t", true, &sent)).await.unwrap();
    assert_eq!(refused_rows(&refused), [70, 71]);
    assert!(!refused[0].reason.contains("no date"), "a value is quoted: {}", refused[0].reason);
    // Text that is too long is refused and not cut.
    let frame = rows("log", false, &[(Op::Create, Some(1), "short"), (Op::Create, Some(2), "longer")]);
    assert_eq!(refused_rows(&sink.apply(&frame).await.unwrap()), [1]);
    let flags: Vec<_> = (0..100).map(|id| (Op::Create, Some(id), "5")).collect();
    assert_eq!(sink.apply(&rows("flags", false, &flags)).await.unwrap(), []);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    let found = texts(&server, "SELECT concat(count(*), ' ', min(note), ' ', min(extra)) FROM t").await;
    assert_eq!(found, ["196 2026-01-31 mine"]);
    assert_eq!(texts(&server, "SELECT note FROM log").await, ["short"]);
    assert_eq!(texts(&server, "SELECT concat(count(*), ' ', sum(note + 0)) FROM flags").await, ["100 500"]);
}

#[tokio::test]
async fn keys_of_text_differ_by_case_and_by_blanks_behind_them() {
    let server = MariaDbServer::start().unwrap();
    let mut sink = opened(&server, json!({})).await;
    let codes = ["a", "A", "a ", "ä", "it's", ""];
    let column = |name: &str| {
        (Column::nullable(name, ColumnType::String), Arc::new(StringArray::from(codes.to_vec())) as ArrayRef)
    };
    let frame = delivery("t", vec![column("code"), column("note")], &["code"], &[Op::Create; 6]);
    assert_eq!(sink.apply(&frame).await.unwrap(), []);
    assert_eq!(sink.apply(&frame).await.unwrap(), []);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    let same = "SELECT count(*) FROM t WHERE BINARY code = BINARY note";
    assert_eq!(texts(&server, same).await, ["6"]);
}

#[tokio::test]
async fn a_row_is_not_replaced_by_one_with_another_key_and_the_same_unique_value() {
    let server = MariaDbServer::start().unwrap();
    run(&server, "CREATE TABLE t (id bigint PRIMARY KEY, note varchar(50) UNIQUE)").await;
    let mut sink = opened(&server, json!({})).await;
    let first = [(Op::Create, Some(1), "a@example.org"), (Op::Create, Some(2), "b@example.org")];
    assert_eq!(sink.apply(&rows("t", true, &first)).await.unwrap(), []);
    let next = [(Op::Create, Some(3), "a@example.org"), (Op::Update, Some(2), "c@example.org")];
    let refused = sink.apply(&rows("t", true, &next)).await.unwrap();
    assert_eq!(refused_rows(&refused), [0]);
    let reason = &refused[0].reason;
    assert!(reason.contains("for key 'note'") && !reason.contains("a@example.org"), "{reason}");
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    let found = texts(&server, "SELECT concat(id, ' ', note) FROM t ORDER BY id").await;
    assert_eq!(found, ["1 a@example.org", "2 c@example.org"]);
}

#[tokio::test]
async fn a_table_that_is_extended_within_a_transaction_is_written_again_from_the_last_commit() {
    let server = MariaDbServer::start().unwrap();
    let narrow = |id| {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
        delivery("t", vec![(Column::required("id", ColumnType::Int64), ids)], &["id"], &[Op::Create])
    };
    let mut sink = opened(&server, json!({})).await;
    sink.apply(&narrow(1)).await.unwrap();
    sink.commit(&checkpoint(1), CommitReason::Batch).await.unwrap();
    sink.apply(&narrow(2)).await.unwrap();
    let wide = rows("t", true, &[(Op::Create, Some(3), "wide")]);
    let again = sink.apply(&wide).await.unwrap_err();
    assert!(again.kind == ErrorKind::Unavailable && again.message.contains("written again"), "{again}");
    assert_eq!(texts(&server, "SELECT id FROM t").await, ["1"]);
    let mut sink = self::sink(&server, &json!({}));
    assert_eq!(sink.open(&ROUTE).await.unwrap(), Some(checkpoint(1)));
    sink.apply(&narrow(2)).await.unwrap();
    sink.apply(&wide).await.unwrap();
    sink.commit(&checkpoint(2), CommitReason::Closing).await.unwrap();
    let found = texts(&server, "SELECT concat(id, ' ', ifnull(note, '-')) FROM t ORDER BY id").await;
    assert_eq!(found, ["1 -", "2 -", "3 wide"]);
}

#[tokio::test]
async fn what_cannot_work_is_named_with_the_remedy() {
    let server = MariaDbServer::start_with(&["innodb-flush-log-at-trx-commit=2"], &[]).unwrap();
    run(
        &server,
        "CREATE TABLE narrow (id bigint PRIMARY KEY); CREATE TABLE keyless (id bigint, note text);
         CREATE TABLE old (id bigint PRIMARY KEY, note text) ENGINE = MyISAM;
         CREATE VIEW seen AS SELECT * FROM keyless; CREATE USER reader@127.0.0.1 IDENTIFIED BY 'reader'",
    )
    .await;
    let lossy = sink(&server, &json!({})).open(&ROUTE).await.unwrap_err();
    assert!(lossy.kind == ErrorKind::Config && lossy.message.contains("accept_lossy_commits"), "{lossy}");
    let failure = async |extra: Value, stream: &str| {
        let mut config = json!({ "accept_lossy_commits": true });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut sink = opened(&server, config).await;
        let failed = sink.apply(&rows(stream, true, &[(Op::Create, Some(1), "x")])).await.unwrap_err();
        assert_eq!(failed.kind, ErrorKind::Config, "{failed}");
        failed.message
    };
    for (extra, stream, remedy) in [
        (json!({ "create": false }), "absent", "create: true"),
        (json!({ "alter": false }), "narrow", "`note`"),
        (json!({}), "keyless", "`id`; add one"),
        (json!({}), "old", "ENGINE = InnoDB"),
        (json!({}), "seen", "it is a view"),
    ] {
        let said = failure(extra, stream).await;
        assert!(said.contains(remedy), "{said}");
    }
    for user in ["towpath:wrong", "reader:reader"] {
        let url = server.url("towpath").replace("towpath:towpath", user);
        let config = json!({ "url": url, "tls": { "mode": "disable" } });
        let refused = (factory().build)(&config).unwrap().open(&ROUTE).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Permission, "{refused}");
        assert!(!format!("{refused:?}").contains("wrong"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_that_crashes_is_waited_for_and_costs_nothing() {
    let mut server = MariaDbServer::start().unwrap();
    let mut first = opened(&server, json!({})).await;
    first.apply(&rows("t", true, &[(Op::Create, Some(1), "kept")])).await.unwrap();
    first.commit(&checkpoint(1), CommitReason::Batch).await.unwrap();
    first.apply(&rows("t", true, &[(Op::Create, Some(2), "lost")])).await.unwrap();
    server.kill().unwrap();
    let failed = first.commit(&checkpoint(2), CommitReason::Batch).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Unavailable, "{failed}");
    let unreachable = sink(&server, &json!({})).open(&ROUTE).await.unwrap_err();
    assert_eq!(unreachable.kind, ErrorKind::Unavailable, "{unreachable}");
    server.restart().unwrap();
    assert_eq!(sink(&server, &json!({})).open(&ROUTE).await.unwrap(), Some(checkpoint(1)));
    assert_eq!(texts(&server, "SELECT note FROM t").await, ["kept"]);
}

#[tokio::test]
async fn an_instance_that_was_overtaken_writes_nothing() {
    let server = MariaDbServer::start().unwrap();
    let (mut old, mut new) = (sink(&server, &json!({})), sink(&server, &json!({})));
    old.open(&ROUTE).await.unwrap();
    new.open(&ROUTE).await.unwrap();
    new.commit(&checkpoint(5), CommitReason::Batch).await.unwrap();
    let fenced = old.apply(&rows("t", true, &[(Op::Create, Some(1), "late")])).await.unwrap_err();
    assert!(fenced.kind == ErrorKind::Unavailable && fenced.message.contains("another writer"), "{fenced}");
    let closed = old.commit(&checkpoint(1), CommitReason::Batch).await.unwrap_err();
    assert!(closed.message.contains("not open"), "{closed}");
    assert_eq!(new.open(&ROUTE).await.unwrap(), Some(checkpoint(5)));
}

#[tokio::test]
async fn a_row_that_no_statement_can_hold_is_refused_alone() {
    let server = MariaDbServer::start_with(&["local-infile=OFF", "max-allowed-packet=1M"], &[]).unwrap();
    let mut sink = opened(&server, json!({})).await;
    let long = "x".repeat(1 << 20);
    let sent =
        [(Op::Create, Some(1), "small"), (Op::Create, Some(2), &*long), (Op::Create, Some(3), "small")];
    let refused = sink.apply(&rows("t", true, &sent)).await.unwrap();
    assert_eq!(refused_rows(&refused), [1]);
    assert!(refused[0].reason.contains("max_allowed_packet"), "{}", refused[0].reason);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    assert_eq!(texts(&server, "SELECT id FROM t ORDER BY id").await, ["1", "3"]);
}
