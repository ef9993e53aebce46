//! The types of PostgreSQL and the column types that hold them.
//!
//! What has an exact counterpart gets it. Everything else travels as the text that PostgreSQL prints, which every
//! PostgreSQL reads back as the same value. A sink of this crate writes each column type into the type that it
//! comes from here, so that a copy is equal to its original.

use towpath_record::ColumnType;

use super::config::NumericMode;

/// What a column's texts are read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal { precision: u8, scale: u8 },
    Text,
    Bytea,
    Date,
    Time,
    LocalTimestamp,
    Timestamp,
    Interval,
}

/// The header that PostgreSQL adds to the modifier of `numeric`.
const MODIFIER_HEADER: i32 = 4;

impl Kind {
    /// What values of a built-in type are read as. Object identifiers are those of PostgreSQL's `pg_type.dat`.
    pub(crate) fn of(type_oid: u32, modifier: i32, numeric: NumericMode) -> Self {
        match type_oid {
            16 => Self::Boolean,
            17 => Self::Bytea,
            20 => Self::Int64,
            21 => Self::Int16,
            23 => Self::Int32,
            700 => Self::Float32,
            701 => Self::Float64,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::LocalTimestamp,
            1184 => Self::Timestamp,
            1186 => Self::Interval,
            1700 if numeric == NumericMode::Decimal => decimal(modifier).unwrap_or(Self::Text),
            _ => Self::Text,
        }
    }

    /// About how much memory a value takes whose text has so many bytes.
    pub(crate) fn cell_bytes(self, text: usize) -> usize {
        match self {
            Self::Text => 8 + text,
            // Two digits for each byte, behind `\x`.
            Self::Bytea => 8 + text.saturating_sub(2) / 2,
            Self::Decimal { .. } | Self::Interval => 16,
            _ => 8,
        }
    }

    /// The type of the stream's column.
    pub(crate) fn column_type(self) -> ColumnType {
        match self {
            Self::Boolean => ColumnType::Boolean,
            Self::Int16 => ColumnType::Int16,
            Self::Int32 => ColumnType::Int32,
            Self::Int64 => ColumnType::Int64,
            Self::Float32 => ColumnType::Float32,
            Self::Float64 => ColumnType::Float64,
            Self::Decimal { precision, scale } => ColumnType::Decimal { precision, scale },
            Self::Text => ColumnType::String,
            Self::Bytea => ColumnType::Binary,
            Self::Date => ColumnType::Date,
            Self::Time => ColumnType::Time,
            Self::LocalTimestamp => ColumnType::LocalTimestamp,
            Self::Timestamp => ColumnType::Timestamp,
            Self::Interval => ColumnType::Interval,
        }
    }
}

/// Precision in the upper half of the modifier, scale in the lower 11 bits, as a signed number.
fn decimal(modifier: i32) -> Option<Kind> {
    let packed = modifier.checked_sub(MODIFIER_HEADER).filter(|packed| *packed >= 0)?;
    let precision = u8::try_from(packed >> 16).ok().filter(|precision| (1..=38).contains(precision))?;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= precision)?;
    Some(Kind::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_a_decimal_where_one_holds_it() {
        let numeric = |precision: i32, scale: i32| {
            Kind::of(1700, ((precision << 16) | (scale & 0x7ff)) + MODIFIER_HEADER, NumericMode::Decimal)
        };
        assert_eq!(numeric(12, 2), Kind::Decimal { precision: 12, scale: 2 });
        assert_eq!(numeric(38, 38), Kind::Decimal { precision: 38, scale: 38 });
        for (precision, scale) in [(39, 0), (5, -2), (3, 5)] {
            assert_eq!(numeric(precision, scale), Kind::Text, "numeric({precision},{scale})");
        }
        assert_eq!(Kind::of(1700, -1, NumericMode::Decimal), Kind::Text);
        assert_eq!(Kind::of(1700, (12 << 16) + 6, NumericMode::Text), Kind::Text);
    }
}
