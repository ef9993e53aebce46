//! The types of ODBC and the column types that hold them.
//!
//! What has an exact counterpart gets it. Everything else is asked for as text, which every driver can give.

use odbc_api::DataType;
use odbc_api::sys::{Date, Timestamp};
use towpath_adapter_query::Value;
use towpath_record::ColumnType;

const US_PER_SECOND: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;

/// The type of the stream's column.
pub(crate) fn column_type(data_type: DataType) -> ColumnType {
    match data_type {
        DataType::Bit => ColumnType::Boolean,
        // Whether a tiny integer has a sign differs between databases.
        DataType::TinyInt | DataType::SmallInt => ColumnType::Int16,
        DataType::Integer => ColumnType::Int32,
        DataType::BigInt => ColumnType::Int64,
        DataType::Real => ColumnType::Float32,
        DataType::Float { .. } | DataType::Double => ColumnType::Float64,
        DataType::Numeric { precision, scale } | DataType::Decimal { precision, scale } => {
            decimal(precision, scale).unwrap_or(ColumnType::String)
        }
        DataType::Date => ColumnType::Date,
        DataType::Timestamp { .. } => ColumnType::LocalTimestamp,
        DataType::Binary { .. } | DataType::Varbinary { .. } | DataType::LongVarbinary { .. } => {
            ColumnType::Binary
        }
        _ => ColumnType::String,
    }
}

fn decimal(precision: usize, scale: i16) -> Option<ColumnType> {
    let precision = u8::try_from(precision).ok().filter(|it| (1..=38).contains(it))?;
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= precision)?;
    Some(ColumnType::Decimal { precision, scale })
}

/// The number in a text, as a decimal of this scale.
pub(crate) fn decimal_value(text: &str, scale: u8) -> Option<Value> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut units = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        units = units.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(Value::Decimal { units: sign * units, scale })
}

/// Days since 1970-01-01.
pub(crate) fn days(date: Date) -> Option<i32> {
    let day = jiff::civil::Date::new(date.year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?)
        .ok()?;
    Some(day.since(jiff::civil::Date::constant(1970, 1, 1)).ok()?.get_days())
}

/// Microseconds since 1970-01-01 of a time without zone. One that is finer has none.
pub(crate) fn micros(at: Timestamp) -> Option<i64> {
    if !at.fraction.is_multiple_of(1_000) {
        return None;
    }
    let day = days(Date { year: at.year, month: at.month, day: at.day })?;
    let seconds = i64::from(at.hour) * 3_600 + i64::from(at.minute) * 60 + i64::from(at.second);
    Some(i64::from(day) * US_PER_DAY + seconds * US_PER_SECOND + i64::from(at.fraction / 1_000))
}

/// The date of a number of days since 1970-01-01.
pub(crate) fn date(days: i32) -> Option<Date> {
    let at = timestamp(i64::from(days).checked_mul(US_PER_DAY)?)?;
    Some(Date { year: at.year, month: at.month, day: at.day })
}

/// The time of a number of microseconds since 1970-01-01.
pub(crate) fn timestamp(us: i64) -> Option<Timestamp> {
    let at = jiff::Timestamp::from_microsecond(us).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    Some(Timestamp {
        year: at.year(),
        month: at.month().unsigned_abs().into(),
        day: at.day().unsigned_abs().into(),
        hour: at.hour().unsigned_abs().into(),
        minute: at.minute().unsigned_abs().into(),
        second: at.second().unsigned_abs().into(),
        fraction: u32::try_from(at.subsec_nanosecond()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways_exactly() {
        for us in [0, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(timestamp(us).and_then(micros), Some(us));
        }
        assert_eq!(date(-1).and_then(days), Some(-1));
        let finer = Timestamp { fraction: 100, ..timestamp(0).unwrap() };
        assert_eq!(micros(finer), None);
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let units = |text, scale| match decimal_value(text, scale) {
            Some(Value::Decimal { units, .. }) => Some(units),
            _ => None,
        };
        assert_eq!((units("-12.30", 2), units(".5", 2), units("7", 0)), (Some(-1_230), Some(50), Some(7)));
        assert_eq!((units("1.234", 2), units("NaN", 2), units("", 2)), (None, None, None));
    }
}
