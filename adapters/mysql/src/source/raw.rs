//! Values as the binlog holds them.
//!
//! How long a value is follows from its type in the table's description alone, so that a row can be taken apart
//! whatever is known of its table. What a value means follows from its column's kind.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::bytes::{Reader, high_first, low_first};
use super::cell::Cell;
use super::decimal;
use super::json;
use super::kind::{Kind, Reading};
use super::map::{Field, code};
use super::time::{Moment, span};

/// The sign bit of packed times of five and of three bytes.
const DATETIME_ZERO: i64 = 0x80_0000_0000;
const TIME_ZERO: i64 = 0x80_0000;

/// Takes a value off a row; none if the row is damaged.
pub(crate) fn take<'a>(field: Field, row: &mut Reader<'a>) -> Option<&'a [u8]> {
    let meta = usize::from(field.meta);
    let fraction = meta.div_ceil(2);
    let length = match field.code {
        code::TINY | code::YEAR => 1,
        code::SHORT => 2,
        code::INT24 | code::DATE | code::NEWDATE | code::TIME => 3,
        code::LONG | code::FLOAT | code::TIMESTAMP => 4,
        code::LONGLONG | code::DOUBLE | code::DATETIME => 8,
        code::TIME2 => 3 + fraction,
        code::TIMESTAMP2 => 4 + fraction,
        code::DATETIME2 => 5 + fraction,
        code::NEWDECIMAL => decimal::bytes((field.meta >> 8) as u8, field.meta as u8)?,
        code::BIT => (meta >> 8) + usize::from(meta & 0xff > 0),
        code::ENUM | code::SET => meta & 0xff,
        code::STRING | code::VARCHAR | code::VAR_STRING => row.int(if meta < 256 { 1 } else { 2 })? as usize,
        249..=code::BLOB | code::JSON | code::GEOMETRY => usize::try_from(row.int(meta)?).ok()?,
        _ => return None,
    };
    row.take(length)
}

/// Passes over a row; none if it is damaged, or has types that are unknown.
pub(crate) fn pass(fields: &[Field], present: &[u8], row: &mut Reader<'_>) -> Option<()> {
    let is_set = |bits: &[u8], bit: usize| bits.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 > 0);
    let held: Vec<_> = (0..fields.len()).filter(|column| is_set(present, *column)).collect();
    let nulls = row.take(held.len().div_ceil(8))?;
    for (at, column) in held.into_iter().enumerate() {
        if !is_set(nulls, at) {
            take(fields[column], row)?;
        }
    }
    Some(())
}

/// The cell of a value.
///
/// # Errors
/// The value has no place in its column; the message says what would help.
pub(crate) fn cell(kind: &Kind, field: Field, raw: &[u8], reading: Reading) -> Result<Cell, String> {
    Ok(match kind {
        Kind::Int { unsigned: true, .. } => Cell::Uint(low_first(raw)),
        Kind::Int { .. } => {
            let unused = 64 - 8 * raw.len().min(8) as u32;
            Cell::Int((low_first(raw) << unused).cast_signed() >> unused)
        }
        Kind::Float32 => Cell::Float32(f32::from_bits(low_first(raw) as u32)),
        Kind::Float64 => Cell::Float64(f64::from_bits(low_first(raw))),
        Kind::Decimal { precision, scale } => {
            let digits = decimal::digits(raw, *precision, *scale).ok_or("the number is damaged")?;
            return number(kind, &digits, *scale, reading);
        }
        Kind::Bits(1) => Cell::Boolean(raw.iter().any(|byte| byte & 1 > 0)),
        Kind::Bits(_) => Cell::Uint(high_first(raw)),
        Kind::Year => Cell::Uint(match raw.first() {
            Some(0) | None => 0,
            Some(since) => 1900 + u64::from(*since),
        }),
        Kind::Moment(of) => return moment(field, raw).cell(*of, reading.zero_dates),
        Kind::Instant(digits) => return instant(field, raw, *digits, reading),
        Kind::Time => return span(time(field, raw), reading.time),
        Kind::Text(charset) => return charset.read(raw),
        Kind::Binary { fixed } => Cell::Bytes(filled(raw, fixed.unwrap_or(0))),
        Kind::Enum(words) => {
            // The number 0 stands for the empty text of a value that was none of the words.
            let word =
                (low_first(raw) as usize).checked_sub(1).map_or(Some(""), |at| words.get(at).map(|w| &**w));
            Cell::Text(word.ok_or("the value is none of the column's words")?.to_owned())
        }
        Kind::Set(words) => {
            let bits = low_first(raw);
            let has = |at: &usize| bits >> at & 1 > 0;
            let chosen: Vec<_> = (0..words.len().min(64)).filter(has).map(|at| &*words[at]).collect();
            Cell::Text(chosen.join(","))
        }
        Kind::Geometry => geometry(raw),
        Kind::Json => Cell::Text(json::text(raw)?),
        Kind::Uuid => Cell::Text(uuid(&filled(raw, 16))),
        Kind::Inet4 => {
            let address: [u8; 4] = filled(raw, 4).try_into().map_err(|_| "the address is damaged")?;
            Cell::Text(Ipv4Addr::from(address).to_string())
        }
        Kind::Inet6 => {
            let address: [u8; 16] = filled(raw, 16).try_into().map_err(|_| "the address is damaged")?;
            Cell::Text(inet6(address))
        }
    })
}

/// A decimal number of these digits, or its text where no decimal holds it.
pub(crate) fn number(kind: &Kind, digits: &str, scale: u8, reading: Reading) -> Result<Cell, String> {
    match kind.column_type(reading) {
        towpath_record::ColumnType::Decimal { .. } => {
            digits.parse().map(Cell::Decimal).map_err(|_| "the number is damaged".to_owned())
        }
        _ => Ok(Cell::Text(decimal::text(digits, scale))),
    }
}

/// A geometry is four bytes of its reference system, and then well-known binary.
pub(crate) fn geometry(raw: &[u8]) -> Cell {
    Cell::Bytes(raw.get(4..).unwrap_or_default().to_vec())
}

/// The binlog leaves out the zeros that a value of fixed length ends with.
fn filled(raw: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = raw.to_vec();
    bytes.resize(length.max(raw.len()), 0);
    bytes
}

/// A fraction of a second, of so many digits, in microseconds.
fn micros(raw: &[u8], digits: u16) -> i64 {
    let unit = match digits.div_ceil(2) {
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    high_first(raw).cast_signed() * unit
}

fn moment(field: Field, raw: &[u8]) -> Moment {
    let small = |number: u64| number as u8;
    match field.code {
        code::DATETIME2 => {
            let whole = high_first(&raw[..5]).cast_signed() - DATETIME_ZERO;
            json::moment(whole << 24 | micros(&raw[5..], field.meta))
        }
        code::DATETIME => {
            let (date, clock) = (low_first(raw) / 1_000_000, low_first(raw) % 1_000_000);
            Moment {
                year: (date / 10_000) as u16,
                month: small(date / 100 % 100),
                day: small(date % 100),
                hour: small(clock / 10_000),
                minute: small(clock / 100 % 100),
                second: small(clock % 100),
                micros: 0,
            }
        }
        _ => {
            let date = low_first(raw);
            let (year, month, day) = ((date >> 9) as u16, small(date >> 5 & 15), small(date & 31));
            Moment { year, month, day, ..Moment::default() }
        }
    }
}

fn instant(field: Field, raw: &[u8], digits: u8, reading: Reading) -> Result<Cell, String> {
    let (seconds, micros) = match field.code {
        code::TIMESTAMP2 => (high_first(&raw[..4]).cast_signed(), micros(&raw[4..], field.meta)),
        _ => (low_first(raw).cast_signed(), 0),
    };
    let moment = match (seconds, micros) {
        // The server stores the date without a day so.
        (0, 0) => Moment::default(),
        _ => Moment::at_micros(seconds * 1_000_000 + micros),
    };
    moment.cell(super::time::MomentKind::DateTime(digits), reading.zero_dates)
}

fn time(field: Field, raw: &[u8]) -> i64 {
    if field.code == code::TIME {
        let unused = 64 - 24;
        let number = (low_first(raw) << unused).cast_signed() >> unused;
        let (sign, clock) = (number.signum(), number.abs());
        return sign * (clock / 10_000 * 3600 + clock / 100 % 100 * 60 + clock % 100) * 1_000_000;
    }
    // A negative time is stored as its complement, fraction included.
    let (whole, part) = raw.split_at(3);
    let units = high_first(raw).cast_signed() - (TIME_ZERO << (8 * part.len()));
    let (sign, units) = (units.signum(), units.abs());
    let bits = 8 * part.len() as u32;
    debug_assert_eq!(whole.len(), 3, "`take` took what the type has");
    let fraction = (units & ((1 << bits) - 1)).to_be_bytes();
    sign * json::packed_span(units >> bits << 24 | micros(&fraction, field.meta))
}

fn uuid(bytes: &[u8]) -> String {
    let part =
        |from: usize, to: usize| bytes[from..to].iter().map(|b| format!("{b:02x}")).collect::<String>();
    [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join("-")
}

/// MariaDB writes an address that ends in one of version 4 with dots, also where the prefix is zero.
fn inet6(bytes: [u8; 16]) -> String {
    let address = Ipv6Addr::from(bytes);
    let compatible = bytes[..12] == [0; 12] && bytes[12..14] != [0; 2];
    match compatible {
        true => format!("::{}", Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15])),
        false => address.to_string(),
    }
}
