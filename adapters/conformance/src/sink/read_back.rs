//! Laws of reading back what a sink wrote.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arrow_array::{Array, ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use fastrand::Rng;
use serde_json::json;
use towpath_adapter_api::{BatchOutput, Delivery, Reading, WhichRows};
use towpath_record::{Column, ColumnType, Op, ResourceName, StreamName, StreamSchema};

use crate::cell::{self, Row};
use crate::column;
use crate::sink::drive::{Cut, as_held, deliver, delivery, random_delivery, schema, stream};
use crate::sink::keyed::{Clock, changes};
use crate::sink::settings::Set;
use crate::sink::{Bench, SinkTarget, expect};

pub(super) async fn every_type_is_read_back(bench: Bench<'_>) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(bench.seed);
    let stream = stream("suite.read_back");
    let mut columns = column::of_every_type();
    columns.insert(0, Column::required("id", ColumnType::Int64));
    for (key, settings) in [
        (&["id"][..], json!({})),
        (&[], json!({})),
        (&["id"], json!({ "mode": "soft_delete" })),
        (&["id"], json!({ "mode": "history" })),
    ] {
        let target = Set { target: bench.subject.fresh().await?, settings };
        let schema = schema(columns.clone(), key)?;
        let deliveries = (1..=2)
            .map(|offset| as_held(bench, random_delivery(&mut rng, offset, &stream, &schema, 300)?))
            .collect::<Result<Vec<_>, _>>()?;
        let refused = deliver(bench, &target, &deliveries, 2, Cut::Never).await?;
        ensure!(refused.is_empty(), "rows {refused:?} were refused");
        let found = read(bench, &target, &stream, &schema, WhichRows::All).await?;
        are_as_expected(&schema, found, expect::appended(&deliveries, &stream)?)?;
    }
    Ok(())
}

pub(super) async fn rows_are_read_by_their_keys(bench: Bench<'_>) -> anyhow::Result<()> {
    let target = bench.subject.fresh().await?;
    let stream = stream("suite.read_keys");
    let columns = vec![
        Column::nullable("note", ColumnType::String),
        Column::required("day", ColumnType::Date),
        Column::required("code", ColumnType::String),
    ];
    // The key's order is not that of the columns.
    let schema = schema(columns, &["code", "day"])?;
    let codes = ["A", "a", "ä", "", "it's", "A "];
    let pairs: Vec<_> = codes.iter().flat_map(|code| (0..3).map(move |day| (*code, day))).collect();
    let values: Vec<ArrayRef> = vec![
        Arc::new(pairs.iter().map(|(code, day)| Some(format!("{code} {day}"))).collect::<StringArray>()),
        Arc::new(pairs.iter().map(|(_, day)| Some(*day)).collect::<Date32Array>()),
        Arc::new(StringArray::from_iter_values(pairs.iter().map(|(code, _)| code))),
    ];
    let deliveries = [delivery(1, &stream, &schema, &vec![Op::Create; pairs.len()], values)?];
    deliver(bench, &*target, &deliveries, 1, Cut::Never).await?;

    let wanted = [("a", 1), ("A", 2), ("absent", 0), ("A ", 0), ("", 2), ("a", 9)];
    let keys: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(wanted.iter().map(|(code, _)| code))),
        Arc::new(Date32Array::from_iter_values(wanted.iter().map(|(_, day)| *day))),
    ];
    let fields = ["code", "day"].map(|name| schema.arrow().field_with_name(name).cloned());
    let fields = fields.into_iter().collect::<Result<Vec<_>, _>>()?;
    let keys = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), keys)?;
    let found = read(bench, &*target, &stream, &schema, WhichRows::Keys(keys)).await?;
    let is_wanted = |(at, _): &(usize, Row)| wanted.contains(&pairs[*at]);
    let rows = expect::appended(&deliveries, &stream)?.into_iter().enumerate().filter(is_wanted);
    are_as_expected(&schema, found, rows.map(|(_, row)| row).collect())
}

pub(super) async fn what_is_gone_is_not_read_back(bench: Bench<'_>) -> anyhow::Result<()> {
    for settings in [json!({}), json!({ "mode": "soft_delete" }), json!({ "mode": "history" })] {
        let target = Set { target: bench.subject.fresh().await?, settings };
        let changes = changes(&mut Rng::with_seed(bench.seed), Clock::SetBack, 0)?;
        deliver(bench, &target, &changes.deliveries, 3, Cut::Never).await?;
        let (stream, schema) = (&changes.stream, &changes.told);
        let rows = expect::keyed(&changes.deliveries, stream)?;
        let found = read(bench, &target, stream, schema, WhichRows::All).await?;
        are_as_expected(schema, found, rows.clone())?;
        let found =
            read(bench, &target, stream, schema, WhichRows::Keys(every_key(&changes.deliveries)?)).await?;
        are_as_expected(schema, found, rows)?;
    }
    Ok(())
}

/// Every key that was ever delivered.
fn every_key(deliveries: &[Delivery]) -> anyhow::Result<RecordBatch> {
    let mut keys = BTreeSet::new();
    for delivery in deliveries {
        keys.extend(cell::rows(&delivery.batch)?.into_iter().filter_map(|row| row[0].clone()));
    }
    let ids = keys.iter().map(|id| id.parse()).collect::<Result<Vec<i64>, _>>()?;
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    Ok(RecordBatch::try_from_iter([("id", ids)])?)
}

/// The rows that the sink's reader gives, which must be of the stream's own types.
async fn read(
    bench: Bench<'_>,
    target: &dyn SinkTarget,
    stream: &StreamName,
    schema: &StreamSchema,
    rows: WhichRows,
) -> anyhow::Result<Vec<Row>> {
    let make = bench.factory.reader.context("the sink cannot be read back")?;
    let mut reader = make(&target.config())?;
    let owner = ResourceName::new("suite")?;
    let reading = Reading { owner, stream: stream.clone(), schema: schema.clone(), rows };
    let (output, mut batches) = BatchOutput::channel(1);
    let arrow = reading.arrow();
    let collect = async {
        let mut found = Vec::new();
        while let Some(batch) = batches.recv().await {
            ensure!(batch.schema() == arrow, "a batch is of {:?} in place of {arrow:?}", batch.schema());
            found.extend(cells(&batch)?);
        }
        Ok(found)
    };
    let (read, found) = tokio::join!(reader.read(&reading, output), collect);
    read?;
    found
}

fn cells(batch: &RecordBatch) -> anyhow::Result<Vec<Row>> {
    // Cells leave out the columns that describe a change; here there are none.
    let columns = batch.columns().iter().map(|array| cell::cells(&**array as &dyn Array));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|cells| cells[row].clone()).collect()).collect())
}

fn are_as_expected(schema: &StreamSchema, mut found: Vec<Row>, mut expected: Vec<Row>) -> anyhow::Result<()> {
    found.sort();
    expected.sort();
    for (found, expected) in found.iter().zip(&expected) {
        for ((column, found), expected) in schema.columns().iter().zip(found).zip(expected) {
            let name = &column.name;
            ensure!(found == expected, "column {name} is read back as {found:?} in place of {expected:?}");
        }
    }
    let (found, expected) = (found.len(), expected.len());
    ensure!(found == expected, "{found} rows are read back in place of {expected}");
    Ok(())
}
