//! Laws of values, batches and schemas.

use std::sync::Arc;

use anyhow::ensure;
use arrow_array::{ArrayRef, Int64Array, StringArray};
use fastrand::Rng;
use towpath_record::{Column, ColumnType, Op};

use crate::cell;
use crate::column;
use crate::sink::drive::{Cut, as_held, deliver, delivery, random_delivery, schema, stream};
use crate::sink::{Bench, expect};

pub(super) async fn every_type_and_extreme_survives(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let mut rng = Rng::with_seed(bench.seed);
    let stream = stream("suite.types");
    let mut columns = column::of_every_type();
    columns.insert(0, Column::required("id", ColumnType::Int64));
    let schema = schema(columns, &[])?;
    let deliveries = (1..=3)
        .map(|offset| as_held(bench, random_delivery(&mut rng, offset, &stream, &schema, 300)?))
        .collect::<Result<Vec<_>, _>>()?;
    let refused = deliver(bench, &*target, &deliveries, 2, Cut::Never).await?;
    ensure!(refused.is_empty(), "rows {refused:?} were refused");
    expect::holds(&*target, &stream, &schema, expect::appended(&deliveries, &stream)?).await
}

pub(super) async fn a_megabyte_in_one_value_survives(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let stream = stream("suite.megabyte");
    let schema = schema(vec![Column::nullable("text", ColumnType::String)], &[])?;
    let values = ["größer ".repeat(1 << 17), String::new(), "small".to_owned()];
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(&values));
    let deliveries = [delivery(1, &stream, &schema, &[Op::Create; 3], vec![text])?];
    deliver(bench, &*target, &deliveries, 1, Cut::Never).await?;
    expect::holds(&*target, &stream, &schema, expect::appended(&deliveries, &stream)?).await
}

pub(super) async fn an_empty_batch_adds_nothing(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let mut rng = Rng::with_seed(bench.seed);
    let stream = stream("suite.empty");
    let schema = schema(vec![Column::required("id", ColumnType::Int64)], &[])?;
    let deliveries = [
        random_delivery(&mut rng, 1, &stream, &schema, 0)?,
        random_delivery(&mut rng, 2, &stream, &schema, 2)?,
        random_delivery(&mut rng, 3, &stream, &schema, 0)?,
    ];
    deliver(bench, &*target, &deliveries, 1, Cut::Never).await?;
    expect::holds(&*target, &stream, &schema, expect::appended(&deliveries, &stream)?).await
}

pub(super) async fn streams_do_not_mix(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let mut rng = Rng::with_seed(bench.seed);
    let streams = [stream("suite.orders"), stream("suite.customers")];
    let schema = schema(
        vec![Column::required("id", ColumnType::Int64), Column::nullable("note", ColumnType::String)],
        &[],
    )?;
    let deliveries = (1..=9_usize)
        .map(|offset| random_delivery(&mut rng, offset as u64, &streams[offset % 2], &schema, 20))
        .collect::<Result<Vec<_>, _>>()?;
    deliver(bench, &*target, &deliveries, 4, Cut::Never).await?;
    for stream in &streams {
        expect::holds(&*target, stream, &schema, expect::appended(&deliveries, stream)?).await?;
    }
    Ok(())
}

pub(super) async fn columns_may_come_and_go(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let mut rng = Rng::with_seed(bench.seed);
    let stream = stream("suite.evolving");
    let id = Column::required("id", ColumnType::Int64);
    let note = Column::nullable("note", ColumnType::String);
    let price = Column::nullable("price", ColumnType::Float64);
    let before = schema(vec![id.clone(), note.clone()], &[])?;
    let wider = schema(vec![id.clone(), note.clone(), price.clone()], &[])?;
    let narrower = schema(vec![id, price], &[])?;
    let deliveries = [
        random_delivery(&mut rng, 1, &stream, &before, 5)?,
        random_delivery(&mut rng, 2, &stream, &wider, 5)?,
        random_delivery(&mut rng, 3, &stream, &narrower, 5)?,
        random_delivery(&mut rng, 4, &stream, &before, 5)?,
    ];
    let deliveries = deliveries.map(|delivery| as_held(bench, delivery));
    let deliveries = deliveries.into_iter().collect::<Result<Vec<_>, _>>()?;
    deliver(bench, &*target, &deliveries, 2, Cut::Never).await?;
    // Seen in the widest schema; what a delivery did not have is null.
    let mut expected = cell::rows(&deliveries[0].batch)?;
    expected.iter_mut().for_each(|row| row.push(None));
    expected.extend(cell::rows(&deliveries[1].batch)?);
    expected.extend(cell::rows(&deliveries[2].batch)?.into_iter().map(|mut row| {
        row.insert(1, None);
        row
    }));
    expected.extend(cell::rows(&deliveries[3].batch)?.into_iter().map(|mut row| {
        row.push(None);
        row
    }));
    expect::holds(&*target, &stream, &wider, expected).await
}

pub(super) async fn a_refused_row_costs_no_neighbour(bench: Bench<'_>) -> anyhow::Result<()> {
    const FORBIDDEN: i64 = 13;
    for key in [&[][..], &["id"]] {
        let target = bench.subject.fresh().await?;
        let stream = stream("suite.refused");
        let schema = schema(vec![Column::required("id", ColumnType::Int64)], key)?;
        target.forbid(&stream, &schema, "id", FORBIDDEN).await?;
        let batch = |offset, ids: Vec<i64>| {
            let ops = vec![Op::Create; ids.len()];
            delivery(offset, &stream, &schema, &ops, vec![Arc::new(Int64Array::from(ids)) as ArrayRef])
        };
        let around: Vec<_> = (0..200).map(|i| if i % 50 == 7 { FORBIDDEN } else { 1_000 + i }).collect();
        let sent = [batch(1, vec![1, 2])?, batch(2, around.clone())?, batch(3, vec![3, FORBIDDEN])?];
        let refused = deliver(bench, &*target, &sent, 2, Cut::Never).await?;
        ensure!(
            refused == [(2, 7), (2, 57), (2, 107), (2, 157), (3, 1)],
            "the target forbids {FORBIDDEN}, yet the refused rows (offset, row) are {refused:?}"
        );
        let good = around.into_iter().filter(|id| *id != FORBIDDEN).collect();
        let landed = [batch(1, vec![1, 2])?, batch(2, good)?, batch(3, vec![3])?];
        expect::holds(&*target, &stream, &schema, expect::appended(&landed, &stream)?).await?;
    }
    Ok(())
}
