//! Values as text that is the same for every adapter, so that what went in can be compared with what came
//! out.

use std::sync::Arc;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, FieldRef};
use towpath_record::Column;
use towpath_record::schema::RESERVED_COLUMNS;

/// One value; `None` is null.
pub type Cell = Option<String>;
/// The values of one record, in the order of its schema's columns.
pub type Row = Vec<Cell>;

/// How cells show what has more than one spelling.
pub const FORM: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(false)
    .with_date_format(Some("%Y-%m-%d"))
    .with_time_format(Some("%H:%M:%S%.6f"))
    .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
    .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));

/// The cells of an array. Floats stand as Rust shows them: the shortest digits that give the value back.
///
/// # Errors
/// A value has no text form.
pub fn cells(array: &dyn Array) -> anyhow::Result<Vec<Cell>> {
    match array.data_type() {
        DataType::Float32 => {
            return Ok(array
                .as_primitive::<Float32Type>()
                .iter()
                .map(|v| v.map(|v| format!("{v:?}")))
                .collect());
        }
        DataType::Float64 => {
            return Ok(array
                .as_primitive::<Float64Type>()
                .iter()
                .map(|v| v.map(|v| format!("{v:?}")))
                .collect());
        }
        _ => {}
    }
    // Arrow formats the zone `+00:00`, and `UTC` only with a time zone database.
    let array = arrow_cast::cast(array, &with_offset(array.data_type()))?;
    let formatter = ArrayFormatter::try_new(&array, &FORM)?;
    let cell = |row| match array.is_null(row) {
        true => Ok(None),
        false => formatter.value(row).try_to_string().map(Some),
    };
    Ok((0..array.len()).map(cell).collect::<Result<_, _>>()?)
}

fn with_offset(data_type: &DataType) -> DataType {
    let field =
        |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(with_offset(field.data_type())));
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(Arc::from("+00:00"))),
        DataType::List(item) => DataType::List(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

/// The rows of a batch, reserved columns left out.
///
/// # Errors
/// A value has no text form.
pub fn rows(batch: &RecordBatch) -> anyhow::Result<Vec<Row>> {
    let columns: Vec<_> =
        batch.columns().iter().skip(RESERVED_COLUMNS).map(|array| cells(array)).collect::<Result<_, _>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|cells| cells[row].clone()).collect()).collect())
}

/// The cell of a value that a target holds as JSON text.
///
/// # Errors
/// The text is not JSON of the column's type.
pub fn cell_of_json(column: &Column, json: &str) -> anyhow::Result<Cell> {
    let mut cells = cells(&*array_of_json(column, &[json])?)?;
    cells.pop().context("one JSON text gives one cell")
}

/// The values of a column that a target holds as JSON texts.
///
/// # Errors
/// A text is not JSON of the column's type.
pub fn array_of_json(column: &Column, texts: &[&str]) -> anyhow::Result<ArrayRef> {
    let mut decoder = ReaderBuilder::new_with_field(Arc::new(column.to_arrow()))
        .with_batch_size(texts.len().max(1))
        .build_decoder()?;
    for text in texts {
        decoder.decode(text.as_bytes())?;
        decoder.decode(b"\n")?;
    }
    let batch = decoder.flush()?.context("no JSON text was given")?;
    Ok(batch.column(0).clone())
}
