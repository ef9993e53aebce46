//! Rows as CSV (RFC 4180, lines ended by `\n`).
//!
//! An absent value is the style's null text, unquoted; text that is empty or reads like it is quoted, so that
//! the two can be told apart. Values are spelled as in JSON without its quotes; lists and structs are JSON.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_json::writer::NullableEncoder;
use arrow_schema::{ArrowError, DataType};

use super::super::config::CsvStyle;
use super::value::encoder;

enum Column<'a> {
    Text(&'a StringArray),
    /// Needs no escapes: numbers, booleans, times, bytes.
    Plain(NullableEncoder<'a>),
    Json(NullableEncoder<'a>),
}

/// The line of names, or nothing.
pub(crate) fn head(style: &CsvStyle, rows: &RecordBatch) -> Vec<u8> {
    let mut line = Vec::new();
    if style.header {
        for (i, field) in rows.schema_ref().fields().iter().enumerate() {
            separate(style, i, &mut line);
            push_field(style, field.name().as_bytes(), &mut line);
        }
        line.push(b'\n');
    }
    line
}

/// A function that writes a row.
///
/// # Errors
/// Arrow does not know a type.
pub(crate) fn writer(
    style: &CsvStyle,
    rows: &RecordBatch,
) -> Result<impl FnMut(usize, &mut Vec<u8>), ArrowError> {
    let columns = rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, array)| {
        Ok(match array.data_type() {
            DataType::Utf8 => Column::Text(array.as_string()),
            DataType::List(_) | DataType::Struct(_) => Column::Json(encoder(field, array)?),
            _ => Column::Plain(encoder(field, array)?),
        })
    });
    let mut columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
    let mut scratch = Vec::new();
    Ok(move |row, out: &mut Vec<u8>| {
        for (i, column) in columns.iter_mut().enumerate() {
            separate(style, i, out);
            if column.is_null(row) {
                out.extend_from_slice(style.null.as_bytes());
                continue;
            }
            match column {
                Column::Text(array) => push_field(style, array.value(row).as_bytes(), out),
                Column::Plain(values) => {
                    scratch.clear();
                    values.encode(row, &mut scratch);
                    let bare = scratch.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
                    push_field(style, bare.unwrap_or(&scratch), out);
                }
                Column::Json(values) => {
                    scratch.clear();
                    values.encode(row, &mut scratch);
                    push_field(style, &scratch, out);
                }
            }
        }
        out.push(b'\n');
    })
}

impl Column<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Plain(values) | Self::Json(values) => values.is_null(row),
        }
    }
}

fn separate(style: &CsvStyle, column: usize, out: &mut Vec<u8>) {
    if column > 0 {
        out.push(
            u8::try_from(style.delimiter).expect("the configuration was checked to name an ASCII character"),
        );
    }
}

fn push_field(style: &CsvStyle, text: &[u8], out: &mut Vec<u8>) {
    let delimiter =
        u8::try_from(style.delimiter).expect("the configuration was checked to name an ASCII character");
    let awkward = |byte: &u8| [delimiter, b'"', b'\n', b'\r'].contains(byte);
    if !text.is_empty() && text != style.null.as_bytes() && !text.iter().any(awkward) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for (i, piece) in text.split(|byte| *byte == b'"').enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(piece);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    fn written(style: &CsvStyle, texts: Vec<Option<&str>>) -> String {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=texts.len() as i64));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        let rows = RecordBatch::try_from_iter([("id", ids), ("the \"text\"", texts)]).unwrap();
        let mut out = head(style, &rows);
        let mut write = writer(style, &rows).unwrap();
        (0..rows.num_rows()).for_each(|row| write(row, &mut out));
        drop(write);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn null_and_the_empty_text_differ() {
        let plain = CsvStyle::default();
        assert_eq!(written(&plain, vec![None, Some("")]), "id,\"the \"\"text\"\"\"\n1,\n2,\"\"\n");
        let spelled = CsvStyle { null: "NULL".to_owned(), header: false, ..CsvStyle::default() };
        assert_eq!(written(&spelled, vec![None, Some("NULL"), Some("")]), "1,NULL\n2,\"NULL\"\n3,\"\"\n");
    }

    #[test]
    fn only_what_would_mislead_a_reader_is_quoted() {
        let style = CsvStyle { delimiter: ';', header: false, ..CsvStyle::default() };
        let texts = vec![Some("a;b"), Some("say \"hi\""), Some("two\nlines"), Some("a,b")];
        assert_eq!(written(&style, texts), "1;\"a;b\"\n2;\"say \"\"hi\"\"\"\n3;\"two\nlines\"\n4;a,b\n");
    }
}
