//! Laws of what a sink is told to do with deleted rows and with refused ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{bail, ensure};
use arrow_array::{ArrayRef, Int64Array};
use fastrand::Rng;
use serde_json::json;
use towpath_adapter_api::{CommitReason, Reaction};
use towpath_record::{Column, ColumnType, Op, StreamSchema};

use crate::cell::{Cell, Row};
use crate::sink::drive::{Cut, checkpoint, deliver, delivery, open, route, schema, stream};
use crate::sink::keyed::{Changes, Clock, changes};
use crate::sink::settings::Set;
use crate::sink::{Bench, SinkTarget, expect};

pub(super) async fn a_refused_row_stops_the_route_if_told(bench: Bench<'_>) -> anyhow::Result<()> {
    const FORBIDDEN: i64 = 13;
    let settings = json!({ "on_conflict": "stop" });
    let target = Set { target: bench.subject.fresh().await?, settings };
    let stream = stream("suite.conflict");
    let schema = schema(vec![Column::required("id", ColumnType::Int64)], &["id"])?;
    target.forbid(&stream, &schema, "id", FORBIDDEN).await?;
    let batch = |offset, ids: Vec<i64>| {
        let ops = vec![Op::Create; ids.len()];
        delivery(offset, &stream, &schema, &ops, vec![Arc::new(Int64Array::from(ids)) as ArrayRef])
    };
    let good = batch(1, vec![1, 2])?;
    let (mut sink, _) = open(bench, &target, &route(1)).await?;
    ensure!(sink.apply(&good).await?.is_empty(), "rows were refused that nothing forbids");
    sink.commit(&checkpoint(1), CommitReason::Batch).await?;
    let Err(error) = sink.apply(&batch(2, vec![3, FORBIDDEN, 4])?).await else {
        bail!("the target forbids {FORBIDDEN}, yet the route goes on");
    };
    ensure!(
        error.kind.reaction().0 == Reaction::AwaitChange && error.message.contains("on_conflict"),
        "the route does not wait for an admin with the setting that stops it, but: {error}"
    );
    drop(sink);
    expect::holds(&target, &stream, &schema, expect::appended(&[good], &stream)?).await
}

pub(super) async fn deleted_rows_are_kept_and_marked(bench: Bench<'_>) -> anyhow::Result<()> {
    marks_as_expected(bench, 0).await
}

pub(super) async fn values_that_were_not_sent_are_kept_where_deleted_rows_are(
    bench: Bench<'_>,
) -> anyhow::Result<()> {
    marks_as_expected(bench, 3).await
}

/// Every row in `unsent` does not send all values; zero for none.
async fn marks_as_expected(bench: Bench<'_>, unsent: u32) -> anyhow::Result<()> {
    for (deleted_at, settings) in [
        ("_deleted_at", json!({ "mode": "soft_delete" })),
        ("gone since", json!({ "mode": "soft_delete", "deleted_at": "gone since" })),
    ] {
        let target = Set { target: bench.subject.fresh().await?, settings };
        let mut rng = Rng::with_seed(bench.seed);
        let changes = changes(&mut rng, Clock::SetBack, unsent)?;
        let refused = deliver(bench, &target, &changes.deliveries, 3, Cut::Within(rng, 6)).await?;
        ensure!(refused.is_empty(), "rows {refused:?} were refused");
        let mut columns = changes.told.columns().to_vec();
        columns.push(Column::nullable(deleted_at, ColumnType::Timestamp));
        let seen = StreamSchema::new(columns, changes.told.key().to_vec())?;
        expect::holds(&target, &changes.stream, &seen, marked(&changes)?).await?;
    }
    Ok(())
}

/// Every row that was ever written, with the time since which it is gone.
fn marked(changes: &Changes) -> anyhow::Result<Vec<Row>> {
    let mut rows = BTreeMap::<Cell, (Row, Cell)>::new();
    for change in changes.each()? {
        match change.op {
            Op::Create | Op::Update | Op::Read => {
                rows.insert(change.row[0].clone(), (change.row, None));
            }
            Op::Delete => {
                if let Some((_, gone)) = rows.get_mut(&change.row[0]) {
                    *gone = gone.take().or(change.time);
                }
            }
            Op::Truncate => {
                rows.values_mut().for_each(|(_, gone)| *gone = gone.take().or(change.time.clone()));
            }
        }
    }
    Ok(rows.into_values().map(|(row, gone)| row.into_iter().chain([gone]).collect()).collect())
}
