//! Driving a sink as the agent does: deliver, commit, and after any cut or error open anew and deliver again
//! what the checkpoint does not cover.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt8Array,
};
use bytes::Bytes;
use fastrand::Rng;
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Reaction, RouteKey, Sink,
};
use towpath_record::{LaneId, Link, LogOffset, Op, RegionName, RouteId, SourceId, StreamName, StreamSchema};

use crate::column;
use crate::sink::{Bench, SinkTarget};

/// Rejections of a delivery, by its offset.
pub(crate) type Refused = Vec<(u64, u32)>;

/// Where the agent dies.
pub(crate) enum Cut {
    Never,
    /// After this many calls, once.
    After(usize),
    /// Within calls at random, this many times.
    Within(Rng, usize),
}

pub(crate) fn route(number: u8) -> RouteKey {
    RouteKey { route: RouteId::from_bytes([number; 16]), replay: 0 }
}

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new(name).expect("the suite names streams validly")
}

pub(crate) fn schema(columns: Vec<towpath_record::Column>, key: &[&str]) -> anyhow::Result<StreamSchema> {
    Ok(StreamSchema::new(columns, key.iter().map(|&name| name.to_owned()).collect())?)
}

/// A checkpoint that covers everything up to an offset.
pub(crate) fn checkpoint(offset: u64) -> Checkpoint {
    Checkpoint(Bytes::copy_from_slice(&offset.to_be_bytes()))
}

fn covered(checkpoint: Option<&Checkpoint>) -> anyhow::Result<u64> {
    match checkpoint {
        None => Ok(0),
        Some(Checkpoint(bytes)) => {
            Ok(u64::from_be_bytes(bytes[..].try_into().context("the checkpoint came back with other bytes")?))
        }
    }
}

/// A delivery of rows with these operations and columns.
pub(crate) fn delivery(
    offset: u64,
    stream: &StreamName,
    schema: &StreamSchema,
    ops: &[Op],
    columns: Vec<ArrayRef>,
) -> anyhow::Result<Delivery> {
    let reserved: [ArrayRef; 3] = [
        Arc::new(ops.iter().map(|op| op.code()).collect::<UInt8Array>()),
        Arc::new(
            TimestampMicrosecondArray::from_value(1_700_000_000_000_000, ops.len()).with_timezone("UTC"),
        ),
        Arc::new(StringArray::new_null(ops.len())),
    ];
    let batch = RecordBatch::try_new(schema.arrow().clone(), reserved.into_iter().chain(columns).collect())?;
    Ok(Delivery {
        offset: LogOffset(offset),
        lane: LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() },
        link: Link { epoch: 1, seq: offset, crc: 0 },
        stream: stream.clone(),
        schema: schema.clone(),
        batch,
        captured_at_us: 1_700_000_000_000_000,
    })
}

/// The same delivery with the times of its changes, in microseconds.
pub(crate) fn at_times(delivery: Delivery, times: Vec<i64>) -> anyhow::Result<Delivery> {
    let mut columns = delivery.batch.columns().to_vec();
    columns[1] = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let batch = RecordBatch::try_new(delivery.batch.schema(), columns)?;
    Ok(Delivery { batch, ..delivery })
}

/// A delivery of new rows whose first column counts up from `offset * 1_000_000` and whose others are random.
pub(crate) fn random_delivery(
    rng: &mut Rng,
    offset: u64,
    stream: &StreamName,
    schema: &StreamSchema,
    rows: usize,
) -> anyhow::Result<Delivery> {
    let first = i64::try_from(offset)? * 1_000_000;
    let ids: ArrayRef = Arc::new((first..).take(rows).collect::<Int64Array>());
    let rest = schema.columns()[1..].iter().map(|c| column::random(rng, c, rows));
    let columns = std::iter::once(ids).chain(rest).collect();
    delivery(offset, stream, schema, &vec![Op::Create; rows], columns)
}

/// The delivery with nulls in place of floats that targets of this kind do not have.
pub(crate) fn as_held(bench: Bench<'_>, delivery: Delivery) -> anyhow::Result<Delivery> {
    if bench.subject.has_every_float() {
        return Ok(delivery);
    }
    let finite = |array: &ArrayRef| -> ArrayRef {
        if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
            return Arc::new(floats.iter().map(|v| v.filter(|v| v.is_finite())).collect::<Float32Array>());
        }
        if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
            return Arc::new(floats.iter().map(|v| v.filter(|v| v.is_finite())).collect::<Float64Array>());
        }
        array.clone()
    };
    let columns = delivery.batch.columns().iter().map(finite).collect();
    let batch = RecordBatch::try_new(delivery.batch.schema(), columns)?;
    Ok(Delivery { batch, ..delivery })
}

/// Opens a sink for a route and returns it with the offset that its checkpoint covers.
pub(crate) async fn open(
    bench: Bench<'_>,
    target: &dyn SinkTarget,
    route: &RouteKey,
) -> anyhow::Result<(Box<dyn Sink>, u64)> {
    for _ in 0..ATTEMPTS {
        let mut sink = (bench.factory.build)(&target.config())?;
        match sink.open(route).await {
            Ok(found) => return Ok((sink, covered(found.as_ref())?)),
            Err(error) => wait_after(error).await?,
        }
    }
    bail!("the sink did not open in {ATTEMPTS} attempts");
}

/// Delivers everything on one route in one life.
///
/// # Errors
/// The sink fails or refuses a row.
pub(crate) async fn deliver_to(
    bench: Bench<'_>,
    target: &dyn SinkTarget,
    route: &RouteKey,
    deliveries: &[Delivery],
) -> anyhow::Result<()> {
    let (mut sink, _) = open(bench, target, route).await?;
    for delivery in deliveries {
        let refused = sink.apply(delivery).await?;
        ensure!(refused.is_empty(), "rows were refused: {refused:?}");
    }
    let last = deliveries.last().map_or(0, |d| d.offset.0);
    sink.commit(&checkpoint(last), CommitReason::Closing).await?;
    Ok(())
}

/// Delivers everything on one route and closes it; dies as `cut` says and goes on. Returns the rows that were
/// refused, each once.
pub(crate) async fn deliver(
    bench: Bench<'_>,
    target: &dyn SinkTarget,
    deliveries: &[Delivery],
    commit_every: usize,
    mut cut: Cut,
) -> anyhow::Result<Refused> {
    let mut refused = Refused::new();
    for _ in 0..ATTEMPTS {
        let (sink, covered) = open(bench, target, &route(1)).await?;
        refused.retain(|(offset, _)| *offset <= covered);
        let rest =
            deliveries.iter().position(|d| d.offset.0 > covered).map_or(&[][..], |at| &deliveries[at..]);
        let mut run = Run { sink, cut: &mut cut, durable: covered };
        match run.deliver(rest, commit_every, &mut refused).await? {
            Ended::Closed => return Ok(refused),
            Ended::Cut => {}
        }
        let durable = run.durable;
        drop(run);
        let (_, found) = open(bench, target, &route(1)).await?;
        ensure!(found >= durable, "checkpoint {durable} was durable, yet the target holds {found}");
    }
    bail!("the deliveries did not get through in {ATTEMPTS} attempts");
}

/// Enough for every cut that a law asks for, and for the waits that follow them.
const ATTEMPTS: usize = 500;

/// One life of a sink instance.
struct Run<'c> {
    sink: Box<dyn Sink>,
    cut: &'c mut Cut,
    /// What a commit has said to be durable.
    durable: u64,
}

enum Ended {
    Closed,
    Cut,
}

/// A call's answer, or nothing when the agent died or the sink asked to be opened anew.
type Answer<T> = anyhow::Result<Option<T>>;

impl Run<'_> {
    async fn deliver(
        &mut self,
        deliveries: &[Delivery],
        commit_every: usize,
        refused: &mut Refused,
    ) -> anyhow::Result<Ended> {
        for (count, delivery) in (1..).zip(deliveries) {
            let Some(rejections) = self.apply(delivery).await? else { return Ok(Ended::Cut) };
            refused.extend(rejections.iter().map(|rejection| (delivery.offset.0, rejection.row)));
            if count % commit_every == 0
                && self.commit(delivery.offset.0, CommitReason::Batch).await?.is_none()
            {
                return Ok(Ended::Cut);
            }
        }
        let last = deliveries.last().map_or(self.durable, |d| d.offset.0);
        match self.commit(last, CommitReason::Closing).await? {
            None => Ok(Ended::Cut),
            Some(Durability::Durable) => Ok(Ended::Closed),
            Some(Durability::Accepted) => bail!("a closing commit left rows that are not durable"),
        }
    }

    async fn apply(&mut self, delivery: &Delivery) -> Answer<Vec<towpath_adapter_api::Rejection>> {
        if self.dies_before() {
            return Ok(None);
        }
        match self.patience() {
            None => answered(self.sink.apply(delivery).await).await,
            Some(patience) => match tokio::time::timeout(patience, self.sink.apply(delivery)).await {
                Ok(answer) => answered(answer).await,
                Err(_) => Ok(None),
            },
        }
    }

    async fn commit(&mut self, offset: u64, reason: CommitReason) -> Answer<Durability> {
        if self.dies_before() {
            return Ok(None);
        }
        let checkpoint = checkpoint(offset);
        let answer = match self.patience() {
            None => answered(self.sink.commit(&checkpoint, reason).await).await?,
            Some(patience) => {
                match tokio::time::timeout(patience, self.sink.commit(&checkpoint, reason)).await {
                    Ok(answer) => answered(answer).await?,
                    Err(_) => None,
                }
            }
        };
        if answer == Some(Durability::Durable) {
            self.durable = offset;
        }
        Ok(answer)
    }

    fn dies_before(&mut self) -> bool {
        match self.cut {
            Cut::After(0) => {
                *self.cut = Cut::Never;
                true
            }
            Cut::After(calls) => {
                *calls -= 1;
                false
            }
            Cut::Never | Cut::Within(..) => false,
        }
    }

    /// How long this call may take before the agent dies, if it does.
    fn patience(&mut self) -> Option<Duration> {
        let Cut::Within(rng, left) = self.cut else { return None };
        if *left == 0 || rng.bool() {
            return None;
        }
        *left -= 1;
        Some(Duration::from_micros(rng.u64(0..3_000)))
    }
}

async fn answered<T>(answer: Result<T, AdapterError>) -> Answer<T> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) => wait_after(error).await.map(|()| None),
    }
}

/// Waits as the agent would, in a hurry; passes on what no wait would cure.
async fn wait_after(error: AdapterError) -> anyhow::Result<()> {
    match error.kind.reaction().0 {
        Reaction::Retry { .. } => {
            tracing::info!(%error, "again");
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        }
        Reaction::AwaitChange | Reaction::End => Err(error.into()),
    }
}
