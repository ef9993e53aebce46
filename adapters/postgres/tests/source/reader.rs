//! A reader gives the rows of a table as the source emits them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, BatchOutput, Emission, ErrorKind, Reading, Rows, WhichRows};
use towpath_adapter_conformance::cell;
use towpath_record::{Column, ColumnType, Position, StreamSchema};

use crate::harness::{Database, read, server, shown};
use crate::types::scripts;

async fn batches(config: &Value, reading: &Reading) -> Result<Vec<RecordBatch>, AdapterError> {
    let make = towpath_adapter_postgres::adapter().source.unwrap().reader.unwrap();
    let (output, mut batches) = BatchOutput::channel(1);
    let mut reader = make(config)?;
    let collect = async {
        let mut seen = Vec::new();
        while let Some(batch) = batches.recv().await {
            seen.push(batch);
        }
        seen
    };
    let (read, seen) = tokio::join!(reader.read(reading, output), collect);
    read.map(|()| seen)
}

/// An emission's rows and what asks a reader for the same.
fn asked(emission: &Emission) -> Option<(RecordBatch, Reading)> {
    let Rows::Records { schema, batch } = &emission.rows else { return None };
    let (stream, schema) = (emission.stream.clone(), schema.clone());
    let reading = Reading { owner: "erp".parse().ok()?, stream, schema, rows: WhichRows::All };
    let columns = reading.arrow().fields().iter().map(|f| batch.column_by_name(f.name()).cloned()).collect();
    let columns: Option<Vec<_>> = columns;
    Some((RecordBatch::try_new(reading.arrow(), columns?).ok()?, reading))
}

/// The rows of a batch whose keys are asked for.
fn keys(batch: &RecordBatch, schema: &StreamSchema) -> Result<RecordBatch> {
    let places: Result<Vec<_>, _> = schema.key().iter().map(|name| batch.schema().index_of(name)).collect();
    Ok(batch.project(&places?)?)
}

#[tokio::test]
async fn each_type_is_read_as_the_copy_emitted_it() -> Result<()> {
    let server = server()?;
    let (tables, _) = scripts(&|_| false);
    let database = Database::new(&server, "reads", &tables).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    let mut tables = 0;
    for emission in &copied {
        let Some((emitted, mut reading)) = asked(emission) else { continue };
        let now = batches(&config, &reading).await?;
        ensure!(now.len() == 1 && now[0] == emitted, "{}: {now:?} for {emitted:?}", reading.stream);
        let some = emitted.slice(0, 1);
        reading.rows = WhichRows::Keys(keys(&some, &reading.schema)?);
        ensure!(batches(&config, &reading).await? == [some], "{} by key", reading.stream);
        tables += 1;
    }
    ensure!(tables > 40, "{tables} tables were read");
    Ok(())
}

#[tokio::test]
async fn a_row_is_found_by_a_key_of_each_type_that_can_be_one() -> Result<()> {
    let server = server()?;
    let no_key = |name: &str| {
        let unordered = ["json", "xml", "point", "polygon"];
        unordered.contains(&name) || name == "\"char\""
    };
    let (tables, _) = scripts(&no_key);
    let tables = tables.replace("(id int PRIMARY KEY, v ", "(id int, v ").replace(", NULL)", ", v)");
    // Each value is a key of its own table; a row without one is not there.
    let tables = tables.split_inclusive(';').filter(|sql| !sql.contains(", v);"));
    let database = Database::new(&server, "keys", &tables.collect::<String>()).await?;
    let names = database.texts("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").await?;
    for name in &names {
        let sql = format!("ALTER TABLE {name} ADD PRIMARY KEY (v, id)");
        database.client.batch_execute(&sql).await.with_context(|| name.clone())?;
    }
    let config = database.config(&json!({}));
    let mut found = 0;
    for emission in read(&config, &Position::default()).await? {
        let Some((emitted, mut reading)) = asked(&emission) else { continue };
        reading.rows = WhichRows::Keys(keys(&emitted, &reading.schema)?);
        let rows: usize = batches(&config, &reading).await?.iter().map(RecordBatch::num_rows).sum();
        ensure!(rows == emitted.num_rows(), "{}: {rows} of {emitted:?}", reading.stream);
        found += 1;
    }
    ensure!(found == names.len(), "{found} of {} tables", names.len());
    Ok(())
}

#[tokio::test]
async fn what_the_source_leaves_out_is_left_out_and_the_rest_comes_in_batches() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (id int PRIMARY KEY, n numeric(9,2), note text, late text);
        INSERT INTO t SELECT i, i, 'x', '' FROM generate_series(1, 10000) i;
        INSERT INTO t VALUES (20001, 'NaN', 'no decimal', ''), (20002, 1, repeat('long', 5000000), 'late');
        INSERT INTO t VALUES (-1, 1, 'filtered', '');
        CREATE PUBLICATION portion FOR TABLE t (id, n, note) WHERE (id > 0)";
    let database = Database::new(&server, "portion", sql).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    let lines = shown(&copied)?;
    let refused: Vec<_> = lines.iter().filter(|line| line.starts_with("refused")).collect();
    ensure!(refused.len() == 2 && refused[1].contains("longer than a record"), "{refused:?}");
    let (_, reading) = copied.iter().find_map(asked).context("rows were copied")?;
    let now = batches(&config, &reading).await?;
    ensure!(now.iter().map(RecordBatch::num_rows).collect::<Vec<_>>() == [4096, 4096, 1808]);
    ensure!(now[0].num_columns() == 3, "{:?}", now[0].schema());
    let missing = Arc::new(arrow_array::Int32Array::from(vec![-1, 7, 8_000_000]));
    let some = RecordBatch::try_from_iter([("id", missing as Arc<dyn arrow_array::Array>)])?;
    let reading = Reading { rows: WhichRows::Keys(some), ..reading };
    let found = batches(&config, &reading).await?;
    ensure!(cell::rows(&found[0])?.len() == 1 && found.len() == 1, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn a_table_that_changed_or_is_gone_is_an_error_and_no_difference() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "other", "CREATE TABLE t (id int PRIMARY KEY, n int)").await?;
    let config = database.config(&json!({}));
    let schema = |column: ColumnType| {
        let columns = vec![Column::nullable("id", ColumnType::Int32), Column::nullable("n", column)];
        StreamSchema::new(columns, vec!["id".to_owned()])
    };
    let reading = |stream: &str, schema| {
        anyhow::Ok(Reading { owner: "erp".parse()?, stream: stream.parse()?, schema, rows: WhichRows::All })
    };
    ensure!(batches(&config, &reading("public.t", schema(ColumnType::Int32)?)?).await?.is_empty());
    let other = batches(&config, &reading("public.t", schema(ColumnType::String)?)?).await.unwrap_err();
    ensure!(other.kind == ErrorKind::Unavailable && other.message.contains("other columns"), "{other}");
    let gone = batches(&config, &reading("public.u", schema(ColumnType::Int32)?)?).await.unwrap_err();
    ensure!(gone.kind == ErrorKind::Config && gone.message.contains("public.u"), "{gone}");
    Ok(())
}
