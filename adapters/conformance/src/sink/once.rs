//! Laws of exactly once.

use std::time::Duration;

use anyhow::ensure;
use fastrand::Rng;
use towpath_adapter_api::{CommitReason, Delivery, Durability, RouteKey};
use towpath_record::{Column, ColumnType, StreamName, StreamSchema};

use crate::sink::drive::{Cut, checkpoint, deliver, open, random_delivery, route, schema, stream};
use crate::sink::{Bench, expect};

/// How many times the agent dies within a call in one round.
const CUTS: usize = 25;
const ROUNDS: u64 = 8;

pub(super) async fn a_new_route_has_no_checkpoint(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let (_, covered) = open(bench, &*target, &route(1)).await?;
    ensure!(covered == 0, "a target that was never written holds checkpoint {covered}");
    Ok(())
}

pub(super) async fn a_committed_checkpoint_is_found_again(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let (stream, schema, deliveries) = plan(bench.seed, 3)?;
    deliver(bench, &*target, &deliveries, 1, Cut::Never).await?;
    let (_, covered) = open(bench, &*target, &route(1)).await?;
    ensure!(covered == 3, "checkpoint 3 was committed, yet the target holds {covered}");
    expect::holds(&*target, &stream, &schema, expect::appended(&deliveries, &stream)?).await
}

pub(super) async fn a_commit_without_rows_stores_its_checkpoint(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let (mut sink, _) = open(bench, &*target, &route(1)).await?;
    let durability = sink.commit(&checkpoint(9), CommitReason::Closing).await?;
    ensure!(durability == Durability::Durable, "a closing commit without rows is not durable");
    drop(sink);
    let (_, covered) = open(bench, &*target, &route(1)).await?;
    ensure!(covered == 9, "checkpoint 9 was committed, yet the target holds {covered}");
    Ok(())
}

pub(super) async fn uncommitted_rows_leave_no_trace(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let (stream, schema, deliveries) = plan(bench.seed, 3)?;
    let (mut sink, _) = open(bench, &*target, &route(1)).await?;
    for delivery in &deliveries {
        sink.apply(delivery).await?;
        expect::holds(&*target, &stream, &schema, Vec::new()).await?;
    }
    drop(sink);
    let (_, covered) = open(bench, &*target, &route(1)).await?;
    ensure!(covered == 0, "nothing was committed, yet the target holds checkpoint {covered}");
    expect::holds(&*target, &stream, &schema, Vec::new()).await
}

pub(super) async fn routes_and_replays_have_checkpoints_of_their_own(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let replayed = RouteKey { replay: 1, ..route(1) };
    let keys = [(route(1), 5), (replayed, 2), (route(2), 8)];
    for (key, offset) in keys {
        let (mut sink, covered) = open(bench, &*target, &key).await?;
        ensure!(covered == 0, "route {key} holds checkpoint {covered} of another");
        sink.commit(&checkpoint(offset), CommitReason::Closing).await?;
    }
    for (key, offset) in keys {
        let (_, covered) = open(bench, &*target, &key).await?;
        ensure!(covered == offset, "route {key} holds checkpoint {covered} in place of {offset}");
    }
    Ok(())
}

pub(super) async fn rows_land_exactly_once_when_cut_after_any_step(bench: Bench<'_>) -> anyhow::Result<()> {
    let (stream, schema, deliveries) = plan(bench.seed, 5)?;
    let expected = expect::appended(&deliveries, &stream)?;
    // Five deliveries, two commits on the way and one at the end.
    for calls in 0..=8 {
        let target = bench.subject.fresh().await?;
        deliver(bench, &*target, &deliveries, 2, Cut::After(calls)).await?;
        expect::holds(&*target, &stream, &schema, expected.clone()).await?;
    }
    Ok(())
}

pub(super) async fn rows_land_exactly_once_when_cut_within_steps(bench: Bench<'_>) -> anyhow::Result<()> {
    let (stream, schema, deliveries) = plan(bench.seed, 12)?;
    let expected = expect::appended(&deliveries, &stream)?;
    for round in 0..ROUNDS {
        let target = bench.subject.fresh().await?;
        let rng = Rng::with_seed(bench.seed.wrapping_add(round));
        let delivered = deliver(bench, &*target, &deliveries, 1, Cut::Within(rng, CUTS));
        tokio::time::timeout(Duration::from_secs(120), delivered).await??;
        expect::holds(&*target, &stream, &schema, expected.clone()).await?;
    }
    Ok(())
}

/// Deliveries of one stream without a key.
fn plan(seed: u64, frames: u64) -> anyhow::Result<(StreamName, StreamSchema, Vec<Delivery>)> {
    let mut rng = Rng::with_seed(seed);
    let stream = stream("suite.once");
    let columns =
        vec![Column::required("id", ColumnType::Int64), Column::nullable("note", ColumnType::String)];
    let schema = schema(columns, &[])?;
    let deliveries = (1..=frames)
        .map(|offset| {
            let rows = rng.usize(1..200);
            random_delivery(&mut rng, offset, &stream, &schema, rows)
        })
        .collect::<Result<_, _>>()?;
    Ok((stream, schema, deliveries))
}
