//! What the values of a column are: the server's type, and the stream's.

use std::sync::Arc;

use towpath_record::ColumnType;

use super::charset::Charset;
use super::config::{TimeMode, ZeroDates};
use super::time::MomentKind;

/// What the values of a column are.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    /// An integer of so many bytes.
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// So many bits.
    Bits(u8),
    Year,
    Moment(MomentKind),
    /// An instant, with so many digits of a second's fraction.
    Instant(u8),
    /// A time of day, or a span of hours.
    Time,
    Text(Charset),
    /// Bytes; those of a fixed length are filled up with zeros.
    Binary {
        fixed: Option<usize>,
    },
    /// One of these words, or none of them.
    Enum(Arc<[String]>),
    /// Any of these words.
    Set(Arc<[String]>),
    Geometry,
    /// MySQL's JSON; MariaDB's is text.
    Json,
    /// Types of MariaDB that the binlog has as bytes and SQL as text.
    Uuid,
    Inet4,
    Inet6,
}

/// How a configuration wants some kinds to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) zero_dates: ZeroDates,
    pub(crate) time: TimeMode,
}

/// Decimals of more digits are read as text.
const MAX_PRECISION: u8 = 38;

impl Kind {
    /// The type of the stream's column.
    pub(crate) fn column_type(&self, reading: Reading) -> ColumnType {
        match self {
            Self::Int { bytes: 1, unsigned: false } => ColumnType::Int8,
            Self::Int { bytes: 2, unsigned: false } => ColumnType::Int16,
            Self::Int { bytes: 3 | 4, unsigned: false } => ColumnType::Int32,
            Self::Int { unsigned: false, .. } => ColumnType::Int64,
            Self::Int { bytes: 1, .. } => ColumnType::Uint8,
            Self::Int { bytes: 2, .. } | Self::Year => ColumnType::Uint16,
            Self::Int { bytes: 3 | 4, .. } => ColumnType::Uint32,
            Self::Int { .. } => ColumnType::Uint64,
            Self::Float32 => ColumnType::Float32,
            Self::Float64 => ColumnType::Float64,
            Self::Decimal { precision, scale } if *precision <= MAX_PRECISION => {
                ColumnType::Decimal { precision: *precision, scale: *scale }
            }
            Self::Bits(1) => ColumnType::Boolean,
            Self::Bits(_) => ColumnType::Uint64,
            Self::Moment(_) | Self::Instant(_) if reading.zero_dates == ZeroDates::Text => ColumnType::String,
            Self::Moment(MomentKind::Date) => ColumnType::Date,
            Self::Moment(MomentKind::DateTime(_)) => ColumnType::LocalTimestamp,
            Self::Instant(_) => ColumnType::Timestamp,
            Self::Time => match reading.time {
                TimeMode::Clock => ColumnType::Time,
                TimeMode::Interval => ColumnType::Interval,
            },
            Self::Binary { .. } | Self::Geometry => ColumnType::Binary,
            Self::Decimal { .. }
            | Self::Text(_)
            | Self::Enum(_)
            | Self::Set(_)
            | Self::Json
            | Self::Uuid
            | Self::Inet4
            | Self::Inet6 => ColumnType::String,
        }
    }

    /// Whether rows are found by it in the order of an index, and its values keep that order here or at the server.
    pub(crate) fn orders_rows(&self, reading: Reading) -> bool {
        match self {
            Self::Int { .. }
            | Self::Year
            | Self::Text(_)
            | Self::Binary { .. }
            | Self::Uuid
            | Self::Inet4
            | Self::Inet6 => true,
            Self::Decimal { precision, .. } => *precision <= MAX_PRECISION,
            // Rows with a date that is read as null would have no place.
            Self::Moment(_) | Self::Instant(_) => reading.zero_dates == ZeroDates::Text,
            Self::Time => reading.time == TimeMode::Interval,
            Self::Float32
            | Self::Float64
            | Self::Bits(_)
            | Self::Enum(_)
            | Self::Set(_)
            | Self::Geometry
            | Self::Json => false,
        }
    }
}

/// The words of `enum('a','b')`, as the server writes the type.
pub(crate) fn words(column_type: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = column_type.chars().skip_while(|c| *c != '\'').peekable();
    while let Some(c) = chars.next() {
        match (&mut word, c) {
            (None, '\'') => word = Some(String::new()),
            (None, _) => {}
            (Some(text), '\'') if chars.peek() == Some(&'\'') => {
                chars.next();
                text.push('\'');
            }
            (Some(_), '\'') => words.extend(word.take()),
            (Some(text), '\\') => match chars.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('0') => text.push('\0'),
                Some('Z') => text.push('\u{1a}'),
                Some(other) => text.push(other),
                None => {}
            },
            (Some(text), c) => text.push(c),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_type_are_read_as_they_were_written() {
        assert_eq!(words("enum('x','y''z','','a\\\\b,\\n')"), ["x", "y'z", "", "a\\b,\n"]);
        assert_eq!(words("set('ä')"), ["ä"]);
    }

    #[test]
    fn a_kind_is_read_as_the_configuration_says() {
        let reading = |zero_dates, time| Reading { zero_dates, time };
        let plain = reading(ZeroDates::Null, TimeMode::Clock);
        assert_eq!(Kind::Instant(6).column_type(plain), ColumnType::Timestamp);
        assert_eq!(
            Kind::Instant(6).column_type(reading(ZeroDates::Text, TimeMode::Clock)),
            ColumnType::String
        );
        assert_eq!(
            Kind::Time.column_type(reading(ZeroDates::Null, TimeMode::Interval)),
            ColumnType::Interval
        );
        assert_eq!(Kind::Decimal { precision: 65, scale: 2 }.column_type(plain), ColumnType::String);
        assert_eq!(Kind::Int { bytes: 3, unsigned: true }.column_type(plain), ColumnType::Uint32);
    }
}
