//! The rows of a `COPY … TO STDOUT` in its text form, one line each.
//!
//! Rows come over a connection of our own and not by the driver, which takes a row into memory whatever its length.

use bytes::Bytes;
use towpath_record::limits::MAX_ROW_BYTES;

use super::Wire;
use super::frames::is_strange;
use crate::error::{PostgresError, Refusal};
use crate::source::message::{Tuple, Value};

const DOING: &str = "copy rows";
/// The longest line that is kept whole: a row in hexadecimal, or with each byte behind a backslash. Only larger rows than
/// a record may hold are longer.
const MAX_LINE_BYTES: usize = 2 * MAX_ROW_BYTES + (1 << 20);

/// How many columns most tables have at most.
const COLUMNS: usize = 32;

/// A row.
pub(crate) enum Line {
    /// All its values.
    Whole(Tuple),
    /// The values before the one where it was cut, as it is too long, and as many of its bytes as were kept.
    Cut(Tuple, Bytes),
}

/// The rows that come.
pub(crate) struct Lines<'w>(&'w mut Wire);

impl Wire {
    /// Starts a `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// The server refuses; the error carries its reason.
    pub(crate) async fn copy(&mut self, sql: &str, doing: &str) -> Result<Lines<'_>, PostgresError> {
        self.query(sql, doing).await?;
        while self.answer(doing).await?.tag != b'H' {}
        self.frames.keep_up_to(MAX_LINE_BYTES);
        Ok(Lines(self))
    }
}

impl Lines<'_> {
    /// The next row, or `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or the server gave up.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, PostgresError> {
        loop {
            let frame = self.0.frames.next().await.map_err(PostgresError::wire(DOING))?;
            match (frame.tag, frame.whole) {
                (b'd', true) => return Ok(Some(Line::Whole(fields(&frame.body)))),
                (b'd', false) => {
                    let mut values = fields(&frame.body);
                    values.pop();
                    return Ok(Some(Line::Cut(values, frame.body)));
                }
                (b'Z', _) => return Ok(None),
                (b'E', _) => return Err(PostgresError::Refused(Refusal::read(DOING, &frame.body))),
                (_, true) => {}
                (_, false) => return Err(is_strange(DOING)),
            }
        }
    }
}

/// The values of a line: fields between tabs, `\N` for null, and a backslash before what would be mistaken.
pub(crate) fn fields(line: &Bytes) -> Tuple {
    let end = line.len() - usize::from(line.ends_with(b"\n"));
    let mut values = Vec::with_capacity(COLUMNS);
    let (mut start, mut is_escaped) = (0, false);
    for place in memchr::memchr2_iter(b'\t', b'\\', &line[..end]).chain([end]) {
        if line.get(place) == Some(&b'\\') {
            is_escaped = true;
            continue;
        }
        values.push(match &line[start..place] {
            b"\\N" => Value::Null,
            escaped if is_escaped => Value::Text(unescaped(escaped)),
            _ => Value::Text(line.slice(start..place)),
        });
        (start, is_escaped) = (place + 1, false);
    }
    values
}

fn unescaped(field: &[u8]) -> Bytes {
    let mut plain = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match (byte, byte == &b'\\') {
            (byte, false) => *byte,
            (_, true) => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
        });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_it_was_put_together() {
        let text = |text: &'static [u8]| Value::Text(Bytes::from_static(text));
        let line = Bytes::from_static(b"1\t\\N\t\ta\\tb\\\\N\\n\xc3\xa4\n");
        assert_eq!(fields(&line), [text(b"1"), Value::Null, text(b""), text("a\tb\\N\nä".as_bytes())]);
        assert_eq!(fields(&Bytes::from_static(b"\n")), [text(b"")]);
    }
}
