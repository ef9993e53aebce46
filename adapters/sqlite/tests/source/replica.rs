//! What a keyed sink would have, and what it would notice.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use towpath_adapter_api::{Emission, Rows};
use towpath_adapter_conformance::cell;
use towpath_adapter_conformance::{Cell, Row};
use towpath_record::Op;

/// Rows by their keys.
pub(crate) type Content = BTreeMap<Vec<Cell>, Row>;

/// What the emissions make of empty streams.
#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) streams: BTreeMap<String, Content>,
    /// Every change that a sink would wonder about: a row that comes twice, or goes without having come.
    pub(crate) surprises: Vec<String>,
}

impl Replica {
    pub(crate) fn of(emissions: &[Emission]) -> Self {
        let mut replica = Self::default();
        for emission in emissions {
            replica.apply(emission);
        }
        replica
    }

    pub(crate) fn apply(&mut self, emission: &Emission) {
        let Rows::Records { schema, batch } = &emission.rows else { return };
        assert_eq!(batch.schema_ref(), schema.arrow());
        let key = |row: &Row| -> Vec<Cell> {
            let place = |name| schema.columns().iter().position(|column| &column.name == name).unwrap();
            schema.key().iter().map(|name| row[place(name)].clone()).collect()
        };
        let content = self.streams.entry(emission.stream.to_string()).or_default();
        let ops = batch.column(0).as_primitive::<UInt8Type>().values();
        for (row, op) in cell::rows(batch).unwrap().into_iter().zip(ops) {
            let op = Op::from_code(*op).unwrap();
            let key = key(&row);
            let (was_there, expected) = match op {
                Op::Create | Op::Read => (content.insert(key.clone(), row).is_some(), false),
                Op::Update => (content.insert(key.clone(), row).is_some(), true),
                Op::Delete => (content.remove(&key).is_some(), true),
                Op::Truncate => {
                    content.clear();
                    continue;
                }
            };
            if was_there != expected {
                self.surprises.push(format!("{}: {} of {key:?}", emission.stream, op.as_str()));
            }
        }
    }

    pub(crate) fn stream(&self, name: &str) -> Content {
        self.streams.get(name).cloned().unwrap_or_default()
    }
}

/// What a query gives: first the key, in `key` columns, then the row.
pub(crate) fn content(database: &Connection, key: usize, query: &str) -> Content {
    let mut statement = database.prepare(query).unwrap();
    let count = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut content = Content::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Row = (0..count).map(|i| shown(row.get_ref(i).unwrap())).collect();
        let (key, row) = (cells[..key].to_vec(), cells[key..].to_vec());
        assert!(content.insert(key, row).is_none(), "the query's key is not one");
    }
    content
}

fn shown(value: ValueRef<'_>) -> Cell {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(text) => str::from_utf8(text).unwrap().to_owned(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
