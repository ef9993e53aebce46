//! What the PostgreSQL sink promises beyond the laws.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use bytes::Bytes;
use serde_json::{Value, json};
use towpath_adapter_api::{Checkpoint, CommitReason, Delivery, ErrorKind, RouteKey, Sink};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_record::{
    Column, ColumnType, LaneId, Link, LogOffset, Op, RegionName, RouteId, SourceId, StreamName, StreamSchema,
};

use crate::{connect, factory};

pub(crate) const ROUTE: RouteKey = RouteKey { route: RouteId::from_bytes([1; 16]), replay: 0 };

pub(crate) fn sink(server: &PostgresServer, extra: &Value) -> Box<dyn Sink> {
    let mut config = json!({ "url": server.url("postgres"), "tls": { "mode": "disable" } });
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    (factory().build)(&config).unwrap()
}

pub(crate) fn checkpoint(number: u8) -> Checkpoint {
    Checkpoint(Bytes::from(vec![number]))
}

/// Rows of a stream with the columns `id`, its key if `keyed`, and `note`.
pub(crate) fn rows(stream: &str, keyed: bool, rows: &[(Op, Option<i64>, &str)]) -> Delivery {
    let columns =
        vec![Column::nullable("id", ColumnType::Int64), Column::nullable("note", ColumnType::String)];
    let key = if keyed { vec!["id".to_owned()] } else { vec![] };
    let schema = StreamSchema::new(columns, key).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(op, ..)| op.code()).collect::<UInt8Array>()),
        Arc::new(TimestampMicrosecondArray::from_value(0, rows.len()).with_timezone("UTC")),
        Arc::new(StringArray::new_null(rows.len())),
        Arc::new(rows.iter().map(|(_, id, _)| *id).collect::<Int64Array>()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(.., note)| note))),
    ];
    Delivery {
        offset: LogOffset(1),
        lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
        link: Link { epoch: 1, seq: 1, crc: 0 },
        stream: StreamName::new(stream).unwrap(),
        batch: RecordBatch::try_new(schema.arrow().clone(), columns).unwrap(),
        schema,
        captured_at_us: 0,
    }
}

pub(crate) async fn texts(server: &PostgresServer, sql: &str) -> Vec<String> {
    let rows = connect(server).await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn rows_that_postgres_cannot_hold_are_refused_with_the_reason() {
    let server = PostgresServer::start().unwrap();
    let mut sink = sink(&server, &json!({}));
    sink.open(&ROUTE).await.unwrap();
    let frame = rows(
        "t",
        true,
        &[
            (Op::Create, Some(1), "good"),
            (Op::Create, Some(2), "nul \0 inside"),
            (Op::Create, None, "no key"),
            (Op::Create, Some(3), "good too"),
        ],
    );
    let refused = sink.apply(&frame).await.unwrap();
    assert_eq!(refused.iter().map(|r| r.row).collect::<Vec<_>>(), [1, 2]);
    assert!(
        refused[0].reason.contains("\"note\"") && refused[0].reason.contains("NUL"),
        "{}",
        refused[0].reason
    );
    assert!(refused[1].reason.contains("key column is null"), "{}", refused[1].reason);
    let refused =
        sink.apply(&rows("log", false, &[(Op::Delete, Some(1), ""), (Op::Create, None, "x")])).await.unwrap();
    assert_eq!(refused.iter().map(|r| r.row).collect::<Vec<_>>(), [0]);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    assert_eq!(texts(&server, "SELECT note FROM t ORDER BY id").await, ["good", "good too"]);
}

#[tokio::test]
async fn a_table_of_other_types_takes_what_postgres_converts_and_refuses_the_rest_by_row() {
    let server = PostgresServer::start().unwrap();
    let prepare = "CREATE TABLE t (id integer PRIMARY KEY, note date, extra text DEFAULT 'mine');
                   CREATE TABLE log (id smallint, note varchar(5))";
    connect(&server).await.unwrap().batch_execute(prepare).await.unwrap();
    let mut sink = sink(&server, &json!({}));
    sink.open(&ROUTE).await.unwrap();
    let frame = rows(
        "t",
        true,
        &[
            (Op::Create, Some(1), "2026-01-31"),
            (Op::Create, Some(2), "no date"),
            (Op::Create, Some(1 << 40), "2026-01-31"),
            (Op::Delete, Some(9), ""),
        ],
    );
    let refused = sink.apply(&frame).await.unwrap();
    assert_eq!(refused.iter().map(|r| r.row).collect::<Vec<_>>(), [1, 2]);
    // Text that is too long is refused and not cut.
    let frame = rows("log", false, &[(Op::Create, Some(1), "short"), (Op::Create, Some(2), "longer")]);
    let refused = sink.apply(&frame).await.unwrap();
    assert_eq!(refused.iter().map(|r| r.row).collect::<Vec<_>>(), [1]);
    sink.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    assert_eq!(
        texts(&server, "SELECT id || ' ' || note || ' ' || extra FROM t").await,
        ["1 2026-01-31 mine"]
    );
    assert_eq!(texts(&server, "SELECT note FROM log").await, ["short"]);
}

#[tokio::test]
async fn what_the_configuration_forbids_is_named_with_the_remedy() {
    let server = PostgresServer::start().unwrap();
    let prepare = "CREATE TABLE narrow (id bigint PRIMARY KEY); CREATE TABLE keyless (id bigint, note text);
                   CREATE ROLE reader LOGIN PASSWORD 'reader'";
    connect(&server).await.unwrap().batch_execute(prepare).await.unwrap();
    let frame = |stream: &str| rows(stream, true, &[(Op::Create, Some(1), "x")]);
    let failure = async |extra: Value, stream: &str| {
        let mut sink = sink(&server, &extra);
        sink.open(&ROUTE).await.unwrap();
        sink.apply(&frame(stream)).await.unwrap_err()
    };
    let missing = failure(json!({ "create": false }), "absent").await;
    assert!(missing.kind == ErrorKind::Config && missing.message.contains("create: true"), "{missing}");
    let lacking = failure(json!({ "alter": false }), "narrow").await;
    assert!(lacking.kind == ErrorKind::Config && lacking.message.contains("`note`"), "{lacking}");
    let keyless = failure(json!({}), "keyless").await;
    assert!(keyless.kind == ErrorKind::Config && keyless.message.contains("ON CONFLICT"), "{keyless}");

    let address = server.url("postgres");
    let wrong =
        json!({ "url": address.replace("towpath:towpath", "towpath:wrong"), "tls": { "mode": "disable" } });
    let refused = (factory().build)(&wrong).unwrap().open(&ROUTE).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permission);
    assert!(!format!("{refused:?}").contains("wrong"), "{refused:?}");
    let reader =
        json!({ "url": address.replace("towpath:towpath", "reader:reader"), "tls": { "mode": "disable" } });
    assert_eq!(
        (factory().build)(&reader).unwrap().open(&ROUTE).await.unwrap_err().kind,
        ErrorKind::Permission
    );
}

#[tokio::test]
async fn a_server_that_goes_away_is_waited_for_and_costs_nothing() {
    let server = PostgresServer::start().unwrap();
    let mut first = sink(&server, &json!({}));
    first.open(&ROUTE).await.unwrap();
    first.apply(&rows("t", true, &[(Op::Create, Some(1), "lost")])).await.unwrap();
    let kill =
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'towpath'";
    assert_eq!(texts(&server, kill).await, ["true"]);
    let failed = first.commit(&checkpoint(1), CommitReason::Batch).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Unavailable, "{failed}");
    let mut second = sink(&server, &json!({}));
    assert_eq!(second.open(&ROUTE).await.unwrap(), None);
    assert_eq!(texts(&server, "SELECT relname::text FROM pg_class WHERE relname = 't'").await, [""; 0]);
}

#[tokio::test]
async fn an_instance_that_was_overtaken_writes_nothing() {
    let server = PostgresServer::start().unwrap();
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
