//! Reading tables as another program would.

use anyhow::{Context, ensure};
use arrow_array::IntervalMonthDayNanoArray;
use arrow_array::types::IntervalMonthDayNano;
use tokio_postgres::Client;
use towpath_adapter_conformance::cell::{Cell, Row, cell_of_json, cells};
use towpath_record::{Column, ColumnType, StreamSchema};

/// The rows of a table in any order; none when there is no such table.
pub(crate) async fn rows(client: &Client, table: &str, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
    client.batch_execute("SET TIME ZONE 'UTC'").await?;
    if client
        .query_one("SELECT to_regclass($1)::text", &[&table])
        .await?
        .get::<_, Option<String>>(0)
        .is_none()
    {
        return Ok(Vec::new());
    }
    let column = |column: &Column| {
        let name = format!("\"{}\"", column.name.replace('"', "\"\""));
        match column.column_type {
            ColumnType::Interval => format!("interval_send({name})::text"),
            _ => format!("{name}::text"),
        }
    };
    let columns: Vec<_> = schema.columns().iter().map(column).collect();
    let sql = format!("SELECT {} FROM {table}", columns.join(", "));
    let found = client.query(&sql, &[]).await?;
    let cells = |row: tokio_postgres::Row| {
        let cells = schema.columns().iter().enumerate().map(|(i, column)| cell(column, row.get(i)));
        cells.collect::<Result<Row, _>>()
    };
    found.into_iter().map(cells).collect()
}

fn cell(column: &Column, text: Option<String>) -> anyhow::Result<Cell> {
    use ColumnType as T;
    let Some(text) = text else { return Ok(None) };
    Ok(Some(match column.column_type {
        T::Float32 => format!("{:?}", float(&text).parse::<f32>()?),
        T::Float64 => format!("{:?}", float(&text).parse::<f64>()?),
        T::Binary => text.strip_prefix("\\x").context("bytes are shown in hexadecimal")?.to_owned(),
        T::Time | T::LocalTimestamp => six_digits(&text),
        T::Timestamp => {
            let local = text.strip_suffix("+00").context("the session is in UTC")?;
            six_digits(local).replace(' ', "T") + "Z"
        }
        T::Interval => interval(&text)?,
        T::List(_) | T::Struct(_) => return cell_of_json(column, &text),
        _ => text,
    }))
}

fn float(text: &str) -> &str {
    match text {
        "Infinity" => "inf",
        "-Infinity" => "-inf",
        other => other,
    }
}

fn six_digits(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{fraction:0<6}"),
        None => format!("{text}.000000"),
    }
}

/// From the binary form: microseconds, days, months.
fn interval(hex: &str) -> anyhow::Result<String> {
    let hex = hex.strip_prefix("\\x").context("bytes are shown in hexadecimal")?;
    ensure!(hex.len() == 32, "an interval has 16 bytes");
    let micros = u64::from_str_radix(&hex[..16], 16)?.cast_signed();
    let days = u32::from_str_radix(&hex[16..24], 16)?.cast_signed();
    let months = u32::from_str_radix(&hex[24..], 16)?.cast_signed();
    let value = IntervalMonthDayNano::new(months, days, micros * 1_000);
    cells(&IntervalMonthDayNanoArray::from(vec![value]))?.pop().flatten().context("one interval is one cell")
}
