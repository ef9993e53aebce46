//! Rows as text.

mod value;
mod json_lines;
mod csv;

use std::io;

use arrow_array::RecordBatch;

use super::config::{CsvStyle, Format};
use super::part::PartError;

pub(crate) use value::{iso_duration, push_date};

/// A text format, as a file sink was told to write it.
#[derive(Clone, Debug)]
pub(crate) enum TextFormat {
    JsonLines,
    Csv(CsvStyle),
}

/// Appends the text of a row.
type RowWriter<'a> = Box<dyn FnMut(usize, &mut Vec<u8>) + 'a>;

/// Text is handed on in pieces of about this many bytes, so that a batch is never there twice.
const PIECE_BYTES: usize = 256 << 10;

impl TextFormat {
    /// The text format of a sink, unless it writes Parquet.
    pub(crate) fn of(format: Format, csv: Option<&CsvStyle>) -> Option<Self> {
        match format {
            Format::JsonLines => Some(Self::JsonLines),
            Format::Csv => Some(Self::Csv(csv.cloned().unwrap_or_default())),
            Format::Parquet => None,
        }
    }

    /// What stands before the first row of a file.
    pub(crate) fn head(&self, rows: &RecordBatch) -> Vec<u8> {
        match self {
            Self::JsonLines => Vec::new(),
            Self::Csv(style) => csv::head(style, rows),
        }
    }

    /// Writes rows and hands them on piece by piece.
    ///
    /// # Errors
    /// Arrow does not know a type, or `emit` fails.
    pub(crate) fn write(
        &self,
        rows: &RecordBatch,
        mut emit: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), PartError> {
        let mut write_row: RowWriter<'_> = match self {
            Self::JsonLines => Box::new(json_lines::writer(rows)?),
            Self::Csv(style) => Box::new(csv::writer(style, rows)?),
        };
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        for row in 0..rows.num_rows() {
            write_row(row, &mut piece);
            if piece.len() >= PIECE_BYTES {
                emit(&piece)?;
                piece.clear();
            }
        }
        Ok(emit(&piece)?)
    }
}
