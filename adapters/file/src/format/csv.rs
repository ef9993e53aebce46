//! Fields between delimiters, RFC 4180 and its dialects.
//!
//! Only the bytes that mean something (delimiter, quote, escape, line feed) are looked at; vector instructions find
//! them. A record ends at a line feed outside quotes; a carriage return before it belongs to the line end. A quote
//! opens a quoted field only at the field's beginning; inside one, two quotes stand for one, and text after the
//! closing quote is taken as it stands. Empty lines are no records.

use std::ops::Range;

use super::{Skip, Split, Splitter, too_long};
use crate::config::CsvFormat;
use crate::table::{Cell, Row, Table};

/// The bytes that mean something.
#[derive(Clone, Copy, Debug)]
struct Dialect {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    comment: Option<u8>,
    trim: bool,
}

pub(super) struct CsvSplitter {
    dialect: Dialect,
    /// Fields of each record; 0 until the first record says it.
    width: usize,
    line: u64,
    longest: usize,
    skipping: SkipState,
}

/// The record and field that a scan is in.
struct Scan {
    record: usize,
    field: usize,
    /// Line feeds inside the record.
    lines: u64,
    in_quotes: bool,
    /// The field began with a quote.
    quoted: bool,
    /// Quotes or escapes inside the field must be undone.
    tangled: bool,
    /// The place after the quote that closed the field.
    closed: usize,
}

/// What the next byte of a record that is passed over stands after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SkipState {
    FieldBegin,
    Unquoted,
    Quoted,
    Escape,
    ClosingQuote,
}

impl CsvSplitter {
    pub(super) fn new(format: &CsvFormat, width: usize, longest: usize) -> Self {
        let byte = |c: char| u8::try_from(c).unwrap_or(0);
        let dialect = Dialect {
            delimiter: byte(format.delimiter),
            quote: format.quote.map(byte),
            escape: format.escape.map(byte),
            comment: format.comment.map(byte),
            trim: format.trim,
        };
        Self { dialect, width, line: 1, longest, skipping: SkipState::FieldBegin }
    }

    /// Splits the records of `text`, whose meaningful bytes are at `marks`. Returns where the first record begins
    /// that was not split.
    fn scan(
        &mut self,
        text: &str,
        marks: impl Iterator<Item = usize>,
        ended: bool,
        most: usize,
        table: &mut Table,
    ) -> usize {
        let Dialect { delimiter, quote, .. } = self.dialect;
        let bytes = text.as_bytes();
        let mut scan = Scan::at(0);
        let mut next = self.pass_comments(bytes, ended, &mut scan);
        for at in marks {
            if at < next {
                continue;
            }
            let byte = bytes[at];
            if scan.in_quotes {
                next = self.dialect.step_in_quotes(bytes, at, &mut scan);
            } else if byte == delimiter {
                self.dialect.push_field(text, scan.field..at, &scan, table);
                scan.begin_field(at + 1);
            } else if byte == b'\n' {
                self.end_record(text, at, at + 1, &scan, table);
                scan = Scan::at(at + 1);
                if table.len() >= most {
                    return scan.record;
                }
                next = self.pass_comments(bytes, ended, &mut scan);
            } else if Some(byte) == quote && self.dialect.begins_field(&bytes[scan.field..at]) {
                scan.field = at;
                scan.in_quotes = true;
                scan.quoted = true;
            }
        }
        if !ended {
            table.drop_open();
            return scan.record;
        }
        if scan.in_quotes {
            self.refuse_unclosed(bytes.len(), &scan, table);
        } else if scan.record < bytes.len() {
            self.end_record(text, bytes.len(), bytes.len(), &scan, table);
        }
        bytes.len()
    }

    /// Ends the record whose content ends at `end` and whose line ends at `next`.
    fn end_record(&mut self, text: &str, end: usize, next: usize, scan: &Scan, table: &mut Table) {
        let end = end - usize::from(text.as_bytes()[scan.field..end].ends_with(b"\r"));
        let row = Row::new(scan.record..next, self.line);
        self.line += scan.lines + 1;
        if end == scan.record {
            return;
        }
        self.dialect.push_field(text, scan.field..end, scan, table);
        if next - scan.record > self.longest {
            return table.refuse_row(row, None, too_long(self.longest));
        }
        let fields = table.open_cells();
        if self.width == 0 {
            self.width = fields;
            table.set_width(fields);
        }
        if fields == self.width {
            table.finish_row(row);
        } else {
            table.refuse_row(row, None, format!("it has {fields} fields where {} are expected", self.width));
        }
    }

    fn refuse_unclosed(&mut self, end: usize, scan: &Scan, table: &mut Table) {
        let row = Row::new(scan.record..end, self.line);
        let last = self.line + scan.lines;
        let reason = format!(
            "a quote in the record that begins in line {} is never closed, so lines {} to {last} are one record",
            self.line, self.line
        );
        self.line = last + 1;
        table.refuse_row(row, None, reason);
    }

    /// Moves the scan past comment lines. Returns the place before which nothing is looked at.
    fn pass_comments(&mut self, bytes: &[u8], ended: bool, scan: &mut Scan) -> usize {
        while self.dialect.comment.is_some() && bytes.get(scan.record).copied() == self.dialect.comment {
            match memchr::memchr(b'\n', &bytes[scan.record..]) {
                Some(length) => *scan = Scan::at(scan.record + length + 1),
                None if ended => *scan = Scan::at(bytes.len()),
                None => return bytes.len(),
            }
            self.line += 1;
        }
        scan.record
    }
}

impl Scan {
    fn at(record: usize) -> Self {
        Self { record, field: record, lines: 0, in_quotes: false, quoted: false, tangled: false, closed: 0 }
    }

    fn begin_field(&mut self, at: usize) {
        self.field = at;
        self.quoted = false;
        self.tangled = false;
    }
}

impl Dialect {
    /// Whether a quote after this part of a field still opens it.
    fn begins_field(self, before: &[u8]) -> bool {
        before.is_empty() || self.trim && before.iter().all(|b| matches!(b, b' ' | b'\t'))
    }

    /// Takes a meaningful byte inside quotes. Returns the place before which nothing more is looked at.
    fn step_in_quotes(self, bytes: &[u8], at: usize, scan: &mut Scan) -> usize {
        let byte = Some(bytes[at]);
        let following = bytes.get(at + 1).copied();
        if byte == self.escape || byte == self.quote && following == self.quote {
            scan.tangled = true;
            scan.lines += u64::from(following == Some(b'\n'));
            return at + 2;
        }
        if byte == self.quote {
            scan.in_quotes = false;
            scan.closed = at + 1;
        } else if byte == Some(b'\n') {
            scan.lines += 1;
        }
        at + 1
    }

    fn push_field(self, text: &str, range: Range<usize>, scan: &Scan, table: &mut Table) {
        let range = if self.trim { trimmed(text, range) } else { range };
        if !scan.quoted {
            table.push(Cell::plain(range));
        } else if !scan.tangled && scan.closed == range.end {
            table.push(Cell::quoted(range.start + 1..range.end - 1));
        } else {
            let cell = table.keep(&self.untangled(&text[range]));
            table.push(cell);
        }
    }

    /// The content of a quoted field that contains quotes or escapes, or goes on after its closing quote.
    fn untangled(self, field: &str) -> String {
        let (quote, escape) = (self.quote.map(char::from), self.escape.map(char::from));
        let mut content = String::with_capacity(field.len());
        let mut inside = true;
        let mut rest = field.chars().skip(1).peekable();
        while let Some(c) = rest.next() {
            if inside && Some(c) == escape {
                content.extend(rest.next());
            } else if inside && Some(c) == quote {
                match rest.next_if(|next| Some(*next) == quote) {
                    Some(doubled) => content.push(doubled),
                    None => inside = false,
                }
            } else {
                content.push(c);
            }
        }
        content
    }
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let field = &text[range.clone()];
    let kept = field.trim_start_matches([' ', '\t']);
    let start = range.end - kept.len();
    start..start + kept.trim_end_matches([' ', '\t']).len()
}

impl Splitter for CsvSplitter {
    fn width(&self) -> usize {
        self.width
    }

    fn split(&mut self, text: &str, ended: bool, most: usize, table: &mut Table) -> Split {
        let bytes = text.as_bytes();
        let Dialect { delimiter, quote, escape, .. } = self.dialect;
        let consumed = match (quote, escape) {
            (Some(quote), None) => {
                self.scan(text, memchr::memchr3_iter(delimiter, b'\n', quote, bytes), ended, most, table)
            }
            (None, _) => self.scan(text, memchr::memchr2_iter(delimiter, b'\n', bytes), ended, most, table),
            (Some(quote), Some(escape)) => {
                let meaningful = [delimiter, b'\n', quote, escape];
                let marks =
                    bytes.iter().enumerate().filter(|(_, b)| meaningful.contains(b)).map(|(at, _)| at);
                self.scan(text, marks, ended, most, table)
            }
        };
        Split { consumed, meets_new_field: false }
    }

    fn skip(&mut self, window: &[u8], first: bool) -> Skip {
        let Dialect { delimiter, quote, escape, .. } = self.dialect;
        let mut state = if first { SkipState::FieldBegin } else { self.skipping };
        for (at, byte) in window.iter().copied().enumerate() {
            self.line += u64::from(byte == b'\n');
            state = match state {
                SkipState::Escape => SkipState::Quoted,
                SkipState::Quoted if Some(byte) == quote => SkipState::ClosingQuote,
                SkipState::Quoted if Some(byte) == escape => SkipState::Escape,
                SkipState::Quoted => SkipState::Quoted,
                SkipState::ClosingQuote | SkipState::FieldBegin if Some(byte) == quote => SkipState::Quoted,
                _ if byte == b'\n' => return Skip { consumed: at + 1, done: true },
                _ if byte == delimiter => SkipState::FieldBegin,
                _ => SkipState::Unquoted,
            };
        }
        self.skipping = state;
        Skip { consumed: window.len(), done: false }
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn set_line(&mut self, line: u64) {
        self.line = line;
    }
}

#[cfg(test)]
mod tests;
