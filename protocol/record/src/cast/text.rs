//! Values as text: how they are written, and what text is one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::{leniently, with_numeric_zone};
use crate::column::ColumnType;

/// Most characters of a value that a reason tells.
const SHOWN_CHARS: usize = 60;
/// Most digits of a second that our types hold.
const MICROSECOND_DIGITS: usize = 6;

/// Writes values as text. Bytes that are no text, and times that no calendar has, are absent in the result.
pub(super) fn write(from: &ColumnType, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if *from == ColumnType::Binary {
        return leniently(values, &DataType::Utf8);
    }
    let (values, format) = (with_numeric_zone(values), FormatOptions::default());
    let formatter = ArrayFormatter::try_new(&values, &format)?;
    let text = |row| values.is_valid(row).then(|| formatter.value(row).try_to_string().ok()).flatten();
    Ok(Arc::new((0..values.len()).map(text).collect::<StringArray>()))
}

/// Reads text as values. What is no such value, or not exactly, is absent in the result.
pub(super) fn read(to: &ColumnType, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = values.as_string::<i32>();
    let exact = |row: usize| texts.is_null(row) || is_exact(to, texts.value(row));
    match to {
        ColumnType::Timestamp => {
            let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("+00:00")));
            let read = leniently(values, &zoned)?;
            let instants = read.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC");
            only_where(&(Arc::new(instants) as ArrayRef), exact)
        }
        _ => only_where(&leniently(values, &to.to_arrow())?, exact),
    }
}

/// Whether nothing of a text that reads as a value would be lost or guessed.
fn is_exact(to: &ColumnType, text: &str) -> bool {
    let fraction = |text: &str| {
        let digits = text.split_once('.').map_or("", |(_, digits)| digits);
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.trim_end_matches('0').len()
    };
    match to {
        ColumnType::Decimal { scale, .. } => {
            !text.contains(['e', 'E']) && fraction(text) <= usize::from(*scale)
        }
        ColumnType::Float32 | ColumnType::Float64 => {
            // A number that is too large reads as infinity, which was not meant.
            let meant = text.to_ascii_lowercase().contains("inf");
            meant || text.parse::<f64>().is_ok_and(|value| !value.is_infinite() && !shrinks(to, value))
        }
        ColumnType::Date => !text.contains(['T', ' ', ':']),
        ColumnType::Time => fraction(text) <= MICROSECOND_DIGITS,
        ColumnType::LocalTimestamp => fraction(text) <= MICROSECOND_DIGITS && !has_zone(text),
        ColumnType::Timestamp => fraction(text) <= MICROSECOND_DIGITS && has_zone(text),
        _ => true,
    }
}

fn shrinks(to: &ColumnType, value: f64) -> bool {
    *to == ColumnType::Float32 && value.abs() > f64::from(f32::MAX)
}

/// Whether a time says where it is meant: `Z`, or hours and minutes behind the time of day.
fn has_zone(text: &str) -> bool {
    let time = text.split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
    time.ends_with(['Z', 'z']) || time.contains(['+', '-'])
}

/// The values of these rows; the others are absent.
pub(super) fn only_where(values: &ArrayRef, keep: impl Fn(usize) -> bool) -> Result<ArrayRef, ArrowError> {
    let gone: BooleanArray = (0..values.len()).map(|row| Some(values.is_valid(row) && !keep(row))).collect();
    if gone.true_count() == 0 { Ok(values.clone()) } else { arrow_select::nullif::nullif(values, &gone) }
}

/// A value as a reason tells it: cut, and without what a terminal would obey.
pub(super) fn shown(from: &ColumnType, values: &ArrayRef, row: usize) -> String {
    let text = write(from, &values.slice(row, 1)).ok();
    let text = text.as_ref().and_then(|text| text.as_string_opt::<i32>()).filter(|text| text.is_valid(0));
    match text {
        Some(text) => {
            let shown: String = text.value(0).chars().take(SHOWN_CHARS).collect();
            let cut = if text.value(0).chars().count() > SHOWN_CHARS { "…" } else { "" };
            format!("`{}{cut}`", shown.escape_debug())
        }
        None => format!("a value of type {from}"),
    }
}
