//! Plain text: each line is a record.

use super::{Skip, Split, Splitter, skip_line, too_long};
use crate::table::{Cell, Row, Table};

pub(super) struct LineSplitter {
    line: u64,
    longest: usize,
}

impl LineSplitter {
    pub(super) fn new(longest: usize) -> Self {
        Self { line: 1, longest }
    }
}

impl Splitter for LineSplitter {
    fn width(&self) -> usize {
        1
    }

    fn split(&mut self, text: &str, ended: bool, most: usize, table: &mut Table) -> Split {
        let mut consumed = 0;
        while table.len() < most && consumed < text.len() {
            let rest = &text.as_bytes()[consumed..];
            let (content, next) = match memchr::memchr(b'\n', rest) {
                Some(length) => (consumed + length, consumed + length + 1),
                None if ended => (text.len(), text.len()),
                None => break,
            };
            let row = Row::new(consumed..next, self.line);
            let content = content - usize::from(text[consumed..content].ends_with('\r'));
            if next - consumed > self.longest {
                table.refuse_row(row, None, too_long(self.longest));
            } else {
                table.push(Cell::quoted(consumed..content));
                table.finish_row(row);
            }
            self.line += 1;
            consumed = next;
        }
        Split { consumed, meets_new_field: false }
    }

    fn skip(&mut self, window: &[u8], _first: bool) -> Skip {
        let skip = skip_line(window);
        self.line += u64::from(skip.done);
        skip
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn set_line(&mut self, line: u64) {
        self.line = line;
    }
}
