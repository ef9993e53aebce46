//! Values from the text that PostgreSQL prints with `DateStyle` ISO, `IntervalStyle` postgres and the time zone
//! UTC.
//!
//! Dates reach from 4713 BC to the year 5874897. `infinity` and `-infinity` are the largest and the smallest
//! number of their column; the sink of this crate turns them back.

use arrow_array::types::IntervalMonthDayNano;

const US_PER_SECOND: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;

/// Days since 1970-01-01.
pub(crate) fn date(text: &str) -> Option<i32> {
    match text {
        "infinity" => Some(i32::MAX),
        "-infinity" => Some(i32::MIN),
        _ => {
            let (text, before_christ) = era(text);
            i32::try_from(days(text, before_christ)?).ok()
        }
    }
}

/// Microseconds since midnight.
pub(crate) fn time(text: &str) -> Option<i64> {
    let (hours, rest) = cut(text, b':')?;
    let (minutes, rest) = cut(rest, b':')?;
    Some((whole(hours)? * 3600 + whole(minutes)? * 60) * US_PER_SECOND + seconds(rest)?)
}

/// Microseconds since 1970-01-01, of a time without zone or, with `zoned`, of one in UTC.
pub(crate) fn timestamp(text: &str, zoned: bool) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, before_christ) = era(text);
    let text = if zoned { text.strip_suffix("+00")? } else { text };
    let (date, clock) = cut(text, b' ')?;
    days(date, before_christ)?.checked_mul(US_PER_DAY)?.checked_add(time(clock)?)
}

/// An interval such as `1 year 2 mons -3 days -04:05:06.789`.
pub(crate) fn interval(text: &str) -> Option<IntervalMonthDayNano> {
    let (mut months, mut days, mut nanos) = (0_i64, 0_i64, 0_i64);
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            nanos = clock(word)?.checked_mul(1_000)?;
            continue;
        }
        let count: i64 = word.strip_prefix('+').unwrap_or(word).parse().ok()?;
        match words.next()? {
            "year" | "years" => months += count * 12,
            "mon" | "mons" => months += count,
            "day" | "days" => days += count,
            _ => return None,
        }
    }
    let (months, days) = (i32::try_from(months).ok()?, i32::try_from(days).ok()?);
    Some(IntervalMonthDayNano::new(months, days, nanos))
}

/// The number times `10^scale`, exactly. `NaN` and the infinities are none.
pub(crate) fn decimal(text: &str, scale: u8) -> Option<i128> {
    let (negative, size) = match text.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, text),
    };
    let (whole, fraction) = cut(size, b'.').unwrap_or((size, ""));
    if whole.is_empty() || fraction.len() > usize::from(scale) {
        return None;
    }
    let missing = usize::from(scale) - fraction.len();
    let fraction = if fraction.is_empty() { 0 } else { digits(fraction)? };
    let shift =
        |number: i128, places: usize| number.checked_mul(10_i128.checked_pow(u32::try_from(places).ok()?)?);
    let number = shift(digits(whole)?, scale.into())?.checked_add(shift(fraction, missing)?)?;
    Some(if negative { -number } else { number })
}

/// Bytes in hexadecimal after `\x`.
pub(crate) fn bytea(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x").filter(|digits| digits.len() % 2 == 0)?;
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks_exact(2).map(|pair| u8::try_from((nibble(pair[0])? << 4) | nibble(pair[1])?).ok()).collect()
}

fn era(text: &str) -> (&str, bool) {
    match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

/// Days from 1970-01-01 to `YYYY-MM-DD`, after Howard Hinnant's `days_from_civil`: years begin in March, so
/// that the leap day is the last one, and 400 of them make an era of 146,097 days.
fn days(text: &str, before_christ: bool) -> Option<i64> {
    let (year, rest) = cut(text, b'-')?;
    let (month, day) = cut(rest, b'-')?;
    let (year, month, day) = (whole(year)?, whole(month)?, whole(day)?);
    // The year 1 BC is the year 0.
    let year = if before_christ { 1 - year } else { year };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds of `HH:MM:SS.ffffff`, with a sign for all of it.
fn clock(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(text) => time(text).map(|us| -us),
        None => time(text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Microseconds of `SS` or `SS.ffffff`.
fn seconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = cut(text, b'.').unwrap_or((text, ""));
    if fraction.len() > 6 {
        return None;
    }
    let us = if fraction.is_empty() { 0 } else { whole(fraction)? * 10_i64.pow(6 - fraction.len() as u32) };
    Some(whole(seconds)? * US_PER_SECOND + us)
}

/// A number of digits and nothing else.
fn whole(text: &str) -> Option<i64> {
    let next = |number: i64, byte: u8| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    if text.is_empty() { None } else { text.bytes().try_fold(0, next) }
}

/// The same where it may be longer than a machine's word, which costs more.
fn digits(text: &str) -> Option<i128> {
    match text.len() {
        ..=18 => whole(text).map(i128::from),
        _ => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?,
    }
}

/// What stands before and behind the first such byte. In texts as short as these a plain search is the fastest.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_reach_from_the_first_to_the_last_that_postgres_has() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-02-29"), Some(11_016));
        assert_eq!(date("2000-01-01"), Some(10_957));
        assert_eq!(date("4714-11-24 BC"), Some(-2_440_588));
        assert_eq!(date("5874897-12-31"), Some(2_145_031_948 + 10_957));
        assert_eq!((date("infinity"), date("-infinity")), (Some(i32::MAX), Some(i32::MIN)));
        assert_eq!((date("2026-13-01"), date("x"), date("")), (None, None, None));
    }

    #[test]
    fn times_are_exact_to_the_microsecond() {
        assert_eq!(time("24:00:00"), Some(US_PER_DAY));
        assert_eq!(time("00:00:01.5"), Some(1_500_000));
        assert_eq!(timestamp("1969-12-31 23:59:59.999999", false), Some(-1));
        assert_eq!(timestamp("1970-01-01 00:00:00.000001+00", true), Some(1));
        assert_eq!(timestamp("1970-01-01 00:00:00", true), None);
        assert_eq!(timestamp("0001-12-31 00:00:00+00 BC", true), Some(-719_163 * US_PER_DAY));
        assert_eq!(timestamp("-infinity", true), Some(i64::MIN));
    }

    #[test]
    fn the_parts_of_an_interval_keep_their_signs() {
        let parts = |text| interval(text).map(|i| (i.months, i.days, i.nanoseconds));
        assert_eq!(parts("1 year 2 mons -3 days +04:05:06.789"), Some((14, -3, 14_706_789_000_000)));
        assert_eq!(parts("-1 years -1 days -00:00:00.000001"), Some((-12, -1, -1_000)));
        assert_eq!(parts("00:00:00"), Some((0, 0, 0)));
        assert_eq!(parts("1 fortnight"), None);
    }

    #[test]
    fn decimals_and_bytes_are_exact() {
        assert_eq!(decimal("-12.30", 4), Some(-123_000));
        assert_eq!(decimal(&"9".repeat(38), 0), Some(10_i128.pow(38) - 1));
        assert_eq!((decimal("NaN", 2), decimal("1.234", 2), decimal("Infinity", 0)), (None, None, None));
        assert_eq!(bytea(b"\\x00ff"), Some(vec![0, 255]));
        assert_eq!((bytea(b"\\x0"), bytea(b"00"), bytea(b"\\xzz")), (None, None, None));
    }
}
