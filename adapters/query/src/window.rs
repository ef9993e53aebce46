//! The rows of the overlap, remembered by a hash of their values, so that what has not changed is not read twice.
//!
//! Each run begins a little before the highest mark of the run before, and passes over the rows that are remembered.
//! What it sees within the overlap of its own end is what the next run remembers. Equal rows count as often as they
//! are there. The position keeps the newest of them; after a restart the others may be read once more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::mark::{Overlap, is_before};
use crate::records::ROW_BITS;
use crate::value::Value;

/// Bytes of the hash of a row.
const HASH_BYTES: usize = 8;
/// Most rows that are remembered in memory: about 16 MiB with all that belongs to them.
const MOST_ROWS: usize = 1 << 18;

/// The rows that a run need not read again, and those that it has seen.
#[derive(Debug, Default)]
pub(crate) struct Window {
    overlap: Option<Overlap>,
    /// What the run before had seen and this one has not yet.
    before: BTreeMap<u64, u32>,
    /// What this run has seen, in the order of marks.
    seen: VecDeque<u64>,
    /// How many rows of `seen` have which mark, in order; the first ones may be of an earlier process, which is `None`.
    marks: VecDeque<(Option<Value>, usize)>,
    /// Where the overlap begins that ends with the newest mark.
    begin: Option<Value>,
    /// Whether this run has begun in this process.
    is_whole: bool,
    forgets: bool,
}

impl Window {
    /// What a position remembers of a run that is over or, with `under_way`, of one that is not.
    pub(crate) fn load(overlap: Option<Overlap>, hashes: &[u8], under_way: bool) -> Self {
        let mut window = Self { overlap, ..Self::default() };
        let hashes = hashes.as_chunks::<HASH_BYTES>().0.iter().map(|hash| u64::from_le_bytes(*hash));
        for hash in hashes {
            if under_way {
                *window.before.entry(hash).or_default() += 1;
            } else {
                window.keep(None, hash);
            }
        }
        window
    }

    /// A run begins with the first row of the overlap.
    pub(crate) fn begin_run(&mut self) {
        self.before.clear();
        for hash in self.seen.drain(..) {
            *self.before.entry(hash).or_default() += 1;
        }
        self.marks.clear();
        self.begin = None;
        self.is_whole = true;
    }

    /// Whether a row was not read before.
    pub(crate) fn is_new(&self, hash: u64) -> bool {
        !self.before.contains_key(&hash)
    }

    /// Notes a row that this run has passed. One whose mark is none stays as long as the newest one.
    pub(crate) fn pass(&mut self, mark: Option<&Value>, hash: u64) {
        if let Some(count) = self.before.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.before.remove(&hash);
            }
        }
        let newest = self.marks.back().and_then(|(mark, _)| mark.as_ref());
        match mark.filter(|mark| Some(*mark) != newest) {
            Some(mark) => {
                self.keep(Some(mark.clone()), hash);
                let begin = self.overlap.map_or(Ok(mark.clone()), |overlap| overlap.before(mark));
                self.begin = begin.ok();
                self.leave_behind();
            }
            None => {
                let newest = newest.cloned();
                self.keep(newest, hash);
            }
        }
        while self.seen.len() > MOST_ROWS {
            self.forget_oldest();
            if !self.forgets {
                self.forgets = true;
                tracing::warn!(
                    rows = MOST_ROWS,
                    "more rows than can be remembered lie in the overlap; shorten it"
                );
            }
        }
    }

    /// The rows with the newest mark are about to come again in the same run.
    pub(crate) fn expect_newest_again(&mut self) {
        let Some((_, count)) = self.marks.pop_back() else { return };
        for hash in self.seen.split_off(self.seen.len() - count) {
            *self.before.entry(hash).or_default() += 1;
        }
    }

    /// The run has read all rows.
    pub(crate) fn complete_run(&mut self) {
        // A run that was resumed has not seen the rows before the place where it was.
        if !self.is_whole {
            for (hash, count) in std::mem::take(&mut self.before) {
                for _ in 0..count {
                    self.seen.push_front(hash);
                }
                self.marks.push_front((None, count as usize));
            }
        }
        self.before.clear();
        self.is_whole = false;
    }

    /// Rows whose hashes begin with these bits are gone; if they come back as they were, they are new.
    pub(crate) fn forget(&mut self, key_bits: &BTreeSet<u64>) {
        let mut hashes = std::mem::take(&mut self.seen).into_iter();
        for (mark, count) in std::mem::take(&mut self.marks) {
            for hash in hashes.by_ref().take(count) {
                if !key_bits.contains(&(hash >> ROW_BITS)) {
                    self.keep(mark.clone(), hash);
                }
            }
        }
    }

    /// How many rows are remembered.
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    /// The newest of what must be remembered, in at most so many bytes.
    pub(crate) fn save(&self, most_bytes: usize) -> Vec<u8> {
        let earlier = self.before.iter().flat_map(|(hash, count)| std::iter::repeat_n(hash, *count as usize));
        let newest_first = self.seen.iter().rev().chain(earlier).take(most_bytes / HASH_BYTES);
        newest_first.flat_map(|hash| hash.to_le_bytes()).collect()
    }

    fn keep(&mut self, mark: Option<Value>, hash: u64) {
        self.seen.push_back(hash);
        match self.marks.back_mut() {
            Some((last, count)) if *last == mark => *count += 1,
            _ => self.marks.push_back((mark, 1)),
        }
    }

    fn leave_behind(&mut self) {
        while let (Some((Some(oldest), _)), Some(begin)) = (self.marks.front(), &self.begin) {
            if !is_before(oldest, begin) {
                break;
            }
            let (_, count) = self.marks.pop_front().expect("it was just looked at");
            self.seen.drain(..count);
        }
    }

    fn forget_oldest(&mut self) {
        self.seen.pop_front();
        if let Some((_, count)) = self.marks.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.marks.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(window: &mut Window, rows: &[(i64, u64)]) -> Vec<u64> {
        window.begin_run();
        let new = pass(window, rows);
        window.complete_run();
        new
    }

    fn pass(window: &mut Window, rows: &[(i64, u64)]) -> Vec<u64> {
        let mut new = Vec::new();
        for (mark, hash) in rows {
            if window.is_new(*hash) {
                new.push(*hash);
            }
            window.pass(Some(&Value::Int(*mark)), *hash);
        }
        new
    }

    #[test]
    fn rows_of_the_overlap_that_have_not_changed_are_known() {
        let mut window = Window::load(Some(Overlap::Number(2)), &[], false);
        assert_eq!(run(&mut window, &[(1, 11), (5, 15), (6, 16), (7, 17)]), [11, 15, 16, 17]);
        assert_eq!(window.len(), 3, "what lies before the overlap is forgotten");
        assert_eq!(run(&mut window, &[(5, 15), (5, 99), (6, 66), (7, 17)]), [99, 66]);
        assert_eq!(run(&mut window, &[(5, 15), (5, 99), (6, 66), (7, 17), (8, 18)]), [18]);
    }

    #[test]
    fn without_an_overlap_the_rows_of_the_highest_mark_are_remembered() {
        let mut window = Window::load(None, &[], false);
        assert_eq!(run(&mut window, &[(1, 11), (2, 12), (2, 13)]), [11, 12, 13]);
        assert_eq!(run(&mut window, &[(2, 12), (2, 13), (2, 14)]), [14]);
        assert_eq!(window.len(), 3);
    }

    #[test]
    fn rows_that_come_again_in_the_same_run_are_known() {
        let mut window = Window::load(None, &[], false);
        window.begin_run();
        assert_eq!(pass(&mut window, &[(1, 1), (2, 2), (2, 2)]), [1, 2, 2]);
        window.expect_newest_again();
        assert_eq!(pass(&mut window, &[(2, 2), (2, 2), (2, 2), (2, 5)]), [2, 5]);
        window.complete_run();
        assert_eq!(run(&mut window, &[(2, 2), (2, 2), (2, 2), (2, 5), (3, 6)]), [6]);
    }

    #[test]
    fn equal_rows_count_as_often_as_they_are_there() {
        let mut window = Window::load(None, &[], false);
        assert_eq!(run(&mut window, &[(1, 7), (1, 7)]), [7, 7]);
        assert_eq!(run(&mut window, &[(1, 7), (1, 7), (1, 7)]), [7]);
    }

    #[test]
    fn a_position_remembers_a_run_that_is_over_and_one_that_is_not() {
        let mut window = Window::load(Some(Overlap::Number(9)), &[], false);
        run(&mut window, &[(1, 1), (2, 2), (3, 3)]);
        let mut again = Window::load(Some(Overlap::Number(9)), &window.save(100), false);
        assert_eq!(run(&mut again, &[(1, 1), (2, 22), (3, 3)]), [22]);

        window.begin_run();
        assert_eq!(pass(&mut window, &[(1, 1), (1, 10)]), [10]);
        let mut resumed = Window::load(Some(Overlap::Number(9)), &window.save(100), true);
        assert_eq!(pass(&mut resumed, &[(2, 2), (3, 3), (4, 4)]), [4], "it goes on behind the row 10");
        resumed.complete_run();
        assert_eq!(run(&mut resumed, &[(1, 1), (1, 10), (2, 2), (3, 3), (4, 4)]), [0; 0]);
    }

    #[test]
    fn a_row_that_was_gone_is_new_when_it_comes_back_as_it_was() {
        let hash = |key: u64, row: u64| (key << ROW_BITS) | row;
        let mut window = Window::load(None, &[], false);
        let rows = [(1, hash(1, 5)), (1, hash(2, 5)), (1, hash(1, 6))];
        run(&mut window, &rows);
        window.forget(&BTreeSet::from([1]));
        assert_eq!(window.len(), 1);
        assert_eq!(run(&mut window, &rows), [hash(1, 5), hash(1, 6)]);
    }

    #[test]
    fn a_position_keeps_the_newest_where_not_all_have_room() {
        let mut window = Window::load(Some(Overlap::Number(9)), &[], false);
        run(&mut window, &[(1, 1), (2, 2), (3, 3)]);
        let mut again = Window::load(Some(Overlap::Number(9)), &window.save(2 * HASH_BYTES), false);
        assert_eq!(run(&mut again, &[(1, 1), (2, 2), (3, 3)]), [1]);
    }
}
