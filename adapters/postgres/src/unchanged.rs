//! Rows that leave some values as they are.
//!
//! Of several rows with one key in a frame only the last is written, so it first takes what it does not tell from
//! the rows before it. What none of them told is left alone in the table.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take;
use towpath_record::Op;
use towpath_record::schema::RESERVED_COLUMNS;

use crate::encode::EncodedRows;

/// Fills in what rows before tell. `unchanged` keeps the columns that no row of the batch tells; `key` are the key
/// columns, as indices into the schema's columns.
pub(crate) fn resolve(
    batch: &RecordBatch,
    key: &[usize],
    unchanged: &mut [Vec<usize>],
) -> Result<RecordBatch, ArrowError> {
    if unchanged.iter().all(Vec::is_empty) {
        return Ok(batch.clone());
    }
    let key: Vec<_> = key.iter().map(|column| column + RESERVED_COLUMNS).collect();
    let keys = EncodedRows::new(batch, &key)?;
    let ops = batch.column(0).as_primitive::<UInt8Type>().values();
    // The last row of each key, and per column the rows whose values stand elsewhere.
    let mut last = HashMap::<&[u8], usize>::new();
    let mut moved = BTreeMap::<usize, BTreeMap<usize, u32>>::new();
    for row in 0..batch.num_rows() {
        let Ok(bytes) = keys.row(row) else { continue };
        match Op::from_code(ops[row]) {
            Some(Op::Truncate) => last.clear(),
            Some(Op::Delete) => drop(last.remove(bytes)),
            op => {
                // A row that is new keeps nothing: what it does not tell is not known, and the row will soon be gone.
                if op != Some(Op::Update) {
                    unchanged[row].clear();
                }
                if let Some(before) = last.insert(bytes, row) {
                    let told: Vec<_> =
                        unchanged[row].iter().copied().filter(|c| !unchanged[before].contains(c)).collect();
                    for column in &told {
                        let places = moved.entry(column + RESERVED_COLUMNS).or_default();
                        let place = places.get(&before).copied();
                        places.insert(row, place.unwrap_or(u32::try_from(before).unwrap_or_default()));
                    }
                    unchanged[row].retain(|column| !told.contains(column));
                }
            }
        }
    }
    let columns = batch.columns().iter().enumerate().map(|(column, array)| match moved.get(&column) {
        None => Ok(array.clone()),
        Some(places) => {
            let place =
                |row: usize| places.get(&row).copied().unwrap_or(u32::try_from(row).unwrap_or_default());
            take(&**array, &(0..array.len()).map(place).collect::<UInt32Array>(), None)
        }
    });
    RecordBatch::try_new(batch.schema(), columns.collect::<Result<_, _>>()?)
}

/// Rows by the columns that they leave as they are, in the order of their first rows.
pub(crate) fn grouped<'u>(rows: &[usize], unchanged: &'u [Vec<usize>]) -> BTreeMap<&'u [usize], Vec<usize>> {
    let mut groups = BTreeMap::<&[usize], Vec<usize>>::new();
    for row in rows {
        groups.entry(unchanged.get(*row).map_or(&[], Vec::as_slice)).or_default().push(*row);
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, UInt8Array};
    use towpath_record::{Column, ColumnType, StreamSchema};

    use super::*;

    #[test]
    fn a_row_takes_what_it_does_not_tell_from_the_row_before_it() {
        let columns =
            vec![Column::nullable("id", ColumnType::Int64), Column::nullable("note", ColumnType::String)];
        let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
        let ops = [Op::Update, Op::Update, Op::Update, Op::Update, Op::Delete, Op::Update];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(ops.iter().map(|op| op.code()).collect::<UInt8Array>()),
            Arc::new(TimestampMicrosecondArray::from_value(0, 6).with_timezone("UTC")),
            Arc::new(StringArray::new_null(6)),
            Arc::new(Int64Array::from(vec![1, 1, 1, 2, 1, 1])),
            Arc::new(StringArray::from(vec![Some("x"), None, None, None, None, None])),
        ];
        let batch = RecordBatch::try_new(schema.arrow().clone(), columns).unwrap();
        let mut unchanged = vec![vec![], vec![1], vec![1], vec![1], vec![], vec![1]];
        let resolved = resolve(&batch, &[0], &mut unchanged).unwrap();
        let notes: Vec<_> = resolved.column(4).as_string::<i32>().iter().collect();
        assert_eq!(notes, [Some("x"), Some("x"), Some("x"), None, None, None]);
        let empty: Vec<usize> = Vec::new();
        assert_eq!(unchanged, [empty.clone(), empty.clone(), empty.clone(), vec![1], empty, vec![1]]);
        assert_eq!(grouped(&[0, 3, 5], &unchanged).into_values().collect::<Vec<_>>(), [vec![0], vec![3, 5]]);
    }
}
