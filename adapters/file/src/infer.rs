//! Guesses the types of columns from the first rows.
//!
//! A column gets the narrowest type that fits every value seen. What a number type would not give back as it was
//! written stays text: leading zeros (`00501` is a postal code), a leading plus, more digits than a double holds.

use std::collections::BTreeSet;

use towpath_record::ColumnType;

use crate::columns::{NullRule, date, float, local_timestamp, timestamp};
use crate::table::{Field, Table};

/// What all values of a column could be, as a set.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Candidates(u8);

impl Candidates {
    const NONE: Self = Self(0);
    const BOOLEAN: Self = Self(1);
    const INT: Self = Self(1 << 1);
    const FLOAT: Self = Self(1 << 2);
    const DATE: Self = Self(1 << 3);
    const LOCAL_TIMESTAMP: Self = Self(1 << 4);
    const TIMESTAMP: Self = Self(1 << 5);
    const ALL: Self = Self(u8::MAX);

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn narrowest(self) -> ColumnType {
        let order = [
            (Self::BOOLEAN, ColumnType::Boolean),
            (Self::INT, ColumnType::Int64),
            (Self::FLOAT, ColumnType::Float64),
            (Self::DATE, ColumnType::Date),
            (Self::LOCAL_TIMESTAMP, ColumnType::LocalTimestamp),
            (Self::TIMESTAMP, ColumnType::Timestamp),
        ];
        let fit = order.into_iter().find(|(candidate, _)| self.and(*candidate) != Self::NONE);
        fit.map_or(ColumnType::String, |(_, column_type)| column_type)
    }
}

/// A column whose name and type were taken from a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InferredColumn {
    /// The name as the file spells it, before it is made fit for a schema.
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
}

/// Digits that a double gives back as they were written.
const EXACT_DIGITS: usize = 15;

/// The type of a column of a table that was split from `text`; `flawed` rows have no say. Where `quotes_mean_text`, a quoted number is text.
pub(crate) fn infer(
    text: &str,
    table: &Table,
    flawed: &BTreeSet<usize>,
    column: usize,
    nulls: &NullRule,
    quotes_mean_text: bool,
) -> ColumnType {
    let rows = (0..table.rows().len()).filter(|row| !flawed.contains(row));
    let fields = rows.filter_map(|row| table.field(text, row, column));
    let values =
        fields.filter(|field| !field.text.is_empty() && !nulls.texts.iter().any(|t| t == field.text));
    let mut candidates = None;
    for field in values {
        let fits = classify(field, quotes_mean_text).and(candidates.unwrap_or(Candidates::ALL));
        if fits == Candidates::NONE {
            return ColumnType::String;
        }
        candidates = Some(fits);
    }
    candidates.map_or(ColumnType::String, Candidates::narrowest)
}

fn classify(field: Field<'_>, quotes_mean_text: bool) -> Candidates {
    let text = field.text;
    let first = text.as_bytes().first().copied().unwrap_or(b' ');
    if first.is_ascii_digit() {
        if date(text, None).is_some() {
            return Candidates::DATE;
        }
        if local_timestamp(text, None).is_some() {
            return Candidates::LOCAL_TIMESTAMP;
        }
        if timestamp(text, None).is_some() {
            return Candidates::TIMESTAMP;
        }
    }
    if field.quoted && quotes_mean_text {
        return Candidates::NONE;
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return Candidates::BOOLEAN;
    }
    if first.is_ascii_digit() || matches!(first, b'-' | b'.') { number(text) } else { Candidates::NONE }
}

fn number(text: &str) -> Candidates {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let zero_leads = unsigned.starts_with('0') && unsigned[1..].starts_with(|c: char| c.is_ascii_digit());
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or(unsigned);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let looks_it = unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if zero_leads || digits == 0 || !looks_it {
        return Candidates::NONE;
    }
    let fits_double = digits <= EXACT_DIGITS;
    if text.parse::<i64>().is_ok() {
        return if fits_double { Candidates::INT.or(Candidates::FLOAT) } else { Candidates::INT };
    }
    if fits_double && float::<f64>(text).is_some() { Candidates::FLOAT } else { Candidates::NONE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Cell, Row};

    fn of(values: &[&str]) -> ColumnType {
        infer_quoted(values, false)
    }

    fn infer_quoted(values: &[&str], quoted: bool) -> ColumnType {
        let mut table = Table::default();
        table.reset(1);
        let mut text = String::new();
        for value in values {
            let range = text.len()..text.len() + value.len();
            text.push_str(value);
            table.push(if quoted { Cell::quoted(range.clone()) } else { Cell::plain(range.clone()) });
            table.finish_row(Row::new(range, 1));
        }
        infer(&text, &table, &BTreeSet::new(), 0, &NullRule::default(), quoted)
    }

    #[test]
    fn the_narrowest_type_that_fits_all_values_is_taken() {
        assert_eq!(of(&["1", "-2", ""]), ColumnType::Int64);
        assert_eq!(of(&["1", "2.5"]), ColumnType::Float64);
        assert_eq!(of(&["true", "FALSE"]), ColumnType::Boolean);
        assert_eq!(of(&["2026-01-31"]), ColumnType::Date);
        assert_eq!(of(&["2026-01-31 10:00:00"]), ColumnType::LocalTimestamp);
        assert_eq!(of(&["2026-01-31T10:00:00Z"]), ColumnType::Timestamp);
        assert_eq!(of(&["1", "2026-01-31"]), ColumnType::String);
        assert_eq!(of(&[]), ColumnType::String);
        assert_eq!(of(&["", ""]), ColumnType::String);
    }

    #[test]
    fn what_a_number_would_not_give_back_stays_text() {
        for text in
            ["00501", "-007", "+49301234", "123456789.123456789", "9223372036854775808", "1-2", "-", "0x1f"]
        {
            assert_eq!(of(&[text]), ColumnType::String, "{text}");
        }
        assert_eq!(of(&["9223372036854775807"]), ColumnType::Int64);
        assert_eq!(of(&["9223372036854775807", "0.5"]), ColumnType::String);
        assert_eq!(of(&["0", "0.5"]), ColumnType::Float64);
    }

    #[test]
    fn a_quoted_number_is_text_where_quotes_mean_text() {
        assert_eq!(infer_quoted(&["12"], true), ColumnType::String);
        assert_eq!(infer_quoted(&["2026-01-31"], true), ColumnType::Date);
    }
}
