//! Laws of streams with a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, new_null_array};
use fastrand::Rng;
use serde_json::json;
use towpath_adapter_api::Delivery;
use towpath_record::schema::{RESERVED_COLUMNS, UNCHANGED_COLUMN};
use towpath_record::{Column, ColumnType, Op, StreamName, StreamSchema};

use crate::cell::{self, Cell, Row};
use crate::column;
use crate::sink::drive::{Cut, at_times, deliver, delivery, schema, stream};
use crate::sink::settings::Set;
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

/// So few that most keys are changed more than once, and so many that a sink which writes a few rows in another way than
/// many does both.
const KEYS: i64 = 80;

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

pub(super) async fn values_that_were_not_sent_are_kept(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = Set { target: bench.subject.fresh().await?, settings: json!({ "mode": "upsert" }) };
    let mut rng = Rng::with_seed(bench.seed);
    let changes = changes(&mut rng, Clock::SetBack, 3)?;
    let refused = deliver(bench, &target, &changes.deliveries, 3, Cut::Within(rng, 6)).await?;
    ensure!(refused.is_empty(), "rows {refused:?} were refused");
    let mut rows = BTreeMap::new();
    for change in changes.each()? {
        match change.op {
            Op::Create | Op::Update | Op::Read => drop(rows.insert(change.row[0].clone(), change.row)),
            Op::Delete => drop(rows.remove(&change.row[0])),
            Op::Truncate => rows.clear(),
        }
    }
    expect::holds(&target, &changes.stream, &changes.told, rows.into_values().collect()).await
}

/// Deliveries that change few keys many times, within a batch and across batches.
fn plan(
    rng: &mut Rng,
    ops: &[Op],
    truncate: bool,
) -> anyhow::Result<(StreamName, StreamSchema, Vec<Delivery>)> {
    let stream = stream("suite.keyed");
    let schema = schema(columns(), &["id"])?;
    let mut deliveries = Vec::new();
    for offset in 1..=8 {
        let rows = rng.usize(1..150);
        let mut drawn: Vec<_> = (0..rows).map(|_| ops[rng.usize(0..ops.len())]).collect();
        if truncate && offset == 5 {
            drawn[rows / 2] = Op::Truncate;
        }
        let values = values(rng, &schema, rows);
        deliveries.push(delivery(offset, &stream, &schema, &drawn, values)?);
    }
    Ok((stream, schema, deliveries))
}

fn columns() -> Vec<Column> {
    vec![
        Column::required("id", ColumnType::Int64),
        Column::nullable("note", ColumnType::String),
        Column::nullable("amount", ColumnType::Decimal { precision: 12, scale: 2 }),
    ]
}

fn values(rng: &mut Rng, schema: &StreamSchema, rows: usize) -> Vec<ArrayRef> {
    let ids: ArrayRef = Arc::new((0..rows).map(|_| rng.i64(0..KEYS)).collect::<Int64Array>());
    let rest = schema.columns()[1..].iter().map(|column| column::random(rng, column, rows));
    std::iter::once(ids).chain(rest).collect()
}

/// Changes at times of a clock, some of which do not send every value.
pub(super) struct Changes {
    pub(super) stream: StreamName,
    /// What is sent.
    pub(super) deliveries: Vec<Delivery>,
    /// The schema and the rows as if every value had been sent.
    pub(super) told: StreamSchema,
    full: Vec<RecordBatch>,
}

/// A change with every value, sent or not.
pub(super) struct Change {
    pub(super) op: Op,
    pub(super) row: Row,
    pub(super) time: Cell,
    pub(super) time_us: i64,
    /// The number of its frame, and its place there.
    pub(super) place: (u64, usize),
}

impl Changes {
    pub(super) fn each(&self) -> anyhow::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (delivery, full) in self.deliveries.iter().zip(&self.full) {
            let times = full.column(1);
            let (shown, us) = (cell::cells(times)?, times.as_primitive::<TimestampMicrosecondType>());
            let rows = expect::ops(full).zip(cell::rows(full)?).zip(shown).enumerate();
            for (at, ((op, row), time)) in rows {
                let op = op.context("the suite draws known operations only")?;
                let place = (delivery.link.seq, at);
                changes.push(Change { op, row, time, time_us: us.value(at), place });
            }
        }
        Ok(changes)
    }
}

/// The clock of a source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Shows whole seconds, and never less than before.
    Steady,
    /// Shows whole seconds, and is set back now and then.
    SetBack,
}

/// Draws changes, among them a truncate. Of the updates, one in `unsent` leaves values out, none if it is
/// zero; only of rows that are there, as others have no value to leave.
pub(super) fn changes(rng: &mut Rng, clock: Clock, unsent: u32) -> anyhow::Result<Changes> {
    let (stream, told, plain) = plan(rng, ALL, true)?;
    let mut present = BTreeMap::<Cell, RecordBatch>::new();
    let (mut deliveries, mut full, mut now) = (Vec::new(), Vec::new(), 1_700_000_000_000_000);
    for delivery in plain {
        let rows = delivery.batch.num_rows();
        let times = (0..rows).map(|_| {
            let step = [0, 0, 1, 2, if clock == Clock::SetBack { -3 } else { 0 }][rng.usize(0..5)];
            now += step * 1_000_000;
            now
        });
        let delivery = at_times(delivery, times.collect())?;
        let left_out = left_out(rng, &delivery.batch, &present, unsent)?;
        let batch = tell(&delivery.batch, &left_out, &mut present)?;
        deliveries.push(match unsent {
            0 => Delivery { batch: batch.clone(), ..delivery },
            _ => leaving_out(delivery, &batch, &left_out)?,
        });
        full.push(batch);
    }
    Ok(Changes { stream, deliveries, told, full })
}

/// For each row the columns that are not sent.
fn left_out(
    rng: &mut Rng,
    batch: &RecordBatch,
    present: &BTreeMap<Cell, RecordBatch>,
    unsent: u32,
) -> anyhow::Result<Vec<Vec<usize>>> {
    let mut there: Vec<Cell> = present.keys().cloned().collect();
    let rows = expect::ops(batch).zip(cell::rows(batch)?);
    let choose = |(op, row): (Option<Op>, Row)| {
        let key = &row[0];
        let was_there = there.contains(key);
        match op {
            Some(Op::Delete) => there.retain(|other| other != key),
            Some(Op::Truncate) => there.clear(),
            _ => there.push(key.clone()),
        }
        match op {
            Some(Op::Update) if was_there && unsent > 0 && rng.u32(0..unsent) == 0 => {
                [vec![1], vec![2], vec![1, 2]][rng.usize(0..3)].clone()
            }
            _ => Vec::new(),
        }
    };
    Ok(rows.map(choose).collect())
}

/// The batch with the values that are not sent as they were before.
fn tell(
    batch: &RecordBatch,
    left_out: &[Vec<usize>],
    present: &mut BTreeMap<Cell, RecordBatch>,
) -> anyhow::Result<RecordBatch> {
    let mut rows = Vec::new();
    for (at, (op, row)) in expect::ops(batch).zip(cell::rows(batch)?).enumerate() {
        let mut told = batch.slice(at, 1);
        if let Some(before) = present.get(&row[0]).filter(|_| !left_out[at].is_empty()) {
            let mut columns = told.columns().to_vec();
            for column in &left_out[at] {
                let column = column + RESERVED_COLUMNS;
                columns[column] = before.column(column).clone();
            }
            told = RecordBatch::try_new(batch.schema(), columns)?;
        }
        match op {
            Some(Op::Delete) => drop(present.remove(&row[0])),
            Some(Op::Truncate) => present.clear(),
            _ => drop(present.insert(row[0].clone(), told.clone())),
        }
        rows.push(told);
    }
    Ok(arrow_select::concat::concat_batches(&batch.schema(), &rows)?)
}

/// The delivery with nulls in place of what is not sent, and the column that says so.
fn leaving_out(delivery: Delivery, full: &RecordBatch, left_out: &[Vec<usize>]) -> anyhow::Result<Delivery> {
    let item = Column::nullable("item", ColumnType::String);
    let mut columns = delivery.schema.columns().to_vec();
    let names: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
    columns.push(Column::nullable(UNCHANGED_COLUMN, ColumnType::List(Box::new(item.clone()))));
    let schema = StreamSchema::new(columns, delivery.schema.key().to_vec())?;
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Arc::new(item.to_arrow()));
    for columns in left_out {
        columns.iter().for_each(|column| lists.values().append_value(&names[*column]));
        lists.append(!columns.is_empty());
    }
    let sent = full.columns().iter().enumerate().map(|(at, array)| {
        let is_sent = |row: &usize| {
            !at.checked_sub(RESERVED_COLUMNS).is_some_and(|column| left_out[*row].contains(&column))
        };
        let nulls = new_null_array(array.data_type(), 1);
        let places: Vec<_> =
            (0..array.len()).map(|row| if is_sent(&row) { (0, row) } else { (1, 0) }).collect();
        arrow_select::interleave::interleave(&[&**array, &*nulls], &places)
    });
    let mut sent = sent.collect::<Result<Vec<_>, _>>()?;
    sent.push(Arc::new(lists.finish()));
    let batch = RecordBatch::try_new(schema.arrow().clone(), sent)?;
    Ok(Delivery { schema, batch, ..delivery })
}
