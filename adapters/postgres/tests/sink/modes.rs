//! What the PostgreSQL sink promises of rows that are kept and of rows that are refused, beyond the laws.

use serde_json::json;
use towpath_adapter_api::{CommitReason, ErrorKind};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_record::Op;

use crate::connect;
use crate::promises::{ROUTE, checkpoint, rows, sink, texts};

#[tokio::test]
async fn a_history_says_what_made_each_version() {
    let server = PostgresServer::start().unwrap();
    let mut history = sink(&server, &json!({ "mode": "history" }));
    history.open(&ROUTE).await.unwrap();
    let changes = [
        (Op::Read, Some(1), "copied"),
        (Op::Update, Some(1), "changed"),
        (Op::Delete, Some(1), ""),
        (Op::Create, Some(1), "back"),
    ];
    let refused = history.apply(&rows("t", true, &changes)).await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    history.commit(&checkpoint(1), CommitReason::Closing).await.unwrap();
    let said = "SELECT _op || ' ' || note || ' ' || (_valid_to IS NULL) FROM t ORDER BY _seq";
    assert_eq!(texts(&server, said).await, ["read copied false", "update changed false", "create back true"]);
}

#[tokio::test]
async fn a_table_with_one_row_for_each_key_is_not_taken_for_a_history() {
    let server = PostgresServer::start().unwrap();
    let prepare = "CREATE TABLE t (id bigint PRIMARY KEY, note text)";
    connect(&server).await.unwrap().batch_execute(prepare).await.unwrap();
    let mut history = sink(&server, &json!({ "mode": "history" }));
    history.open(&ROUTE).await.unwrap();
    let unfit = history.apply(&rows("t", true, &[(Op::Create, Some(1), "x")])).await.unwrap_err();
    assert!(unfit.kind == ErrorKind::Config && unfit.message.contains("one version"), "{unfit}");
}

#[tokio::test]
async fn a_conflict_names_its_constraint_and_other_faults_stop_no_route() {
    let server = PostgresServer::start().unwrap();
    let prepare = "CREATE TABLE parent (id bigint PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
                   CREATE TABLE t (id bigint PRIMARY KEY REFERENCES parent, note text UNIQUE)";
    connect(&server).await.unwrap().batch_execute(prepare).await.unwrap();
    let frame = rows(
        "t",
        true,
        &[(Op::Create, Some(1), "a"), (Op::Create, Some(9), "orphan"), (Op::Create, Some(2), "a")],
    );
    let mut lenient = sink(&server, &json!({}));
    lenient.open(&ROUTE).await.unwrap();
    let refused = lenient.apply(&frame).await.unwrap();
    assert_eq!(refused.iter().map(|r| r.row).collect::<Vec<_>>(), [1, 2]);
    assert!(refused[0].reason.contains("t_id_fkey"), "{}", refused[0].reason);
    assert!(refused[1].reason.contains("t_note_key"), "{}", refused[1].reason);
    drop(lenient);

    let mut strict = sink(&server, &json!({ "on_conflict": "stop" }));
    strict.open(&ROUTE).await.unwrap();
    let refused = strict.apply(&rows("t", true, &[(Op::Create, Some(1), "nul \0")])).await.unwrap();
    assert_eq!(refused.len(), 1, "a value that PostgreSQL cannot hold is no conflict");
    let stopped = strict.apply(&frame).await.unwrap_err();
    assert_eq!(stopped.kind, ErrorKind::Config);
    assert!(stopped.message.contains("t_id_fkey") && stopped.message.contains("`stop`"), "{stopped}");
    assert_eq!(texts(&server, "SELECT note FROM t").await, [""; 0]);
}
