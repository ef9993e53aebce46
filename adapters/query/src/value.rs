//! A value as a database gives it: what it is in a record, in a hash, in a position and in the words of a dead letter.

use bytes::Buf;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

/// A value of a row.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width.
    Uint(u64),
    /// A number of either precision.
    Float(f64),
    /// An exact decimal number: `units` / 10^`scale`.
    Decimal {
        /// The number without its point.
        units: i128,
        /// Digits after the point.
        scale: u8,
    },
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01 on a clock without zone.
    LocalTimestamp(i64),
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// Months, days and nanoseconds.
    Interval {
        /// Calendar months.
        months: i32,
        /// Calendar days.
        days: i32,
        /// Nanoseconds.
        nanos: i64,
    },
    /// A value that its column cannot hold: why, and what it was.
    Misfit {
        /// In words, and what would help.
        reason: String,
        /// The value as the database shows it.
        raw: String,
    },
}

/// A row, a value for each column.
pub type Row = Vec<Value>;

impl Value {
    /// About how much memory it takes.
    pub(crate) fn weight(&self) -> usize {
        16 + match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Misfit { reason, raw } => reason.len() + raw.len(),
            _ => 0,
        }
    }

    /// Appends a form from which [`Value::decode`] makes the same value again: a tag, then numbers in little-endian
    /// or the length of what follows.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let mut sized = |tag: u8, bytes: &[u8]| {
            into.push(tag);
            into.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            into.extend_from_slice(bytes);
        };
        match self {
            Self::Text(text) => sized(6, text.as_bytes()),
            Self::Bytes(bytes) => sized(7, bytes),
            Self::Misfit { raw, .. } => sized(13, raw.as_bytes()),
            Self::Null => into.push(0),
            Self::Boolean(value) => into.extend_from_slice(&[1, u8::from(*value)]),
            Self::Int(value) => number(into, 2, &value.to_le_bytes()),
            Self::Uint(value) => number(into, 3, &value.to_le_bytes()),
            Self::Float(value) => number(into, 4, &value.to_bits().to_le_bytes()),
            Self::Decimal { units, scale } => {
                number(into, 5, &units.to_le_bytes());
                into.push(*scale);
            }
            Self::Date(value) => number(into, 8, &value.to_le_bytes()),
            Self::Time(value) => number(into, 9, &value.to_le_bytes()),
            Self::LocalTimestamp(value) => number(into, 10, &value.to_le_bytes()),
            Self::Timestamp(value) => number(into, 11, &value.to_le_bytes()),
            Self::Interval { months, days, nanos } => {
                number(into, 12, &months.to_le_bytes());
                into.extend_from_slice(&days.to_le_bytes());
                into.extend_from_slice(&nanos.to_le_bytes());
            }
        }
    }

    /// Reads a value that [`Value::encode`] wrote, and moves behind it.
    pub(crate) fn decode(from: &mut &[u8]) -> Option<Self> {
        Some(match from.try_get_u8().ok()? {
            0 => Self::Null,
            1 => Self::Boolean(from.try_get_u8().ok()? != 0),
            2 => Self::Int(from.try_get_i64_le().ok()?),
            3 => Self::Uint(from.try_get_u64_le().ok()?),
            4 => Self::Float(f64::from_bits(from.try_get_u64_le().ok()?)),
            5 => {
                let units = from.try_get_i128_le().ok()?;
                Self::Decimal { units, scale: from.try_get_u8().ok()? }
            }
            6 => Self::Text(String::from_utf8(sized(from)?).ok()?),
            7 => Self::Bytes(sized(from)?),
            8 => Self::Date(from.try_get_i32_le().ok()?),
            9 => Self::Time(from.try_get_i64_le().ok()?),
            10 => Self::LocalTimestamp(from.try_get_i64_le().ok()?),
            11 => Self::Timestamp(from.try_get_i64_le().ok()?),
            12 => Self::Interval {
                months: from.try_get_i32_le().ok()?,
                days: from.try_get_i32_le().ok()?,
                nanos: from.try_get_i64_le().ok()?,
            },
            13 => Self::Misfit { reason: String::new(), raw: String::from_utf8(sized(from)?).ok()? },
            _ => return None,
        })
    }

    /// The value as text that every database reads as the same value: ISO 8601 with the zone `+00` for instants.
    /// None for what has no such text.
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Self::Null | Self::Misfit { .. } | Self::Interval { .. } => return None,
            Self::Boolean(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
            Self::Decimal { units, scale } => decimal_text(*units, *scale),
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => hex::encode(bytes),
            Self::Date(days) => date(*days)?.to_string(),
            Self::Time(us) => time_of_day(*us)?.to_string(),
            Self::LocalTimestamp(us) => clock_text(*us)?,
            Self::Timestamp(us) => format!("{}+00", clock_text(*us)?),
        })
    }

    /// The value in the words of a dead letter.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Misfit { raw, .. } => raw.clone(),
            Self::Interval { months, days, nanos } => format!("{months} months {days} days {nanos} ns"),
            other => other.to_text().unwrap_or_else(|| "NULL".to_owned()),
        }
    }
}

/// Encodes values one after another.
pub(crate) fn encoded<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.into_iter().for_each(|value| value.encode(&mut bytes));
    bytes
}

/// Decodes values one after another.
pub(crate) fn decoded(mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(Value::decode(&mut bytes)?);
    }
    Some(values)
}

fn number(into: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    into.push(tag);
    into.extend_from_slice(bytes);
}

fn sized(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes.to_vec())
}

fn decimal_text(units: i128, scale: u8) -> String {
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if units < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn date(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(SignedDuration::from_hours(i64::from(days) * 24)).ok()
}

fn time_of_day(us: i64) -> Option<Time> {
    Time::midnight().checked_add(SignedDuration::from_micros(us)).ok()
}

fn clock_text(us: i64) -> Option<String> {
    let clock = civil(us)?;
    Some(format!("{}", clock.strftime("%Y-%m-%d %H:%M:%S%.6f")))
}

/// Microseconds since 1970-01-01 as a date and time.
fn civil(us: i64) -> Option<DateTime> {
    let instant = Timestamp::from_microsecond(us).ok()?;
    Some(instant.to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<Value> {
        vec![
            Value::Null,
            Value::Boolean(true),
            Value::Int(i64::MIN),
            Value::Uint(u64::MAX),
            Value::Float(-0.1),
            Value::Decimal { units: -(10_i128.pow(37)), scale: 5 },
            Value::Text("ß 'x'".to_owned()),
            Value::Bytes(vec![0, 255]),
            Value::Date(-1),
            Value::Time(1),
            Value::LocalTimestamp(-1),
            Value::Timestamp(1_700_000_000_000_001),
            Value::Interval { months: 1, days: -2, nanos: 3 },
        ]
    }

    #[test]
    fn every_value_comes_back_from_its_bytes() {
        let values = one_of_each();
        let bytes = encoded(&values);
        assert_eq!(decoded(&bytes), Some(values));
        assert!(decoded(&bytes[..bytes.len() - 1]).is_none(), "what is cut short is refused");
        assert!(decoded(&[99]).is_none());
    }

    #[test]
    fn values_are_told_apart_by_their_bytes_wherever_one_ends() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_ne!(encoded(&[text("a"), text("bc")]), encoded(&[text("ab"), text("c")]));
        assert_ne!(encoded(&[Value::Int(1)]), encoded(&[Value::Uint(1)]));
    }

    #[test]
    fn a_value_is_shown_to_a_database_exactly() {
        let text = |value: Value| value.to_text().unwrap();
        assert_eq!(text(Value::Timestamp(1_500_000)), "1970-01-01 00:00:01.500000+00");
        assert_eq!(text(Value::LocalTimestamp(-1)), "1969-12-31 23:59:59.999999");
        assert_eq!(text(Value::Date(11_016)), "2000-02-29");
        assert_eq!(text(Value::Decimal { units: -105, scale: 2 }), "-1.05");
        assert_eq!(text(Value::Decimal { units: 5, scale: 3 }), "0.005");
        assert_eq!(text(Value::Decimal { units: 7, scale: 0 }), "7");
        assert_eq!(Value::Timestamp(i64::MAX).to_text(), None, "infinity has no date");
    }
}
