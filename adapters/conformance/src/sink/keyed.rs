//! Laws of streams with a key.

use std::sync::Arc;

use anyhow::ensure;
use arrow_array::{ArrayRef, Int64Array};
use fastrand::Rng;
use towpath_adapter_api::Delivery;
use towpath_record::{Column, ColumnType, Op, StreamName, StreamSchema};

use crate::column;
use crate::sink::drive::{Cut, deliver, delivery, schema, stream};
use crate::sink::{Bench, expect};

const WRITES: &[Op] = &[Op::Create, Op::Update, Op::Read];
const ALL: &[Op] = &[Op::Create, Op::Update, Op::Read, Op::Update, Op::Create, Op::Delete, Op::Delete];

pub(super) async fn the_last_row_of_a_key_wins(bench: Bench<'_>) -> anyhow::Result<()> {
    lands_as_expected(bench, WRITES, false, |_| Cut::Never).await
}

pub(super) async fn deletes_and_truncates_are_applied_in_order(bench: Bench<'_>) -> anyhow::Result<()> {
    lands_as_expected(bench, ALL, true, |_| Cut::Never).await
}

pub(super) async fn redelivery_of_keyed_rows_changes_nothing(bench: Bench<'_>) -> anyhow::Result<()> {
    lands_as_expected(bench, ALL, true, |rng| Cut::Within(rng, 10)).await
}

async fn lands_as_expected(
    bench: Bench<'_>,
    ops: &[Op],
    truncate: bool,
    cut: fn(Rng) -> Cut,
) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let mut rng = Rng::with_seed(bench.seed);
    let (stream, schema, deliveries) = plan(&mut rng, ops, truncate)?;
    let refused = deliver(bench, &*target, &deliveries, 3, cut(rng)).await?;
    ensure!(refused.is_empty(), "rows {refused:?} were refused");
    expect::holds(&*target, &stream, &schema, expect::keyed(&deliveries, &stream)?).await
}

/// Deliveries that change few keys many times, within a batch and across batches.
fn plan(
    rng: &mut Rng,
    ops: &[Op],
    truncate: bool,
) -> anyhow::Result<(StreamName, StreamSchema, Vec<Delivery>)> {
    let stream = stream("suite.keyed");
    let columns = vec![
        Column::required("id", ColumnType::Int64),
        Column::nullable("note", ColumnType::String),
        Column::nullable("amount", ColumnType::Decimal { precision: 12, scale: 2 }),
    ];
    let schema = schema(columns, &["id"])?;
    let mut deliveries = Vec::new();
    for offset in 1..=8 {
        let rows = rng.usize(1..150);
        let mut drawn: Vec<_> = (0..rows).map(|_| ops[rng.usize(0..ops.len())]).collect();
        if truncate && offset == 5 {
            drawn[rows / 2] = Op::Truncate;
        }
        let ids: ArrayRef = Arc::new((0..rows).map(|_| rng.i64(0..40)).collect::<Int64Array>());
        let rest = schema.columns()[1..].iter().map(|column| column::random(rng, column, rows));
        let columns = std::iter::once(ids).chain(rest).collect();
        deliveries.push(delivery(offset, &stream, &schema, &drawn, columns)?);
    }
    Ok((stream, schema, deliveries))
}
