//! What a range of rows comes to in a table with a key.
//!
//! Within a range only the end counts: nothing before the last truncate, and of a key only its last row. A
//! key that was deleted on the way is deleted even if it is written again, so that columns which the stream
//! does not know take their defaults as they would have row by row.

use std::collections::HashMap;

use towpath_record::Op;

/// Rows by what is done with them, in the order of the fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether all rows are removed first.
    pub(crate) truncate: bool,
    /// One row for each key that is removed.
    pub(crate) deletes: Vec<usize>,
    /// The last row of each key that is written, in order.
    pub(crate) writes: Vec<usize>,
}

impl Plan {
    /// The plan for rows given with their operation and the bytes of their key.
    pub(crate) fn of<'k>(rows: impl Iterator<Item = (usize, Op, &'k [u8])>) -> Self {
        let mut truncate = false;
        let mut last = HashMap::<&[u8], Fate>::new();
        for (row, op, key) in rows {
            match op {
                Op::Truncate => {
                    truncate = true;
                    last.clear();
                }
                Op::Delete => drop(last.insert(key, Fate { delete: Some(row), write: None })),
                Op::Create | Op::Update | Op::Read => last.entry(key).or_default().write = Some(row),
            }
        }
        let mut plan = Self { truncate, ..Self::default() };
        for fate in last.into_values() {
            plan.deletes.extend(fate.delete);
            plan.writes.extend(fate.write);
        }
        plan.deletes.sort_unstable();
        plan.writes.sort_unstable();
        plan
    }
}

#[derive(Default)]
struct Fate {
    delete: Option<usize>,
    write: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &[(Op, &str)]) -> Plan {
        Plan::of(rows.iter().enumerate().map(|(row, (op, key))| (row, *op, key.as_bytes())))
    }

    #[test]
    fn the_last_row_of_a_key_is_the_one_that_is_written() {
        let plan = plan(&[(Op::Create, "a"), (Op::Create, "b"), (Op::Update, "a")]);
        assert_eq!(plan, Plan { truncate: false, deletes: vec![], writes: vec![1, 2] });
    }

    #[test]
    fn a_key_that_was_deleted_on_the_way_is_deleted_and_written() {
        let plan = plan(&[(Op::Update, "a"), (Op::Delete, "a"), (Op::Create, "a"), (Op::Delete, "b")]);
        assert_eq!(plan, Plan { truncate: false, deletes: vec![1, 3], writes: vec![2] });
    }

    #[test]
    fn nothing_before_a_truncate_counts() {
        let plan = plan(&[(Op::Create, "a"), (Op::Delete, "b"), (Op::Truncate, ""), (Op::Create, "c")]);
        assert_eq!(plan, Plan { truncate: true, deletes: vec![], writes: vec![3] });
    }
}
