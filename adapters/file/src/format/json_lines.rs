//! One JSON object on each line.
//!
//! A value is kept as the text that stands in the file, so that a decimal stays exact and nested values can be
//! kept as they are; only strings are unquoted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Skip, Split, Splitter, skip_line, too_long};
use crate::table::{Cell, Row, Table};

/// What becomes of a field that is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UnknownFields {
    /// The row is refused.
    Refuse,
    /// The field is passed over.
    Ignore,
    /// The field becomes a column.
    Grow,
}

pub(super) struct JsonSplitter {
    names: Vec<String>,
    index: HashMap<String, usize>,
    unknown: UnknownFields,
    line: u64,
    longest: usize,
}

/// Why a line is no row of the stream.
struct LineFault {
    column: Option<String>,
    reason: String,
}

impl JsonSplitter {
    pub(super) fn new(names: Vec<String>, unknown: UnknownFields, longest: usize) -> Self {
        let index = names.iter().cloned().zip(0..).collect();
        Self { names, index, unknown, line: 1, longest }
    }

    /// Reads one line into the open row of the table. Returns whether it has a field that shall become a column.
    fn read(&self, text: &str, range: Range<usize>, table: &mut Table) -> Result<bool, LineFault> {
        let mut fault = None;
        let mut grows = false;
        let mut reader = serde_json::Deserializer::from_str(&text[range]);
        let row = RowVisitor { splitter: self, text, table, fault: &mut fault, grows: &mut grows };
        let read = reader.deserialize_map(row).and_then(|()| reader.end());
        match (read, fault) {
            (Ok(()), None) => Ok(grows),
            (_, Some(fault)) => Err(fault),
            (Err(error), None) => Err(LineFault { column: None, reason: not_json(&error) }),
        }
    }
}

impl Splitter for JsonSplitter {
    fn width(&self) -> usize {
        self.names.len()
    }

    fn split(&mut self, text: &str, ended: bool, most: usize, table: &mut Table) -> Split {
        let mut consumed = 0;
        while table.len() < most && consumed < text.len() {
            let rest = &text.as_bytes()[consumed..];
            let next = match memchr::memchr(b'\n', rest) {
                Some(length) => consumed + length + 1,
                None if ended => text.len(),
                None => break,
            };
            let row = Row::new(consumed..next, self.line);
            if next - consumed > self.longest {
                table.refuse_row(row, None, too_long(self.longest));
            } else if !is_blank(&text[consumed..next]) {
                match self.read(text, consumed..next, table) {
                    Ok(true) => {
                        table.drop_open();
                        return Split { consumed, meets_new_field: true };
                    }
                    Ok(false) => table.finish_row(row),
                    Err(fault) => table.refuse_row(row, fault.column, fault.reason),
                }
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

    fn learn(&mut self, names: Vec<String>) {
        for name in names {
            self.index.insert(name.clone(), self.names.len());
            self.names.push(name);
        }
    }

    fn stop_learning(&mut self) {
        self.unknown = UnknownFields::Refuse;
    }

    fn unknown_fields(&self, text: &str, most: usize) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let lines = text.lines().filter(|line| !is_blank(line)).take(most);
        for name in lines.filter_map(|line| serde_json::from_str::<FieldNames>(line).ok()).flat_map(|f| f.0) {
            if !self.index.contains_key(&name) && !found.contains(&name) {
                found.push(name);
            }
        }
        found
    }
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|b| b.is_ascii_whitespace())
}

fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("it is not a JSON object on one line: {what} (column {})", error.column())
}

/// Reads an object into the open row of a table.
struct RowVisitor<'a> {
    splitter: &'a JsonSplitter,
    text: &'a str,
    table: &'a mut Table,
    fault: &'a mut Option<LineFault>,
    grows: &'a mut bool,
}

impl RowVisitor<'_> {
    fn refuse<E: Error>(&mut self, column: &str, reason: impl Into<String>) -> E {
        *self.fault = Some(LineFault { column: Some(column.to_owned()), reason: reason.into() });
        E::custom("refused")
    }

    /// The cell of a value that stands in the text.
    fn cell(&mut self, value: &str) -> Result<Cell, serde_json::Error> {
        // The value is a part of the text, so the difference of their addresses is its place.
        let start = value.as_ptr().addr() - self.text.as_ptr().addr();
        let range = start..start + value.len();
        match value.as_bytes() {
            b"null" => Ok(Cell::ABSENT),
            [b'"', .., b'"'] if memchr::memchr(b'\\', value.as_bytes()).is_none() => {
                Ok(Cell::quoted(range.start + 1..range.end - 1))
            }
            [b'"', ..] => Ok(self.table.keep(&serde_json::from_str::<String>(value)?)),
            _ => Ok(Cell::plain(range)),
        }
    }
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let splitter = self.splitter;
        // A field left out is absent; one that is there, even as null, is marked in `seen`.
        let mut seen = vec![false; splitter.names.len()];
        (0..splitter.names.len()).for_each(|_| self.table.push(Cell::ABSENT));
        let mut expected = 0;
        while let Some(key) = map.next_key_seed(KeySeed { splitter, expected })? {
            let value: &RawValue = map.next_value()?;
            let column = match key {
                Key::Known(column) => column,
                Key::Unknown(name) => match splitter.unknown {
                    UnknownFields::Refuse => {
                        let reason = "the field is not declared; declare it or set ignore_unknown_fields";
                        return Err(self.refuse(&name, reason));
                    }
                    UnknownFields::Ignore => continue,
                    UnknownFields::Grow => {
                        *self.grows = true;
                        continue;
                    }
                },
            };
            if std::mem::replace(&mut seen[column], true) {
                return Err(self.refuse(&splitter.names[column], "the field stands twice in the object"));
            }
            let cell = match self.cell(value.get()) {
                Ok(cell) => cell,
                Err(error) => return Err(self.refuse(&splitter.names[column], not_json(&error))),
            };
            self.table.open()[column] = cell;
            expected = column + 1;
        }
        Ok(())
    }
}

enum Key {
    Known(usize),
    Unknown(String),
}

/// Finds the column of a name, trying first the one that followed the last.
struct KeySeed<'a> {
    splitter: &'a JsonSplitter,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
        if self.splitter.names.get(self.expected).is_some_and(|expected| expected == name) {
            return Ok(Key::Known(self.expected));
        }
        Ok(match self.splitter.index.get(name) {
            Some(column) => Key::Known(*column),
            None => Key::Unknown(name.to_owned()),
        })
    }
}

/// The names of an object's fields, in their order.
struct FieldNames(Vec<String>);

impl<'de> serde::Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = FieldNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldNames, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<Cow<'_, str>, &RawValue>()? {
                    names.push(name.into_owned());
                }
                Ok(FieldNames(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(unknown: UnknownFields, text: &str) -> (Table, Split) {
        let mut splitter = JsonSplitter::new(vec!["id".into(), "name".into()], unknown, 1_000);
        let mut table = Table::default();
        table.reset(2);
        let split = splitter.split(text, true, 100, &mut table);
        (table, split)
    }

    #[test]
    fn values_are_kept_as_they_were_written() {
        let text = "{\"id\": 1.10, \"name\": \"M\\u00fcller\"}\r\n\n{\"name\":null}\n{\"name\":[1, {}],\"id\":\"7\"}";
        let (table, split) = split(UnknownFields::Refuse, text);
        assert_eq!(split.consumed, text.len());
        let field = |row, column| table.field(text, row, column).map(|f| (f.text, f.quoted));
        assert_eq!(field(0, 0), Some(("1.10", false)));
        assert_eq!(field(0, 1), Some(("Müller", true)));
        assert_eq!((field(1, 0), field(1, 1)), (None, None));
        assert_eq!((field(2, 0), field(2, 1)), (Some(("7", true)), Some(("[1, {}]", false))));
        assert_eq!(table.rows().iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn a_line_that_is_no_row_is_refused_with_its_cause() {
        let text = "{\"id\":1\n[1]\n{\"id\":1}x\n{\"id\":1,\"id\":2}\n{\"id\":1,\"age\":2}\n{\"id\":\"\\ud800\"}\n{\"id\":1}\n";
        let (table, _) = split(UnknownFields::Refuse, text);
        let said: Vec<_> =
            table.refused().iter().map(|r| (r.row.line, r.column.as_deref(), &*r.reason)).collect();
        assert_eq!(table.rows().len(), 1);
        assert!(said[0].2.contains("EOF while parsing"), "{said:?}");
        assert!(said[1].2.contains("invalid type: sequence, expected an object"), "{said:?}");
        assert!(said[2].2.contains("trailing characters"), "{said:?}");
        assert_eq!((said[3].1, said[3].2), (Some("id"), "the field stands twice in the object"));
        assert_eq!(said[4].1, Some("age"));
        assert_eq!(said[5].1, Some("id"));
    }

    #[test]
    fn a_new_field_stops_the_split_before_its_row() {
        let text = "{\"id\":1}\n{\"id\":2,\"age\":3}\n";
        let (table, split) = split(UnknownFields::Grow, text);
        assert_eq!(split, Split { consumed: 9, meets_new_field: true });
        assert_eq!(table.rows().len(), 1);
        let (table, split) = self::split(UnknownFields::Ignore, text);
        assert_eq!((table.rows().len(), split.consumed), (2, text.len()));
    }
}
