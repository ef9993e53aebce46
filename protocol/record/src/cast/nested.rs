//! Lists and structs, which are cast by what is in them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray, make_array, new_null_array};
use arrow_data::ArrayDataBuilder;
use arrow_schema::{ArrowError, Fields};

use super::{Misfits, cast_column, note};
use crate::column::{Column, ColumnType};

/// Casts lists. A list with an item that does not fit does not fit.
pub(super) fn list(
    path: &str,
    from: &Column,
    to: &Column,
    values: &ArrayRef,
    misfits: &mut Misfits,
) -> Result<ArrayRef, ArrowError> {
    let lists = values.as_list::<i32>();
    let mut items = Misfits::new();
    let path = format!("{path}.[]");
    let cast = cast_column(&path, from, to, lists.values(), &mut items)?;
    if !to.nullable {
        absent_items(&path, &cast, &mut items);
    }
    for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
        let offsets = lists.value_offsets();
        let places = offsets[row].unsigned_abs()..offsets[row + 1].unsigned_abs();
        if let Some((_, reason)) = items.range(places).next() {
            note(misfits, row, || reason.clone());
        }
    }
    let cast = if to.nullable { cast } else { present(&to.column_type, &cast) };
    let field = Arc::new(to.to_arrow());
    Ok(Arc::new(ListArray::try_new(field, lists.offsets().clone(), cast, lists.nulls().cloned())?))
}

fn absent_items(path: &str, items: &ArrayRef, misfits: &mut Misfits) {
    for item in (0..items.len()).filter(|item| items.is_null(*item)) {
        note(misfits, item, || format!("column `{path}` is absent and must be present"));
    }
}

/// Casts structs, field by field.
pub(super) fn fields(
    path: &str,
    from: &[Column],
    to: &[Column],
    values: &ArrayRef,
    misfits: &mut Misfits,
) -> Result<ArrayRef, ArrowError> {
    let structs = values.as_struct();
    let mut within = Misfits::new();
    let mut columns = Vec::with_capacity(to.len());
    for to in to {
        let path = format!("{path}.{}", to.name);
        let cast = match from.iter().position(|from| from.name == to.name) {
            Some(at) => cast_column(&path, &from[at], to, structs.column(at), &mut within)?,
            None => new_null_array(&to.column_type.to_arrow(), structs.len()),
        };
        if !to.nullable {
            absent_items(&path, &cast, &mut within);
        }
        columns.push(if to.nullable { cast } else { present(&to.column_type, &cast) });
    }
    // What stands in the fields of an absent struct means nothing.
    for (row, reason) in within.into_iter().filter(|(row, _)| structs.is_valid(*row as usize)) {
        note(misfits, row as usize, || reason);
    }
    let fields: Fields = to.iter().map(Column::to_arrow).collect();
    Ok(Arc::new(StructArray::try_new(fields, columns, structs.nulls().cloned())?))
}

/// The same values with a neutral one wherever one is absent: for columns that know no absence. Rows of which it would
/// be told are left out, or are deletions, whose key alone is meant.
pub fn present(of: &ColumnType, values: &ArrayRef) -> ArrayRef {
    if values.null_count() == 0 {
        return values.clone();
    }
    let valid = "without absences the same values are as valid as before";
    if let ColumnType::Struct(fields) = of {
        // An absent struct may have hidden absences in fields that know none.
        let columns = fields.iter().zip(values.as_struct().columns());
        let columns =
            columns.map(
                |(field, values)| {
                    if field.nullable { values.clone() } else { present(&field.column_type, values) }
                },
            );
        let fields: Fields = fields.iter().map(Column::to_arrow).collect();
        return Arc::new(StructArray::try_new(fields, columns.collect(), None).expect(valid));
    }
    make_array(ArrayDataBuilder::from(values.to_data()).nulls(None).build().expect(valid))
}
