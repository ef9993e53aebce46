//! The laws of sinks can be broken: a sink in memory keeps them all, and with each fault breaks the one
//! meant.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use async_trait::async_trait;
use serde_json::{Value, json};
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Rejection, RouteKey, Sink,
    SinkFactory,
};
use towpath_adapter_conformance::{Cell, Row, SinkSubject, SinkTarget, Waiver, cell, sink_suite};
use towpath_record::{Op, StreamName, StreamSchema};

/// A row by its columns' names.
type Record = BTreeMap<String, Cell>;

#[derive(Clone, Default)]
struct Memory {
    tables: HashMap<String, Vec<Record>>,
    checkpoints: HashMap<RouteKey, Checkpoint>,
    forbidden: Option<(String, String)>,
}

/// Factories are plain functions, so targets are found by the number in their configuration.
static TARGETS: LazyLock<Mutex<HashMap<u64, Memory>>> = LazyLock::new(Mutex::default);

struct MemorySink {
    target: u64,
    fault: String,
    route: Option<RouteKey>,
    /// What the next commit will make of the target.
    pending: Option<Memory>,
}

impl MemorySink {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn stored(&self) -> Memory {
        TARGETS.lock().unwrap()[&self.target].clone()
    }

    fn store(&self, change: impl FnOnce(&mut Memory)) {
        change(TARGETS.lock().unwrap().get_mut(&self.target).unwrap());
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn open(&mut self, route: &RouteKey) -> Result<Option<Checkpoint>, AdapterError> {
        self.route = Some(*route);
        Ok(self.stored().checkpoints.get(route).cloned())
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, AdapterError> {
        let mut memory = self.pending.take().unwrap_or_else(|| self.stored());
        let (before, mut rejections) = (memory.clone(), Vec::new());
        let ops = delivery.batch.column(0).as_primitive::<UInt8Type>().values().to_vec();
        let names: Vec<_> = delivery.schema.columns().iter().map(|column| column.name.clone()).collect();
        let key = delivery.schema.key().first().cloned();
        let table = memory.tables.entry(delivery.stream.to_string()).or_default();
        for (row, (op, cells)) in (0..).zip(ops.into_iter().zip(cell::rows(&delivery.batch).unwrap())) {
            let record: Record = names.iter().cloned().zip(cells).collect();
            let forbidden = memory.forbidden.as_ref();
            if forbidden.is_some_and(|(column, value)| record[column].as_ref() == Some(value)) {
                rejections.push(Rejection { row, reason: "forbidden".to_owned() });
                continue;
            }
            let op = Op::from_code(op).unwrap();
            if op == Op::Truncate {
                table.clear();
                continue;
            }
            if let Some(key) = &key
                && !(op == Op::Delete && self.has("ignores deletes"))
                && !(op != Op::Delete && self.has("keeps the first row of a key"))
            {
                table.retain(|other| other[key] != record[key]);
            }
            if op != Op::Delete {
                table.push(record);
            }
        }
        if self.has("loses the neighbours of a refused row") && !rejections.is_empty() {
            memory = before;
        }
        if self.has("shows rows before the commit") {
            self.store(|stored| stored.tables.clone_from(&memory.tables));
        }
        self.pending = Some(memory);
        Ok(rejections)
    }

    async fn commit(&mut self, checkpoint: &Checkpoint, _: CommitReason) -> Result<Durability, AdapterError> {
        let memory = self.pending.take().unwrap_or_else(|| self.stored());
        let route = self.route.unwrap();
        if self.has("stores rows and checkpoint apart") {
            self.store(|stored| stored.tables.clone_from(&memory.tables));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let forgets = self.has("forgets checkpoints");
        self.store(|stored| {
            stored.tables = memory.tables;
            if !forgets {
                stored.checkpoints.insert(route, checkpoint.clone());
            }
        });
        Ok(Durability::Durable)
    }
}

fn build(config: &Value) -> Result<Box<dyn Sink>, AdapterError> {
    let (target, fault) = (config["target"].as_u64().unwrap(), config["fault"].as_str().unwrap().to_owned());
    Ok(Box::new(MemorySink { target, fault, route: None, pending: None }))
}

const FACTORY: SinkFactory = SinkFactory { config_schema: || json!({}), build, reader: None };

struct Targets(&'static str);

struct Target {
    number: u64,
    fault: &'static str,
}

#[async_trait]
impl SinkSubject for Targets {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SinkTarget>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        TARGETS.lock().unwrap().insert(number, Memory::default());
        Ok(Box::new(Target { number, fault: self.0 }))
    }
}

#[async_trait]
impl SinkTarget for Target {
    fn config(&self) -> Value {
        json!({ "target": self.number, "fault": self.fault })
    }

    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
        let memory = TARGETS.lock().unwrap()[&self.number].clone();
        let records = memory.tables.get(stream.as_str()).cloned().unwrap_or_default();
        let cell = |record: &Record, name: &String| record.get(name).cloned().flatten();
        let row =
            |record: Record| schema.columns().iter().map(|column| cell(&record, &column.name)).collect();
        Ok(records.into_iter().map(row).collect())
    }

    async fn forbid(&self, _: &StreamName, _: &StreamSchema, column: &str, value: i64) -> anyhow::Result<()> {
        let forbidden = Some((column.to_owned(), value.to_string()));
        TARGETS.lock().unwrap().get_mut(&self.number).unwrap().forbidden = forbidden;
        Ok(())
    }
}

async fn broken_by(fault: &'static str) -> String {
    format!("{:#}", sink_suite(FACTORY, &Targets(fault), &[]).await.unwrap_err())
}

#[tokio::test]
async fn a_sink_without_fault_keeps_every_law() -> anyhow::Result<()> {
    sink_suite(FACTORY, &Targets("none"), &[]).await
}

#[tokio::test]
async fn each_fault_breaks_its_law() {
    for (fault, law) in [
        ("forgets checkpoints", "a_committed_checkpoint_is_found_again"),
        ("shows rows before the commit", "uncommitted_rows_leave_no_trace"),
        ("loses the neighbours of a refused row", "a_refused_row_costs_no_neighbour"),
        ("keeps the first row of a key", "the_last_row_of_a_key_wins"),
        ("ignores deletes", "deletes_and_truncates_are_applied_in_order"),
        ("stores rows and checkpoint apart", "rows_land_exactly_once_when_cut_within_steps"),
    ] {
        let said = broken_by(fault).await;
        assert!(said.contains(law) && said.contains("TOWPATH_SEED"), "a sink that {fault}: {said}");
    }
}

#[tokio::test]
async fn a_waiver_excuses_its_law_and_no_other() {
    let waived = [Waiver { law: "the_last_row_of_a_key_wins", reason: "it is a test" }];
    let said = format!("{:#}", sink_suite(FACTORY, &Targets("none"), &waived).await.unwrap_err());
    assert!(said.contains("holds, yet it is waived because it is a test"), "{said}");
}
