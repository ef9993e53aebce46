//! MySQL's binary JSON as the text that the server prints.
//!
//! Layout (MySQL, `sql-common/json_binary.h`): a byte of type and the value. An object or an array begins with the
//! number of its members and its size, in two or four bytes each; then an object has for each key its offset and
//! length, and both have for each value a type and either the value, if it is that small, or its offset. Offsets
//! count from the number of members.

use std::fmt::Write;

use super::bytes::{Reader, low_first};
use super::decimal;
use super::map::code;
use super::time::{Moment, MomentKind, span_text};

/// Deeper documents than the server accepts are damaged.
const MAX_DEPTH: usize = 128;

/// The text of a document.
///
/// # Errors
/// The document is damaged.
pub(crate) fn text(document: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    let written = match document.split_first() {
        // The server reads what an update in passing left empty as null.
        None => {
            text.push_str("null");
            Some(())
        }
        Some((kind, value)) => write(&mut text, *kind, value, MAX_DEPTH),
    };
    written.map(|()| text).ok_or_else(|| "the JSON document is damaged".to_owned())
}

fn write(out: &mut String, kind: u8, value: &[u8], depth: usize) -> Option<()> {
    let mut reader = Reader(value);
    match kind {
        0..=3 => return write_members(out, value, kind % 2 == 1, kind >= 2, depth.checked_sub(1)?),
        4 => out.push_str(match reader.byte()? {
            0 => "null",
            1 => "true",
            2 => "false",
            _ => return None,
        }),
        5 => write!(out, "{}", reader.int(2)? as u16 as i16).ok()?,
        6 => write!(out, "{}", reader.int(2)?).ok()?,
        7 => write!(out, "{}", reader.int(4)? as u32 as i32).ok()?,
        8 => write!(out, "{}", reader.int(4)?).ok()?,
        9 => write!(out, "{}", reader.int(8)?.cast_signed()).ok()?,
        10 => write!(out, "{}", reader.int(8)?).ok()?,
        11 => write!(out, "{:?}", f64::from_bits(reader.int(8)?)).ok()?,
        12 => {
            let length = variable(&mut reader)?;
            write_string(out, str::from_utf8(reader.take(length)?).ok()?)?;
        }
        15 => {
            let kind = reader.byte()?;
            let length = variable(&mut reader)?;
            write_opaque(out, kind, reader.take(length)?)?;
        }
        _ => return None,
    }
    Some(())
}

fn write_members(out: &mut String, value: &[u8], large: bool, array: bool, depth: usize) -> Option<()> {
    let width = if large { 4 } else { 2 };
    let mut head = Reader(value);
    let count = head.int(width)? as usize;
    head.int(width)?;
    let mut keys = Reader(if array { &[] } else { head.take(count.checked_mul(width + 2)?)? });
    out.push(if array { '[' } else { '{' });
    for member in 0..count {
        if member > 0 {
            out.push_str(", ");
        }
        if !array {
            let (offset, length) = (keys.int(width)? as usize, keys.int(2)? as usize);
            write_string(out, str::from_utf8(value.get(offset..offset.checked_add(length)?)?).ok()?)?;
            out.push_str(": ");
        }
        let (kind, entry) = (head.byte()?, head.take(width)?);
        match kind {
            4..=6 => write(out, kind, entry, depth)?,
            7 | 8 if large => write(out, kind, entry, depth)?,
            _ => write(out, kind, value.get(low_first(entry) as usize..)?, depth)?,
        }
    }
    out.push(if array { ']' } else { '}' });
    Some(())
}

/// A length of seven bits a byte, the lowest first.
fn variable(reader: &mut Reader<'_>) -> Option<usize> {
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let byte = reader.byte()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

fn write_string(out: &mut String, text: &str) -> Option<()> {
    out.push_str(&serde_json::to_string(text).ok()?);
    Some(())
}

/// A value of an SQL type that JSON does not have.
fn write_opaque(out: &mut String, kind: u8, data: &[u8]) -> Option<()> {
    let packed = || Some(low_first(data.get(..8)?).cast_signed());
    match kind {
        code::NEWDECIMAL => {
            let (precision, scale) = (*data.first()?, *data.get(1)?);
            out.push_str(&decimal::text(decimal::digits(data.get(2..)?, precision, scale)?.as_str(), scale));
        }
        code::DATE => write!(out, "\"{}\"", moment(packed()?).text(MomentKind::Date)).ok()?,
        code::DATETIME | code::TIMESTAMP => {
            write!(out, "\"{}\"", moment(packed()?).text(MomentKind::DateTime(6))).ok()?;
        }
        code::TIME => write!(out, "\"{}\"", span_text(packed_span(packed()?))).ok()?,
        _ => write!(out, "\"base64:type{kind}:{}\"", base64(data)).ok()?,
    }
    Some(())
}

/// A date and time in the server's packed form: the fraction in 24 bits, seconds, minutes and hours in 17, days in 5,
/// and above them years of 13 months.
pub(crate) fn moment(packed: i64) -> Moment {
    let (whole, micros) = (packed >> 24, packed & 0xff_ffff);
    let (date, clock) = (whole >> 17, whole & 0x1_ffff);
    let months = date >> 5;
    Moment {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day: (date & 31) as u8,
        hour: (clock >> 12) as u8,
        minute: (clock >> 6 & 63) as u8,
        second: (clock & 63) as u8,
        micros: micros as u32,
    }
}

/// A span of time in the server's packed form, in microseconds.
pub(crate) fn packed_span(packed: i64) -> i64 {
    let (whole, micros) = (packed.abs() >> 24, packed.abs() & 0xff_ffff);
    let seconds = (whole >> 12 & 0x3ff) * 3600 + (whole >> 6 & 63) * 60 + (whole & 63);
    packed.signum() * (seconds * 1_000_000 + micros)
}

fn base64(data: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in data.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_printed_as_the_server_prints_them() {
        assert_eq!(text(&[4, 0]).unwrap(), "null");
        assert_eq!(text(&[5, 0xff, 0xff]).unwrap(), "-1");
        assert_eq!(text(&[&[11][..], &1.0_f64.to_le_bytes()].concat()).unwrap(), "1.0");
        assert_eq!(text(&[12, 4, b'a', b'"', b'\n', b'b']).unwrap(), r#""a\"\nb""#);
        assert_eq!(text(&[15, 246, 4, 3, 2, 0x81, 0x32]).unwrap(), "1.50");
        assert_eq!(text(&[15, 15, 2, 1, 2]).unwrap(), "\"base64:type15:AQI=\"");
        assert_eq!(text(&[]).unwrap(), "null");
    }

    #[test]
    fn objects_and_arrays_keep_the_order_of_the_document() {
        // {"a": [1, true], "b": "x"}
        let array = [2, 0, 10, 0, 5, 1, 0, 4, 1, 0];
        let head = [2, 0, 32, 0, 18, 0, 1, 0, 19, 0, 1, 0, 2, 20, 0, 12, 30, 0];
        let document = [&[0][..], &head, b"ab", &array, &[1, b'x']].concat();
        assert_eq!(text(&document).unwrap(), r#"{"a": [1, true], "b": "x"}"#);
        for length in 1..document.len() {
            assert!(text(&document[..length]).is_err(), "{length}");
        }
    }
}
