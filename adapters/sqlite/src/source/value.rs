//! SQLite values as values of a stream's column. A column of SQLite may hold a value of any kind, whatever was
//! declared; one that its type cannot hold exactly does not fit, and is never bent until it does.

use std::borrow::Cow;
use std::fmt::Write;

use rusqlite::types::ValueRef;
use towpath_record::ColumnType;

use crate::source::table::ColumnDef;

/// A value that fits its column.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Cell<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

/// The largest integer below which a double holds every one.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// The value as one of the column.
///
/// # Errors
/// In words, what does not fit.
pub(super) fn cell<'a>(column: &ColumnDef, value: ValueRef<'a>) -> Result<Cell<'a>, String> {
    use ColumnType as T;
    let misfit =
        || Err(format!("{} does not fit a column of type {}", kind(value), name(&column.column_type)));
    Ok(match (&column.column_type, value) {
        (_, ValueRef::Null) => Cell::Null,
        (T::Boolean, ValueRef::Integer(value @ 0..=1)) => Cell::Boolean(value == 1),
        (T::Boolean, ValueRef::Text(text)) if text.eq_ignore_ascii_case(b"true") => Cell::Boolean(true),
        (T::Boolean, ValueRef::Text(text)) if text.eq_ignore_ascii_case(b"false") => Cell::Boolean(false),
        (T::Int64, ValueRef::Integer(value)) => Cell::Integer(value),
        (T::Float64, ValueRef::Real(value)) => Cell::Real(value),
        (T::Float64, ValueRef::Integer(value)) if value.unsigned_abs() <= EXACT_IN_DOUBLE =>
        {
            #[expect(clippy::cast_precision_loss, reason = "a double holds every integer of this size")]
            Cell::Real(value as f64)
        }
        (T::String, ValueRef::Text(text)) => match std::str::from_utf8(text) {
            Ok(text) => Cell::Text(Cow::Borrowed(text)),
            Err(_) => return Err("a text is not UTF-8".to_owned()),
        },
        (T::String, ValueRef::Integer(value)) => Cell::Text(Cow::Owned(value.to_string())),
        (T::String, ValueRef::Real(value)) => Cell::Text(Cow::Owned(format!("{value:?}"))),
        (T::String, ValueRef::Blob(_)) if column.any => Cell::Text(Cow::Owned(literal(value))),
        (T::Binary, ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => Cell::Bytes(bytes),
        _ => return misfit(),
    })
}

fn kind(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a real number",
        ValueRef::Text(_) => "a text",
        ValueRef::Blob(_) => "a blob",
    }
}

fn name(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Boolean => "boolean",
        ColumnType::Int64 => "int64",
        ColumnType::Float64 => "float64",
        ColumnType::Binary => "binary",
        _ => "string",
    }
}

/// The value as SQL would write it. A text that is not UTF-8 is written as its bytes.
pub(super) fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) if value.is_infinite() => {
            format!("{}9e999", if value < 0.0 { "-" } else { "" })
        }
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("'{}'", text.replace('\'', "''")),
            Err(_) => format!("CAST({} AS TEXT)", hexadecimal(bytes)),
        },
        ValueRef::Blob(bytes) => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(column_type: ColumnType) -> ColumnDef {
        ColumnDef { name: "c".to_owned(), column_type, any: false }
    }

    #[test]
    fn what_a_type_holds_exactly_fits_and_nothing_else() {
        let fits = |column_type: &ColumnType, value| cell(&column(column_type.clone()), value).ok();
        let (boolean, int, float) = (ColumnType::Boolean, ColumnType::Int64, ColumnType::Float64);
        assert_eq!(fits(&boolean, ValueRef::Integer(1)), Some(Cell::Boolean(true)));
        assert_eq!(fits(&boolean, ValueRef::Text(b"FALSE")), Some(Cell::Boolean(false)));
        assert_eq!(fits(&boolean, ValueRef::Integer(2)), None);
        assert_eq!(fits(&int, ValueRef::Integer(i64::MIN)), Some(Cell::Integer(i64::MIN)));
        assert_eq!(fits(&int, ValueRef::Real(2.5)), None);
        assert_eq!(fits(&float, ValueRef::Real(f64::INFINITY)), Some(Cell::Real(f64::INFINITY)));
        assert_eq!(fits(&float, ValueRef::Integer(1 << 53)), Some(Cell::Real(9_007_199_254_740_992.0)));
        assert_eq!(fits(&float, ValueRef::Integer((1 << 53) + 1)), None);
        assert_eq!(fits(&float, ValueRef::Text(b"12,5")), None);
        assert_eq!(fits(&ColumnType::Binary, ValueRef::Text(b"\xff")), Some(Cell::Bytes(b"\xff")));
        assert_eq!(fits(&ColumnType::Binary, ValueRef::Integer(1)), None);
        assert_eq!(fits(&int, ValueRef::Null), Some(Cell::Null));
    }

    #[test]
    fn a_column_of_text_takes_numbers_as_their_digits_and_no_blob_unless_told() {
        let mut text = column(ColumnType::String);
        let said = |column: &ColumnDef, value| match cell(column, value) {
            Ok(Cell::Text(text)) => text.into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(said(&text, ValueRef::Integer(-7)), "-7");
        assert_eq!(said(&text, ValueRef::Real(0.1)), "0.1");
        assert_eq!(said(&text, ValueRef::Text("ß".as_bytes())), "ß");
        assert!(said(&text, ValueRef::Text(b"\xff")).contains("not UTF-8"));
        assert!(said(&text, ValueRef::Blob(b"\x01")).contains("a blob does not fit"));
        text.any = true;
        assert_eq!(said(&text, ValueRef::Blob(b"\x01\xff")), "x'01ff'");
    }

    #[test]
    fn a_literal_gives_the_value_back() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        for value in [
            ValueRef::Null,
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(0.1),
            ValueRef::Real(f64::NEG_INFINITY),
            ValueRef::Text(b"it's"),
            ValueRef::Text(b"\xff\xfe"),
            ValueRef::Blob(b"\0\x01"),
        ] {
            let sql = format!("SELECT {}", literal(value));
            let same = database.query_row(&sql, [], |row| Ok(row.get_ref(0)? == value)).unwrap();
            assert!(same, "{sql}");
        }
    }
}
