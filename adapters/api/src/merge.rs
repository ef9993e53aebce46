//! What a batch of changes comes to in a table with a key.
//!
//! Of a key only the last row counts, and before it a delete. A key that was deleted on the way is deleted even if
//! it is written again, so that columns which the stream does not know take their defaults as they would have row
//! by row.
//!
//! A row may leave some values as they are. As only the last row of a key is written, it first takes what it
//! does not tell from the rows before it. What none of them told is left alone in the table.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take;
use towpath_record::Op;
use towpath_record::schema::RESERVED_COLUMNS;

use crate::mode::Mode;

/// Rows by what is done with them, in the order of the fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One row for each key that is deleted and comes again.
    pub deletes: Vec<usize>,
    /// The last row of each key that is written, in order.
    pub writes: Vec<usize>,
    /// One row for each key that stays deleted: the first delete after its last write.
    pub ends: Vec<usize>,
}

impl Plan {
    /// The plan for rows given with their operation and the bytes of their key. A mode that keeps deleted rows
    /// writes a row even if it is deleted afterwards. There is no truncate among the rows; see
    /// [`between_truncates`].
    pub fn of<'k>(mode: Mode, rows: impl Iterator<Item = (usize, Op, &'k [u8])>) -> Self {
        let mut last = HashMap::<&[u8], Fate>::new();
        for (row, op, key) in rows {
            let fate = last.entry(key).or_default();
            match op {
                Op::Delete => drop(fate.end.get_or_insert(row)),
                Op::Create | Op::Update | Op::Read => {
                    fate.delete = fate.end.take().or(fate.delete);
                    fate.write = Some(row);
                }
                Op::Truncate => {}
            }
        }
        let mut plan = Self::default();
        for Fate { delete, write, end } in last.into_values() {
            plan.ends.extend(end);
            if end.is_none() || mode == Mode::SoftDelete {
                plan.deletes.extend(delete);
                plan.writes.extend(write);
            }
        }
        plan.deletes.sort_unstable();
        plan.writes.sort_unstable();
        plan.ends.sort_unstable();
        plan
    }
}

/// Cuts rows at their truncates: pieces of rows, each with the truncate that comes before it.
pub fn between_truncates(
    rows: &[usize],
    is_truncate: impl Fn(usize) -> bool + Copy,
) -> impl Iterator<Item = (Option<usize>, &[usize])> {
    rows.chunk_by(move |_, next| !is_truncate(*next)).map(move |piece| match piece {
        [first, rest @ ..] if is_truncate(*first) => (Some(*first), rest),
        rows => (None, rows),
    })
}

/// What becomes of a key.
#[derive(Default)]
struct Fate {
    /// A delete before the last write.
    delete: Option<usize>,
    write: Option<usize>,
    /// The first delete after it.
    end: Option<usize>,
}

/// Fills in what rows before tell. `unchanged` keeps the columns that no row of the batch tells. `key` gives the
/// bytes by which a row's key is told from others, or nothing for a row that will be refused.
///
/// # Errors
/// The batch is not one of a stream.
pub fn resolve<'k>(
    batch: &RecordBatch,
    key: impl Fn(usize) -> Option<&'k [u8]>,
    unchanged: &mut [Vec<usize>],
) -> Result<RecordBatch, ArrowError> {
    if unchanged.iter().all(Vec::is_empty) {
        return Ok(batch.clone());
    }
    let ops = batch.column(0).as_primitive::<UInt8Type>().values();
    // The last row of each key, and per column the rows whose values stand elsewhere.
    let mut last = HashMap::<&[u8], usize>::new();
    let mut moved = BTreeMap::<usize, BTreeMap<usize, u32>>::new();
    for row in 0..batch.num_rows() {
        let Some(bytes) = key(row) else { continue };
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
pub fn grouped<'u>(rows: &[usize], unchanged: &'u [Vec<usize>]) -> BTreeMap<&'u [usize], Vec<usize>> {
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

    fn plan(mode: Mode, rows: &[(Op, &str)]) -> Plan {
        Plan::of(mode, rows.iter().enumerate().map(|(row, (op, key))| (row, *op, key.as_bytes())))
    }

    #[test]
    fn the_last_row_of_a_key_is_the_one_that_is_written() {
        let plan = plan(Mode::Upsert, &[(Op::Create, "a"), (Op::Create, "b"), (Op::Update, "a")]);
        assert_eq!(plan, Plan { deletes: vec![], writes: vec![1, 2], ends: vec![] });
    }

    #[test]
    fn a_key_that_was_deleted_on_the_way_is_deleted_and_written() {
        let rows = [(Op::Update, "a"), (Op::Delete, "a"), (Op::Create, "a"), (Op::Delete, "b")];
        let expected = Plan { deletes: vec![1], writes: vec![2], ends: vec![3] };
        assert_eq!(plan(Mode::Upsert, &rows), expected);
        assert_eq!(plan(Mode::SoftDelete, &rows), expected);
    }

    #[test]
    fn of_several_deletes_the_first_counts_that_had_something_to_delete() {
        let rows = [(Op::Delete, "a"), (Op::Create, "a"), (Op::Delete, "a"), (Op::Delete, "a")];
        assert_eq!(plan(Mode::Upsert, &rows), Plan { deletes: vec![], writes: vec![], ends: vec![2] });
    }

    #[test]
    fn a_row_that_is_kept_when_deleted_has_the_values_it_had_last() {
        let rows = [(Op::Create, "a"), (Op::Delete, "a"), (Op::Delete, "a")];
        assert_eq!(plan(Mode::SoftDelete, &rows), Plan { deletes: vec![], writes: vec![0], ends: vec![1] });
    }

    #[test]
    fn a_truncate_stands_before_the_rows_that_follow_it() {
        let pieces = |rows: &[usize]| {
            let pieces = between_truncates(rows, |row| row >= 90);
            pieces.map(|(truncate, rows)| (truncate, rows.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(pieces(&[1, 2]), [(None, vec![1, 2])]);
        assert_eq!(pieces(&[1, 90, 2, 3]), [(None, vec![1]), (Some(90), vec![2, 3])]);
        assert_eq!(pieces(&[90, 91]), [(Some(90), vec![]), (Some(91), vec![])]);
        assert_eq!(pieces(&[]), []);
    }

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
        let resolved =
            resolve(&batch, |row| Some([&b"1"[..], b"1", b"1", b"2", b"1", b"1"][row]), &mut unchanged)
                .unwrap();
        let notes: Vec<_> = resolved.column(4).as_string::<i32>().iter().collect();
        assert_eq!(notes, [Some("x"), Some("x"), Some("x"), None, None, None]);
        let empty: Vec<usize> = Vec::new();
        assert_eq!(unchanged, [empty.clone(), empty.clone(), empty.clone(), vec![1], empty, vec![1]]);
        assert_eq!(grouped(&[0, 3, 5], &unchanged).into_values().collect::<Vec<_>>(), [vec![0], vec![3, 5]]);
    }
}
