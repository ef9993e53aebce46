//! A sink in memory that keeps the laws, or breaks one on purpose.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use async_trait::async_trait;
use serde_json::{Value, json};
use towpath_adapter_api::mode::{SEQUENCE_COLUMN, VALID_FROM_COLUMN, VALID_TO_COLUMN, sequence};
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, ErrorKind, Guarantee, Rejection, RouteKey,
    Sink, SinkFactory,
};
use towpath_adapter_conformance::{Cell, Row, SinkSubject, SinkTarget, cell};
use towpath_record::unchanged::{Settled, settle};
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
    /// The mode, where it is not told by the key.
    mode: Option<String>,
    deleted_at: String,
    stops: bool,
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

/// A change of one row.
struct Change {
    op: Op,
    key: Option<String>,
    record: Record,
    /// The columns whose values were not sent.
    kept: Vec<String>,
    time: String,
    sequence: i64,
}

impl Change {
    fn is_of(&self, other: &Record) -> bool {
        self.key.as_ref().is_some_and(|key| other[key] == self.record[key])
    }

    /// The record with the values that were not sent, from the one before.
    fn told(&self, before: Option<&Record>) -> Record {
        let mut record = self.record.clone();
        let kept = before.iter().flat_map(|before| self.kept.iter().map(|name| (name, before[name].clone())));
        record.extend(kept.map(|(name, cell)| (name.clone(), cell)));
        record
    }
}

impl MemorySink {
    fn told(&self, change: &Change, before: Option<&Record>) -> Record {
        change.told(before.filter(|_| !self.has("forgets values that were not sent")))
    }

    fn replace(&self, table: &mut Vec<Record>, change: Change) {
        if change.op == Op::Truncate {
            return table.clear();
        }
        let record = self.told(&change, table.iter().find(|other| change.is_of(other)));
        let is_delete = change.op == Op::Delete;
        let fault = if is_delete { "ignores deletes" } else { "keeps the first row of a key" };
        if !self.has(fault) {
            table.retain(|other| !change.is_of(other));
        }
        if !is_delete {
            table.push(record);
        }
    }

    fn mark(&self, table: &mut Vec<Record>, change: Change) {
        if !matches!(change.op, Op::Delete | Op::Truncate) {
            let record = self.told(&change, table.iter().find(|other| change.is_of(other)));
            table.retain(|other| !change.is_of(other));
            table.push(record);
            return;
        }
        let marked = table.iter_mut().filter(|other| change.op == Op::Truncate || change.is_of(other));
        for record in marked.filter(|_| !self.has("forgets who was deleted")) {
            let mark = record.entry(self.deleted_at.clone()).or_default();
            mark.get_or_insert_with(|| change.time.clone());
        }
    }

    fn add_version(&self, table: &mut Vec<Record>, change: Change) {
        // The text forms of times sort like the times.
        let is_later = |version: &Record| {
            let after: i64 = version[SEQUENCE_COLUMN].as_ref().unwrap().parse().unwrap();
            version[VALID_FROM_COLUMN].as_ref() >= Some(&change.time) && after >= change.sequence
        };
        let is_repeat = |version: &Record| is_later(version) && !self.has("takes a replay for news");
        if change.op == Op::Truncate {
            let current = table.iter_mut().filter(|version| version[VALID_TO_COLUMN].is_none());
            for version in current.filter(|version| !is_repeat(version)) {
                let end = version[VALID_FROM_COLUMN].clone().max(Some(change.time.clone()));
                version.insert(VALID_TO_COLUMN.to_owned(), end);
            }
            return;
        }
        if table.iter().any(|version| change.is_of(version) && is_repeat(version)) {
            return;
        }
        let last = table.iter_mut().rfind(|version| change.is_of(version));
        let (mut record, mut time) = (self.told(&change, last.as_deref()), Some(change.time.clone()));
        if let Some(last) = last {
            let end = last[VALID_TO_COLUMN].clone();
            time = time.max(end.clone()).max(last[VALID_FROM_COLUMN].clone());
            last.insert(VALID_TO_COLUMN.to_owned(), end.or(time.clone()));
        }
        if self.has("keeps only the current version") {
            table.retain(|version| !change.is_of(version));
        }
        if change.op != Op::Delete {
            record.insert(VALID_FROM_COLUMN.to_owned(), time);
            record.insert(VALID_TO_COLUMN.to_owned(), None);
            record.insert(SEQUENCE_COLUMN.to_owned(), Some(change.sequence.to_string()));
            table.push(record);
        }
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
        let times = cell::cells(delivery.batch.column(1)).unwrap();
        let is_keyed = !delivery.schema.key().is_empty();
        let untold = settle(&delivery.schema, &delivery.batch).filter(|_| is_keyed);
        let Settled { schema, batch, unchanged } = untold.unwrap_or_else(|| Settled {
            schema: delivery.schema.clone(),
            batch: delivery.batch.clone(),
            unchanged: Vec::new(),
        });
        let ops = batch.column(0).as_primitive::<UInt8Type>().values().to_vec();
        let names: Vec<_> = schema.columns().iter().map(|column| column.name.clone()).collect();
        let key = schema.key().first().cloned();
        let table = memory.tables.entry(delivery.stream.to_string()).or_default();
        for (row, (op, cells)) in (0..).zip(ops.into_iter().zip(cell::rows(&batch).unwrap())) {
            let record: Record = names.iter().cloned().zip(cells).collect();
            let forbidden = memory.forbidden.as_ref();
            if forbidden.is_some_and(|(column, value)| record[column].as_ref() == Some(value)) {
                if self.stops && !self.has("goes on at a conflict") {
                    let message = "forbidden, and `on_conflict` is `stop`";
                    return Err(AdapterError::new(ErrorKind::Config, "memory", message));
                }
                rejections.push(Rejection { row, reason: "forbidden".to_owned() });
                continue;
            }
            let row = row as usize;
            let kept = unchanged.get(row).into_iter().flatten().map(|column| names[*column].clone());
            let change = Change {
                op: Op::from_code(op).unwrap(),
                key: key.clone(),
                record,
                kept: kept.collect(),
                time: times[row].clone().unwrap(),
                sequence: sequence(delivery.link, row),
            };
            match self.mode.as_deref() {
                Some("soft_delete") => self.mark(table, change),
                Some("history") => self.add_version(table, change),
                _ => self.replace(table, change),
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
    Ok(Box::new(MemorySink {
        target,
        fault,
        mode: config["mode"].as_str().map(str::to_owned),
        deleted_at: config["deleted_at"].as_str().unwrap_or("_deleted_at").to_owned(),
        stops: config["on_conflict"] == "stop",
        route: None,
        pending: None,
    }))
}

pub(crate) const FACTORY: SinkFactory = SinkFactory { config_schema: || json!({}), build, reader: None };

pub(crate) struct Targets(pub(crate) &'static str);

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
