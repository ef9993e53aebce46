//! Casts rows of one schema into another, value by value: what fits exactly is kept, and a row with a value that does
//! not is named with the reason.
//!
//! Nothing is rounded, cut or guessed. Between numbers a value fits if it comes back the same; text fits if it is how
//! the value is written. The work goes column by column, so that it holds one column more than what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;

use crate::column::{Column, ColumnType};
use crate::compatibility::{Fit, compare, fit};
use crate::schema::{Op, RESERVED_COLUMNS, StreamSchema};

mod nested;
mod text;

pub use nested::present;

/// How rows of one schema become rows of another. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastPlan {
    from: StreamSchema,
    to: StreamSchema,
}

/// Rows cannot be cast at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// Rows of one are told apart by other columns than rows of the other: two rows could become one.
    #[error("{0}, so rows cannot be told apart as before")]
    Key(String),
}

/// What became of the rows of a batch.
#[derive(Debug)]
pub struct CastRows {
    /// The rows that fit, in the new schema and in their order.
    pub batch: RecordBatch,
    /// For each of them its index in the batch that was cast.
    pub rows: Vec<u32>,
    /// The rows that do not fit, by index, each with the reason.
    pub misfits: Vec<(u32, String)>,
}

/// Why each row that does not fit does not, by its index: the first reason counts.
type Misfits = BTreeMap<u32, String>;

impl CastPlan {
    /// A plan for rows of `from` to become rows of `to`.
    ///
    /// # Errors
    /// [`CastError`] says why no row may.
    pub fn new(from: StreamSchema, to: StreamSchema) -> Result<Self, CastError> {
        match compare(&to, &from).into_iter().find(|change| change.column.is_empty()) {
            Some(key) => Err(CastError::Key(key.what)),
            None => Ok(Self { from, to }),
        }
    }

    /// The schema that rows are cast to.
    pub fn to(&self) -> &StreamSchema {
        &self.to
    }

    /// Casts a batch of the plan's first schema.
    ///
    /// # Errors
    /// The batch is not of that schema.
    pub fn cast(&self, batch: &RecordBatch) -> Result<CastRows, ArrowError> {
        if batch.schema_ref() != self.from.arrow() {
            return Err(ArrowError::SchemaError("the rows are not of the schema that is cast".to_owned()));
        }
        let mut misfits = Misfits::new();
        let emptied = emptied(batch);
        let mut columns: Vec<ArrayRef> = batch.columns()[..RESERVED_COLUMNS].to_vec();
        for to in self.to.columns() {
            // Of a deleted row only the key is meant: whatever else it says cannot hold the deletion back.
            let is_meant = |row: usize| !emptied[row] || self.to.key().contains(&to.name);
            let mut found_misfits = Misfits::new();
            let found = self.from.columns().iter().position(|from| from.name == to.name);
            let cast = match found {
                Some(at) => {
                    let from = &self.from.columns()[at];
                    cast_column(&to.name, from, to, batch.column(at + RESERVED_COLUMNS), &mut found_misfits)?
                }
                None => new_null_array(&to.column_type.to_arrow(), batch.num_rows()),
            };
            if !to.nullable {
                let gone = if found.is_none() { "is gone" } else { "is absent" };
                for row in (0..cast.len()).filter(|row| cast.is_null(*row)) {
                    note(&mut found_misfits, row, || {
                        format!("column `{}` {gone} and must be present", to.name)
                    });
                }
            }
            found_misfits.retain(|row, _| is_meant(*row as usize));
            found_misfits.append(&mut misfits);
            misfits = found_misfits;
            columns.push(if to.nullable { cast } else { present(&to.column_type, &cast) });
        }
        self.keep(columns, misfits)
    }

    /// Leaves out the rows that do not fit.
    fn keep(&self, columns: Vec<ArrayRef>, misfits: Misfits) -> Result<CastRows, ArrowError> {
        let all = RecordBatch::try_new(self.to.arrow().clone(), columns)?;
        let rows = (0..u32::try_from(all.num_rows()).unwrap_or(u32::MAX)).collect::<Vec<_>>();
        if misfits.is_empty() {
            return Ok(CastRows { batch: all, rows, misfits: Vec::new() });
        }
        let fits: BooleanArray = rows.iter().map(|row| Some(!misfits.contains_key(row))).collect();
        let batch = filter_record_batch(&all, &fits)?;
        let rows = rows.into_iter().filter(|row| !misfits.contains_key(row)).collect();
        Ok(CastRows { batch, rows, misfits: misfits.into_iter().collect() })
    }
}

/// The rows of which only the key is meant: what was deleted.
fn emptied(batch: &RecordBatch) -> Vec<bool> {
    let ops = batch.column(0).as_primitive::<UInt8Type>();
    let is_emptied = |code| matches!(Op::from_code(code), Some(Op::Delete | Op::Truncate));
    ops.values().iter().map(|code| is_emptied(*code)).collect()
}

/// Casts one column; values that do not fit are absent in the result and noted.
fn cast_column(
    path: &str,
    from: &Column,
    to: &Column,
    values: &ArrayRef,
    misfits: &mut Misfits,
) -> Result<ArrayRef, ArrowError> {
    match (&from.column_type, &to.column_type) {
        (ColumnType::List(from), ColumnType::List(to)) => {
            return nested::list(path, from, to, values, misfits);
        }
        (ColumnType::Struct(from), ColumnType::Struct(to)) => {
            return nested::fields(path, from, to, values, misfits);
        }
        _ => {}
    }
    let cast = cast_values(&from.column_type, &to.column_type, values)?;
    for row in (0..values.len()).filter(|row| values.is_valid(*row) && cast.is_null(*row)) {
        note(misfits, row, || {
            let value = text::shown(&from.column_type, values, row);
            format!("column `{path}`: {value} is no {}", to.column_type)
        });
    }
    Ok(cast)
}

fn note(misfits: &mut Misfits, row: usize, reason: impl FnOnce() -> String) {
    misfits.entry(u32::try_from(row).unwrap_or(u32::MAX)).or_insert_with(reason);
}

/// Casts values that are neither lists nor structs; what does not fit is absent.
fn cast_values(from: &ColumnType, to: &ColumnType, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let target = to.to_arrow();
    match fit(from, to) {
        Fit::Same => Ok(values.clone()),
        Fit::Never => Ok(new_null_array(&target, values.len())),
        Fit::Converts if *from == ColumnType::String => text::read(to, values),
        Fit::Converts if *to == ColumnType::String => text::write(from, values),
        Fit::Widens | Fit::Narrows | Fit::Converts => {
            let cast = leniently(values, &target)?;
            let back = leniently(&cast, values.data_type())?;
            text::only_where(&cast, |row| is_same(values, &back, row))
        }
    }
}

/// Arrow's own cast; what it cannot cast is absent.
fn leniently(values: &ArrayRef, to: &arrow_schema::DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(values, to, &CastOptions { safe: true, ..CastOptions::default() })
}

/// Whether a value came back as it was. A float that is no number is the same as any other.
fn is_same(values: &ArrayRef, back: &ArrayRef, row: usize) -> bool {
    if back.is_null(row) {
        return false;
    }
    if let (Some(was), Some(is)) =
        (values.as_primitive_opt::<Float64Type>(), back.as_primitive_opt::<Float64Type>())
    {
        return was.value(row) == is.value(row) || (was.value(row).is_nan() && is.value(row).is_nan());
    }
    if let (Some(was), Some(is)) =
        (values.as_primitive_opt::<Float32Type>(), back.as_primitive_opt::<Float32Type>())
    {
        return was.value(row) == is.value(row) || (was.value(row).is_nan() && is.value(row).is_nan());
    }
    values.slice(row, 1).to_data() == back.slice(row, 1).to_data()
}

/// Instants with a zone that Arrow reads and writes without a database of zones.
fn with_numeric_zone(values: &ArrayRef) -> ArrayRef {
    match values.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(instants) if instants.timezone().is_some() => Arc::new(instants.clone().with_timezone("+00:00")),
        _ => values.clone(),
    }
}
