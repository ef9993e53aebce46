//! Values as the text that PostgreSQL reads: what [`super::text`] reads, backwards. A reader asks for rows by such
//! keys.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

const US_PER_SECOND: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;

/// The text of a value that is not null; `None` for a type that this source does not emit.
pub(crate) fn value(array: &dyn Array, row: usize) -> Option<String> {
    Some(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => bytea(array.as_binary::<i32>().value(row)),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            clock(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some())
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let us = interval.nanoseconds / 1_000;
            let sign = if us < 0 { "-" } else { "+" };
            let clock = clock(us.saturating_abs());
            format!("{} mons {} days {sign}{clock}", interval.months, interval.days)
        }
        _ => return None,
    })
}

/// Rust prints the shortest digits that read back as the same number.
fn float<N: std::fmt::Display + Into<f64> + Copy>(number: N) -> String {
    match number.into() {
        infinite if infinite == f64::INFINITY => "Infinity".to_owned(),
        infinite if infinite == f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => number.to_string(),
    }
}

fn bytea(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        _ => {
            let (day, era) = day(days.into());
            day + era
        }
    }
}

fn timestamp(us: i64, zoned: bool) -> String {
    match us {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        _ => {
            let (day, era) = day(us.div_euclid(US_PER_DAY));
            format!("{day} {}{}{era}", clock(us.rem_euclid(US_PER_DAY)), if zoned { "+00" } else { "" })
        }
    }
}

/// `HH:MM:SS.ffffff`.
fn clock(us: i64) -> String {
    let (seconds, us) = (us / US_PER_SECOND, us % US_PER_SECOND);
    format!("{:02}:{:02}:{:02}.{us:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `YYYY-MM-DD` of a day since 1970-01-01, and what stands behind it before Christ; after Howard Hinnant's
/// `civil_from_days`.
fn day(since_1970: i64) -> (String, &'static str) {
    let shifted = since_1970 + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // The year 0 is the year 1 BC.
    let (year, before) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), before)
}

#[cfg(test)]
mod tests {
    use arrow_array::types::IntervalMonthDayNano;
    use arrow_array::{BooleanArray, Float64Array, IntervalMonthDayNanoArray};

    use super::super::text;
    use super::*;

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let days = rng.i32(-2_440_588..2_145_042_905);
            assert_eq!(text::date(&date(days)), Some(days));
            let us = rng.i64(-210_866_803_200_000_000..9_223_371_331_200_000_000);
            for zoned in [false, true] {
                assert_eq!(text::timestamp(&timestamp(us, zoned), zoned), Some(us));
            }
            let (months, days) = (rng.i32(..), rng.i32(..));
            let nanos = rng.i64(i64::MIN / 1_000 + 1..i64::MAX / 1_000) * 1_000;
            let interval = IntervalMonthDayNano::new(months, days, nanos);
            let array = IntervalMonthDayNanoArray::from(vec![interval]);
            assert_eq!(text::interval(&value(&array, 0).unwrap()), Some(interval));
        }
        for days in [i32::MAX, i32::MIN, 0, -719_528] {
            assert_eq!(text::date(&date(days)), Some(days));
        }
        assert_eq!(text::time(&clock(US_PER_DAY)), Some(US_PER_DAY));
    }

    #[test]
    fn numbers_and_bytes_are_printed_as_postgres_reads_them() {
        let floats = Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY, 0.1, 5e-324, -0.0]);
        let printed: Vec<_> = (0..floats.len()).map(|row| value(&floats, row).unwrap()).collect();
        assert_eq!(printed[..3], ["NaN", "-Infinity", "0.1"]);
        assert_eq!(printed[3].parse(), Ok(5e-324));
        assert_eq!(printed[4], "-0");
        assert_eq!(value(&BooleanArray::from(vec![true]), 0).unwrap(), "true");
        assert_eq!(text::bytea(bytea(&[0, 255]).as_bytes()), Some(vec![0, 255]));
    }
}
