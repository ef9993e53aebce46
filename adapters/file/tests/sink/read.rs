//! Reading finished files as another program would.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use arrow_array::IntervalMonthDayNanoArray;
use arrow_array::types::IntervalMonthDayNano;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::value::RawValue;
use towpath_adapter_conformance::cell::{Cell, Row, cell_of_json, cells};
use towpath_record::{Column, ColumnType, StreamSchema};

/// The finished files below a folder, in the order of their names.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let visible = entries.filter_entry(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let files = visible.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    Ok(files.map(walkdir::DirEntry::into_path).collect())
}

/// The rows of the finished files below a folder; `csv_null` stands for null in CSV.
pub(crate) fn rows(folder: &Path, schema: &StreamSchema, csv_null: &str) -> anyhow::Result<Vec<Row>> {
    let read = |path: PathBuf| {
        let name = path.to_string_lossy().into_owned();
        let rows = match () {
            () if name.ends_with(".parquet") => parquet(&path, schema),
            () if name.contains(".jsonl") => json_lines(&text(&path)?, schema),
            () => csv(&text(&path)?, schema, csv_null),
        };
        rows.with_context(|| name)
    };
    Ok(files(folder)?.into_iter().map(read).collect::<Result<Vec<_>, _>>()?.concat())
}

/// The text of a file, by the decompressor that its suffix names.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("gz") => drop(flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?),
        Some("zst") => drop(zstd::Decoder::new(file)?.read_to_string(&mut text)?),
        _ => drop({ file }.read_to_string(&mut text)?),
    }
    ensure!(text.ends_with('\n'), "the last line is not whole");
    Ok(text)
}

fn json_lines(text: &str, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
    text.lines().map(|line| json_row(line, schema).with_context(|| line.to_owned())).collect()
}

fn json_row(line: &str, schema: &StreamSchema) -> anyhow::Result<Row> {
    let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(line)?;
    let cell = |column: &Column| match fields.get(&column.name).map(|raw| raw.get()) {
        None | Some("null") => Ok(None),
        Some(raw) if nested(column) => cell_of_json(column, raw),
        Some(raw) if raw.starts_with('"') => {
            plain_cell(column, &serde_json::from_str::<String>(raw)?).map(Some)
        }
        Some(raw) => plain_cell(column, raw).map(Some),
    };
    schema.columns().iter().map(cell).collect()
}

fn csv(text: &str, schema: &StreamSchema, null: &str) -> anyhow::Result<Vec<Row>> {
    let mut records = csv_records(text).into_iter();
    let names: Vec<_> =
        records.next().context("there is no header")?.into_iter().map(|(name, _)| name).collect();
    let row = |fields: Vec<(String, bool)>| {
        ensure!(fields.len() == names.len(), "{fields:?} has not the columns {names:?}");
        let cell =
            |column: &Column| match names.iter().position(|name| name == &column.name).map(|i| &fields[i]) {
                None => Ok(None),
                Some((text, false)) if text == null => Ok(None),
                Some((text, _)) if nested(column) => cell_of_json(column, text),
                Some((text, _)) => plain_cell(column, text).map(Some),
            };
        schema.columns().iter().map(cell).collect()
    };
    records.map(row).collect()
}

/// The records of a CSV text; each field with whether it was quoted.
pub(crate) fn csv_records(text: &str) -> Vec<Vec<(String, bool)>> {
    let (mut records, mut record) = (Vec::new(), Vec::new());
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let (mut field, mut quoted) = (String::new(), false);
        let end = loop {
            match rest.next() {
                Some('"') if !quoted && field.is_empty() => {
                    quoted = true;
                    while let Some(inside) = rest.next() {
                        if inside == '"' && rest.next_if_eq(&'"').is_none() {
                            break;
                        }
                        field.push(inside);
                    }
                }
                end @ (Some(',' | '\n') | None) => break end,
                Some(plain) => field.push(plain),
            }
        };
        record.push((field, quoted));
        if end != Some(',') {
            records.push(std::mem::take(&mut record));
        }
    }
    records
}

fn nested(column: &Column) -> bool {
    matches!(column.column_type, ColumnType::List(_) | ColumnType::Struct(_))
}

/// The cell of a value that is not nested, from its spelling.
fn plain_cell(column: &Column, text: &str) -> anyhow::Result<String> {
    use ColumnType as T;
    Ok(match column.column_type {
        T::Float32 => format!("{:?}", float(text).parse::<f32>()?),
        T::Float64 => format!("{:?}", float(text).parse::<f64>()?),
        T::Time => six_digits(text),
        T::LocalTimestamp => six_digits(text).replace('T', " "),
        T::Timestamp => six_digits(text.strip_suffix('Z').context("an instant ends with Z")?) + "Z",
        T::Interval => interval(text)?,
        _ => text.to_owned(),
    })
}

fn float(text: &str) -> &str {
    match text {
        "Infinity" => "inf",
        "-Infinity" => "-inf",
        other => other,
    }
}

fn six_digits(text: &str) -> String {
    if text.contains('.') { text.to_owned() } else { format!("{text}.000000") }
}

fn interval(text: &str) -> anyhow::Result<String> {
    let (calendar, time) = text.split_once('T').unwrap_or((text, ""));
    let mut rest = calendar.strip_prefix('P').context("a duration begins with P")?;
    let mut part = |unit: char| match rest.split_once(unit) {
        Some((number, after)) => {
            rest = after;
            number.parse::<i32>()
        }
        None => Ok(0),
    };
    let (months, days) = (part('M')?, part('D')?);
    let seconds: f64 = time.strip_suffix('S').unwrap_or("0").parse()?;
    #[expect(clippy::cast_possible_truncation, reason = "the suite draws less than 2^53 nanoseconds")]
    let nanos = (seconds * 1e9).round() as i64;
    let value = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, nanos)]);
    cells(&value)?.pop().flatten().context("one interval is one cell")
}

fn parquet(path: &Path, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
        let batch = batch?;
        let mut columns = Vec::<Vec<Cell>>::new();
        for column in schema.columns() {
            let found = batch.column_by_name(&column.name);
            columns.push(match (found, &column.column_type) {
                (None, _) => vec![None; batch.num_rows()],
                (Some(array), ColumnType::Interval) => cells(&Arc::clone(array))?
                    .into_iter()
                    .map(|text| text.map(|text| interval(&text)).transpose())
                    .collect::<Result<_, _>>()?,
                (Some(array), column_type) if array.data_type() != &column_type.to_arrow() => {
                    bail!("{} is stored as {}", column.name, array.data_type())
                }
                (Some(array), _) => cells(array)?,
            });
        }
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|cells| cells[row].clone()).collect::<Row>()),
        );
    }
    Ok(rows)
}
