//! Laws of sinks that keep every version of a row.

use std::collections::BTreeMap;

use anyhow::ensure;
use arrow_array::{Array, TimestampMicrosecondArray};
use fastrand::Rng;
use serde_json::json;
use towpath_adapter_api::{RouteKey, mode};
use towpath_record::{Column, ColumnType, Link, Op, StreamSchema};

use crate::cell::{self, Cell, Row};
use crate::sink::drive::{Cut, deliver, deliver_to, route};
use crate::sink::keyed::{Changes, Clock, changes};
use crate::sink::settings::Set;
use crate::sink::{Bench, expect};

pub(super) async fn every_change_is_a_version(bench: Bench<'_>) -> anyhow::Result<()> {
    for round in 0..4 {
        let (target, mut rng) = (fresh(bench).await?, Rng::with_seed(bench.seed.wrapping_add(round)));
        let changes = changes(&mut rng, Clock::SetBack, 0)?;
        let refused = deliver(bench, &target, &changes.deliveries, 3, Cut::Within(rng, 6)).await?;
        ensure!(refused.is_empty(), "rows {refused:?} were refused");
        holds(&target, &changes).await?;
    }
    Ok(())
}

pub(super) async fn values_that_were_not_sent_are_those_of_the_version_before(
    bench: Bench<'_>,
) -> anyhow::Result<()> {
    for round in 0..4 {
        let (target, mut rng) = (fresh(bench).await?, Rng::with_seed(bench.seed.wrapping_add(round)));
        let changes = changes(&mut rng, Clock::SetBack, 2)?;
        deliver_to(bench, &target, &route(1), &changes.deliveries).await?;
        holds(&target, &changes).await?;
    }
    Ok(())
}

pub(super) async fn a_replay_adds_no_version(bench: Bench<'_>) -> anyhow::Result<()> {
    let (target, mut rng) = (fresh(bench).await?, Rng::with_seed(bench.seed));
    let changes = changes(&mut rng, Clock::Steady, 2)?;
    deliver_to(bench, &target, &route(1), &changes.deliveries).await?;
    // From the beginning, and from the middle.
    for (replay, from) in [(1, 0), (2, changes.deliveries.len() / 2)] {
        let again = RouteKey { replay, ..route(1) };
        deliver_to(bench, &target, &again, &changes.deliveries[from..]).await?;
        holds(&target, &changes).await?;
    }
    Ok(())
}

async fn fresh(bench: Bench<'_>) -> anyhow::Result<Set> {
    Ok(Set { target: bench.subject.fresh().await?, settings: json!({ "mode": "history" }) })
}

/// Checks that a target holds the versions that these changes make.
async fn holds(target: &Set, changes: &Changes) -> anyhow::Result<()> {
    let mut columns = changes.told.columns().to_vec();
    columns.push(Column::required(mode::VALID_FROM_COLUMN, ColumnType::Timestamp));
    columns.push(Column::nullable(mode::VALID_TO_COLUMN, ColumnType::Timestamp));
    columns.push(Column::required(mode::SEQUENCE_COLUMN, ColumnType::Int64));
    let seen = StreamSchema::new(columns, changes.told.key().to_vec())?;
    expect::holds(target, &changes.stream, &seen, versions(changes)?).await
}

struct Version {
    row: Row,
    from: i64,
    to: Option<i64>,
    sequence: i64,
}

/// Every version, with its times and its sequence.
fn versions(changes: &Changes) -> anyhow::Result<Vec<Row>> {
    let mut keys = BTreeMap::<Cell, Vec<Version>>::new();
    for change in changes.each()? {
        if change.op == Op::Truncate {
            for version in keys.values_mut().filter_map(|versions| versions.last_mut()) {
                version.to.get_or_insert(change.time_us.max(version.from));
            }
            continue;
        }
        let versions = keys.entry(change.row[0].clone()).or_default();
        // Versions never overlap, whatever the clock says.
        let earliest = versions.last().map_or(i64::MIN, |last| last.to.unwrap_or(last.from));
        let time = change.time_us.max(earliest);
        if let Some(current) = versions.last_mut() {
            current.to.get_or_insert(time);
        }
        if change.op != Op::Delete {
            let (frame, row) = change.place;
            let sequence = mode::sequence(Link { epoch: 1, seq: frame, crc: 0 }, row);
            versions.push(Version { row: change.row, from: time, to: None, sequence });
        }
    }
    let versions = keys.into_values().flatten().map(|version| {
        let times = TimestampMicrosecondArray::from(vec![Some(version.from), version.to]);
        let times: &dyn Array = &times.with_timezone("UTC");
        let sequence = Some(version.sequence.to_string());
        Ok(version.row.into_iter().chain(cell::cells(times)?).chain([sequence]).collect())
    });
    versions.collect()
}
