//! How many bytes the frames of a lane have, up to any of them, in memory that does not grow with their number.

use std::collections::VecDeque;

/// The live frames of a lane, as a few marks on the running sum of their sizes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// (first index at or behind the mark, sum of sizes before that index)
    marks: VecDeque<(u64, u64)>,
    /// Sum of the sizes of all frames ever noted.
    total: u64,
    /// Sum of the sizes of those that were released.
    released: u64,
    next: u64,
    /// Distance of marks, in bytes of frames.
    spacing: u64,
}

impl Ledger {
    /// A ledger of frames from the one with this index on, exact to `spacing` bytes.
    pub(crate) fn new(next: u64, spacing: u64) -> Self {
        Self { next, spacing, ..Self::default() }
    }

    /// An empty ledger of the same kind.
    pub(crate) fn anew(&self, next: u64) -> Self {
        Self::new(next, self.spacing)
    }

    /// Notes frames up to but without `next`, of this size together.
    pub(crate) fn note(&mut self, next: u64, bytes: u64) {
        let last = self.marks.back().map_or(self.released, |&(_, sum)| sum);
        if self.total - last >= self.spacing {
            self.marks.push_back((self.next, self.total));
        }
        self.total += bytes;
        self.next = next;
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> u64 {
        self.total - self.released
    }

    /// Releases frames before this index: to the byte when it is all of them, else up to the mark before it.
    pub(crate) fn release_before(&mut self, index: u64) -> u64 {
        let mut upto = self.released;
        while self.marks.front().is_some_and(|&(at, _)| at <= index) {
            upto = self.marks.pop_front().map_or(upto, |(_, sum)| sum);
        }
        if index >= self.next {
            upto = self.total;
        }
        let freed = upto - self.released;
        self.released = upto;
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_is_what_was_noted() {
        let mut ledger = Ledger::new(1, 1 << 20);
        for next in 2..=101 {
            ledger.note(next, 300_000);
        }
        let half = ledger.release_before(51);
        assert!(half <= 50 * 300_000, "more was released than trimmed");
        assert!(half >= 50 * 300_000 - 2 * (1 << 20), "the marks are too far apart: {half}");
        assert_eq!(ledger.release_before(51), 0);
        assert_eq!(half + ledger.release_before(101), 100 * 300_000);
        assert_eq!(ledger.held(), 0);
    }
}
