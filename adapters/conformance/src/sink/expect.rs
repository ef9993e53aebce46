//! What a target should hold.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use towpath_adapter_api::Delivery;
use towpath_record::{Op, StreamName, StreamSchema};

use crate::cell::{self, Row};
use crate::sink::SinkTarget;

/// The rows of a stream that is only added to.
pub(crate) fn appended(deliveries: &[Delivery], stream: &StreamName) -> anyhow::Result<Vec<Row>> {
    let batches = deliveries.iter().filter(|d| &d.stream == stream).map(|d| cell::rows(&d.batch));
    Ok(batches.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The rows of a stream whose rows replace each other by their first column.
pub(crate) fn keyed(deliveries: &[Delivery], stream: &StreamName) -> anyhow::Result<Vec<Row>> {
    let mut rows = BTreeMap::new();
    for delivery in deliveries.iter().filter(|d| &d.stream == stream) {
        for (op, row) in ops(&delivery.batch).zip(cell::rows(&delivery.batch)?) {
            match op.context("the suite draws known operations only")? {
                Op::Create | Op::Update | Op::Read => drop(rows.insert(row[0].clone(), row)),
                Op::Delete => drop(rows.remove(&row[0])),
                Op::Truncate => rows.clear(),
            }
        }
    }
    Ok(rows.into_values().collect())
}

/// Checks that a target holds exactly these rows. Rows that replace each other have no order.
pub(crate) async fn holds(
    target: &dyn SinkTarget,
    stream: &StreamName,
    schema: &StreamSchema,
    mut expected: Vec<Row>,
) -> anyhow::Result<()> {
    let mut found = target.rows(stream, schema).await.context("the target cannot be read")?;
    if !schema.key().is_empty() || !target.keeps_order() {
        expected.sort();
        found.sort();
    }
    for (at, (expected, found)) in expected.iter().zip(&found).enumerate() {
        for ((column, expected), found) in schema.columns().iter().zip(expected).zip(found) {
            let name = &column.name;
            ensure!(
                expected == found,
                "row {at} of {stream}: column {name} holds {found:?} in place of {expected:?}"
            );
        }
    }
    let (expected, found) = (expected.len(), found.len());
    ensure!(found == expected, "the target holds {found} rows of {stream} in place of {expected}");
    Ok(())
}

pub(crate) fn ops(batch: &RecordBatch) -> impl Iterator<Item = Option<Op>> {
    batch.column(0).as_primitive::<UInt8Type>().values().iter().map(|code| Op::from_code(*code))
}
