//! Streams, policies and keys to try out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt8Array};
use towpath_minimise::{Key, KeyError, Keys, Minimiser};
use towpath_policy::{NamedPolicy, Rulebook};
use towpath_record::{Column, ColumnType, Op, RegionName, StreamName, StreamSchema};
use towpath_resource::{AnyManifest, parse_documents};

/// The reference of a key that is there.
pub(crate) const KEY: &str = "${env:KEY}";

/// Keys that can be put and counted.
#[derive(Default)]
pub(crate) struct TestKeys {
    keys: Mutex<BTreeMap<String, Key>>,
    pub(crate) asked: AtomicUsize,
}

impl TestKeys {
    pub(crate) fn put(&self, reference: &str) {
        self.keys.lock().unwrap().insert(reference.to_owned(), Key::new([7; 32]));
    }
}

impl Keys for TestKeys {
    fn key(&self, reference: &str) -> Result<Key, KeyError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self.keys.lock().unwrap().get(reference).cloned();
        found.ok_or_else(|| KeyError { reference: reference.to_owned(), reason: "it is not set".to_owned() })
    }
}

pub(crate) fn rulebook(specs: &[&str]) -> Rulebook {
    let policy = |(n, spec): (usize, &&str)| {
        let text =
            format!("{{apiVersion: towpath/v1, kind: Policy, metadata: {{name: p{n}}}, spec: {spec}}}");
        match parse_documents(&text).unwrap().remove(0).manifest {
            Ok(AnyManifest::Policy(policy)) => NamedPolicy { name: policy.metadata.name, spec: policy.spec },
            other => panic!("{other:?}"),
        }
    };
    Rulebook::new(specs.iter().enumerate().map(policy)).unwrap()
}

pub(crate) fn minimiser_with(specs: &[&str], keys: Arc<dyn Keys>) -> Minimiser {
    Minimiser::new(rulebook(specs), eu(), keys)
}

pub(crate) fn minimiser(specs: &[&str]) -> Minimiser {
    let keys = TestKeys::default();
    keys.put(KEY);
    minimiser_with(specs, Arc::new(keys))
}

pub(crate) fn eu() -> RegionName {
    RegionName::new("eu").unwrap()
}

pub(crate) fn stream() -> StreamName {
    StreamName::new("crm.people").unwrap()
}

pub(crate) fn schema(columns: Vec<Column>, key: &[&str]) -> StreamSchema {
    StreamSchema::new(columns, key.iter().map(|name| (*name).to_owned()).collect()).unwrap()
}

/// A batch of these columns, with an operation for each row.
pub(crate) fn batch(schema: &StreamSchema, ops: &[Op], columns: Vec<ArrayRef>) -> RecordBatch {
    let reserved: [ArrayRef; 3] = [
        Arc::new(UInt8Array::from_iter_values(ops.iter().map(|op| op.code()))),
        Arc::new(TimestampMicrosecondArray::from_value(0, ops.len()).with_timezone("UTC")),
        Arc::new(StringArray::new_null(ops.len())),
    ];
    RecordBatch::try_new(schema.arrow().clone(), reserved.into_iter().chain(columns).collect()).unwrap()
}

pub(crate) fn text(name: &str) -> Column {
    Column::nullable(name, ColumnType::String)
}

pub(crate) fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(crate) fn before_of(members: Vec<Column>) -> Column {
    Column::nullable("_before", ColumnType::Struct(members))
}

pub(crate) fn structs(members: &[Column], columns: Vec<ArrayRef>, valid: &[bool]) -> ArrayRef {
    let fields = members.iter().map(Column::to_arrow).collect();
    Arc::new(StructArray::try_new(fields, columns, Some(valid.to_vec().into())).unwrap())
}

pub(crate) fn unchanged() -> Column {
    Column::nullable("_unchanged", ColumnType::List(Box::new(text("item"))))
}

pub(crate) fn name_lists(rows: &[&[&str]]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for names in rows {
        names.iter().for_each(|name| lists.values().append_value(name));
        lists.append(!names.is_empty());
    }
    Arc::new(lists.finish())
}
