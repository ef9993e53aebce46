//! The formats: each splits text into records and fields.

mod csv;
mod json_lines;
mod lines;
mod open;

use crate::table::Table;

pub(crate) use open::{Opened, Opening, fits_position, grow, open};

/// Splits text into records and fields.
pub(crate) trait Splitter: Send {
    /// How many fields a record has; 0 while that is not known.
    fn width(&self) -> usize;

    /// Splits the complete records at the beginning of `text`, at most `most` of them, into `table`. Where `ended`,
    /// nothing follows `text`, and its last record is complete without a line end.
    fn split(&mut self, text: &str, ended: bool, most: usize, table: &mut Table) -> Split;

    /// Passes over a record that is too long to be kept, of which `window` is the beginning (`first`) or the next
    /// part.
    fn skip(&mut self, window: &[u8], first: bool) -> Skip;

    /// The number of the line at which the next record begins, from 1.
    fn line(&self) -> u64;

    /// Goes on at the beginning of a record in this line.
    fn set_line(&mut self, line: u64);

    /// Takes more fields than were known, for formats that name fields in each record.
    fn learn(&mut self, _names: Vec<String>) {}

    /// Refuses records with fields that are not known from now on.
    fn stop_learning(&mut self) {}

    /// The fields at the beginning of `text` that are not known, in the order in which they appear within the
    /// first `most` records, for formats that name fields in each record.
    fn unknown_fields(&self, _text: &str, _most: usize) -> Vec<String> {
        Vec::new()
    }
}

/// How far text was split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Split {
    /// Bytes of the records that were split, a record boundary.
    pub(crate) consumed: usize,
    /// Whether it ended before a record with a field that is not known and shall become a column.
    pub(crate) meets_new_field: bool,
}

/// How far a record was passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Skip {
    /// Bytes that belong to it.
    pub(crate) consumed: usize,
    /// Whether its end was reached.
    pub(crate) done: bool,
}

/// What a record longer than the limit is told.
pub(crate) fn too_long(limit: usize) -> String {
    format!("the record is longer than max_record_bytes ({limit} bytes)")
}

/// Passes over the rest of a line.
fn skip_line(window: &[u8]) -> Skip {
    match memchr::memchr(b'\n', window) {
        Some(end) => Skip { consumed: end + 1, done: true },
        None => Skip { consumed: window.len(), done: false },
    }
}
