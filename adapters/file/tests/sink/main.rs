//! The file sink keeps the laws of sinks in every format, and what it promises beyond them.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod read;
mod parts;

use std::path::PathBuf;

use anyhow::bail;
use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{Adapter, Registry, SinkFactory};
use towpath_adapter_conformance::{Row, SinkSubject, SinkTarget, Waiver, registry_suite, sink_suite};
use towpath_record::{StreamName, StreamSchema};

/// What a set of files cannot do.
const WAIVERS: &[Waiver] = &[
    Waiver {
        law: "a_refused_row_costs_no_neighbour",
        reason: "a file has no constraints, so it refuses no row",
    },
    Waiver {
        law: "the_last_row_of_a_key_wins",
        reason: "files are added to; their readers choose the last row",
    },
    Waiver {
        law: "deletes_and_truncates_are_applied_in_order",
        reason: "files are added to; with `metadata: true` a reader sees the deletes",
    },
    Waiver {
        law: "redelivery_of_keyed_rows_changes_nothing",
        reason: "it draws deletes, which a file without metadata refuses",
    },
    Waiver { law: "values_that_were_not_sent_are_kept", reason: REPLACES_NOTHING },
    Waiver { law: "a_refused_row_stops_the_route_if_told", reason: "a file has no constraints to break" },
    Waiver { law: "deleted_rows_are_kept_and_marked", reason: REPLACES_NOTHING },
    Waiver { law: "values_that_were_not_sent_are_kept_where_deleted_rows_are", reason: REPLACES_NOTHING },
    Waiver { law: "every_change_is_a_version", reason: REPLACES_NOTHING },
    Waiver { law: "values_that_were_not_sent_are_those_of_the_version_before", reason: REPLACES_NOTHING },
    Waiver { law: "a_replay_adds_no_version", reason: REPLACES_NOTHING },
    Waiver { law: "every_type_is_read_back", reason: IS_NO_TABLE },
    Waiver { law: "rows_are_read_by_their_keys", reason: IS_NO_TABLE },
    Waiver { law: "what_is_gone_is_not_read_back", reason: IS_NO_TABLE },
];

const REPLACES_NOTHING: &str = "files are added to, so they have no mode in which a row changes";
const IS_NO_TABLE: &str = "a set of files is no table whose rows could be compared";

pub(crate) fn factory() -> SinkFactory {
    towpath_adapter_file::adapter().sink.expect("it is a sink")
}

struct Folders(Value);

struct Folder {
    folder: TempDir,
    settings: Value,
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }
}

#[async_trait]
impl SinkSubject for Folders {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SinkTarget>> {
        Ok(Box::new(Folder { folder: tempfile::tempdir()?, settings: self.0.clone() }))
    }
}

#[async_trait]
impl SinkTarget for Folder {
    fn config(&self) -> Value {
        let mut config = self.settings.clone();
        config["path"] = json!(self.path());
        config
    }

    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
        let null = self.settings["csv"]["null"].as_str().unwrap_or_default();
        read::rows(&self.path().join(stream.as_str()), schema, null)
    }

    async fn forbid(&self, _: &StreamName, _: &StreamSchema, _: &str, _: i64) -> anyhow::Result<()> {
        bail!("a file has no constraints")
    }
}

async fn keeps_the_laws(settings: Value) -> anyhow::Result<()> {
    sink_suite(factory(), &Folders(settings), WAIVERS).await
}

#[tokio::test]
async fn json_lines_keep_the_laws_of_sinks() -> anyhow::Result<()> {
    keeps_the_laws(json!({ "format": "json_lines" })).await
}

#[tokio::test]
async fn small_compressed_json_lines_keep_the_laws_of_sinks() -> anyhow::Result<()> {
    keeps_the_laws(json!({ "format": "json_lines", "compression": "gzip", "roll": { "bytes": "2KiB" } }))
        .await
}

#[tokio::test]
async fn csv_keeps_the_laws_of_sinks() -> anyhow::Result<()> {
    keeps_the_laws(json!({ "format": "csv", "compression": "zstd", "csv": { "null": "\\N" } })).await
}

#[tokio::test]
async fn small_csv_keeps_the_laws_of_sinks() -> anyhow::Result<()> {
    keeps_the_laws(json!({ "format": "csv", "roll": { "bytes": "1KiB", "every": "1ms" } })).await
}

#[tokio::test]
async fn parquet_keeps_the_laws_of_sinks() -> anyhow::Result<()> {
    keeps_the_laws(json!({ "format": "parquet", "roll": { "bytes": "64KiB", "every": "20ms" } })).await
}

#[test]
fn the_configuration_is_described_and_misspelt_keys_are_named() -> anyhow::Result<()> {
    let sink = Adapter { kind: "file", source: None, sink: Some(factory()) };
    registry_suite(&Registry::new(vec![sink]))
}
