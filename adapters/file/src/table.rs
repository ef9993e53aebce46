//! A run of records, split into fields and not yet typed.
//!
//! A field is a place in the text that was split, so splitting copies nothing; only a field whose quoting or
//! escaping had to be undone lies in the table's own scratch text. The table is used again for the next run.

use std::ops::Range;

/// The records found in one piece of text.
#[derive(Default)]
pub(crate) struct Table {
    width: usize,
    cells: Vec<Cell>,
    rows: Vec<Row>,
    refused: Vec<Refused>,
    scratch: String,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    start: u32,
    end: u32,
    /// The number of its first line in the file, from 1.
    pub(crate) line: u64,
}

/// A record that could not be split into fields.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) row: Row,
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
}

/// Where a field stands.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    start: u32,
    length_and_flags: u32,
}

/// The text of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) text: &'a str,
    /// Whether it was written as text, in quotes.
    pub(crate) quoted: bool,
}

const QUOTED: u32 = 1 << 31;
const IN_SCRATCH: u32 = 1 << 30;
const ABSENT: u32 = 1 << 29;
const LENGTH: u32 = ABSENT - 1;

impl Row {
    pub(crate) fn new(range: Range<usize>, line: u64) -> Self {
        Self { start: offset(range.start), end: offset(range.end), line }
    }

    /// The place of its text, line end included.
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Cell {
    /// A value that is not there.
    pub(crate) const ABSENT: Self = Self { start: 0, length_and_flags: ABSENT };

    pub(crate) fn plain(range: Range<usize>) -> Self {
        Self { start: offset(range.start), length_and_flags: offset(range.len()) }
    }

    pub(crate) fn quoted(range: Range<usize>) -> Self {
        Self { start: offset(range.start), length_and_flags: offset(range.len()) | QUOTED }
    }
}

impl Table {
    /// Empties the table for records of `width` fields.
    pub(crate) fn reset(&mut self, width: usize) {
        self.width = width;
        self.cells.clear();
        self.rows.clear();
        self.refused.clear();
        self.scratch.clear();
    }

    /// Says how many fields a record has, once the first one tells.
    pub(crate) fn set_width(&mut self, width: usize) {
        self.width = width;
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The records that could not be split, in the order of the text.
    pub(crate) fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// How many records there are, good and bad.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.refused.len()
    }

    /// How many fields the unfinished record has.
    pub(crate) fn open_cells(&self) -> usize {
        self.cells.len() - self.rows.len() * self.width
    }

    /// The unfinished record's fields.
    pub(crate) fn open(&mut self) -> &mut [Cell] {
        let begin = self.rows.len() * self.width;
        &mut self.cells[begin..]
    }

    pub(crate) fn push(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// Keeps text that does not stand in the file as it is.
    pub(crate) fn keep(&mut self, text: &str) -> Cell {
        let start = self.scratch.len();
        self.scratch.push_str(text);
        Cell { start: offset(start), length_and_flags: offset(text.len()) | QUOTED | IN_SCRATCH }
    }

    /// Ends a record all of whose fields were pushed.
    pub(crate) fn finish_row(&mut self, row: Row) {
        debug_assert_eq!(self.open_cells(), self.width);
        self.rows.push(row);
    }

    /// Ends a record that cannot be split; its fields are dropped.
    pub(crate) fn refuse_row(&mut self, row: Row, column: Option<String>, reason: impl Into<String>) {
        self.drop_open();
        self.refused.push(Refused { row, column, reason: reason.into() });
    }

    /// Drops the fields of the unfinished record.
    pub(crate) fn drop_open(&mut self) {
        self.cells.truncate(self.rows.len() * self.width);
    }

    /// The field in a row and column, `None` where there is no value. `text` is what was split.
    pub(crate) fn field<'a>(&'a self, text: &'a str, row: usize, column: usize) -> Option<Field<'a>> {
        let Cell { start, length_and_flags: flags } = self.cells[row * self.width + column];
        if flags & ABSENT != 0 {
            return None;
        }
        let range = start as usize..start as usize + (flags & LENGTH) as usize;
        let text = if flags & IN_SCRATCH == 0 { &text[range] } else { &self.scratch[range] };
        Some(Field { text, quoted: flags & QUOTED != 0 })
    }

    /// The row that contains the byte at `at`, if it is one that could be split.
    pub(crate) fn row_at(&self, at: usize) -> Option<usize> {
        let row = self.rows.partition_point(|row| row.range().start <= at).checked_sub(1)?;
        self.rows[row].range().contains(&at).then_some(row)
    }
}

/// The window that is split is bounded by the longest record, far below these 29 bits.
fn offset(value: usize) -> u32 {
    debug_assert!(value < LENGTH as usize);
    u32::try_from(value).unwrap_or(LENGTH)
}
