//! Dates and times from text: ISO 8601 by hand, because it is on the fast path, and any other form by its
//! strftime conversions.

use arrow_buffer::IntervalMonthDayNano;
use jiff::fmt::strtime;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Days since 1970-01-01.
pub(crate) fn date(text: &str, format: Option<&str>) -> Option<i32> {
    match format {
        None => match iso_date(text.as_bytes())? {
            (days, []) => i32::try_from(days).ok(),
            _ => None,
        },
        Some(format) => {
            let date = strtime::parse(format, text).ok()?.to_date().ok()?;
            i32::try_from(days(i64::from(date.year()), date.month().into(), date.day().into())?).ok()
        }
    }
}

/// Microseconds since midnight.
pub(crate) fn time(text: &str, format: Option<&str>) -> Option<i64> {
    match format {
        None => match iso_time(text.as_bytes())? {
            (micros, []) => Some(micros),
            _ => None,
        },
        Some(format) => Some(micros_of(strtime::parse(format, text).ok()?.to_time().ok()?)),
    }
}

/// Microseconds between 1970-01-01 and this date and time, as if the clock had run through.
pub(crate) fn local_timestamp(text: &str, format: Option<&str>) -> Option<i64> {
    match format {
        None => match iso_date_time(text)? {
            (micros, []) => Some(micros),
            _ => None,
        },
        Some(format) => {
            let moment = strtime::parse(format, text).ok()?.to_datetime().ok()?;
            let days = days(i64::from(moment.year()), moment.month().into(), moment.day().into())?;
            Some(days * SECONDS_PER_DAY * MICROS_PER_SECOND + micros_of(moment.time()))
        }
    }
}

/// Microseconds since 1970-01-01 UTC. A text without zone is none: guessing one would shift data silently.
pub(crate) fn timestamp(text: &str, format: Option<&str>) -> Option<i64> {
    match format {
        None => {
            let (micros, zone) = iso_date_time(text)?;
            Some(micros - zone_seconds(zone)? * MICROS_PER_SECOND)
        }
        Some(format) => Some(strtime::parse(format, text).ok()?.to_timestamp().ok()?.as_microsecond()),
    }
}

/// A duration such as `P1Y2M3DT4H5M6.5S`.
pub(crate) fn interval(text: &str) -> Option<IntervalMonthDayNano> {
    let span: jiff::Span = text.parse().ok()?;
    let months = i32::from(span.get_years()).checked_mul(12)?.checked_add(span.get_months())?;
    let days = span.get_weeks().checked_mul(7)?.checked_add(span.get_days())?;
    let seconds = i64::from(span.get_hours()) * 3_600 + span.get_minutes() * 60 + span.get_seconds();
    let micros = span.get_milliseconds().checked_mul(1_000)?.checked_add(span.get_microseconds())?;
    let nanos = seconds
        .checked_mul(1_000_000_000)?
        .checked_add(micros.checked_mul(1_000)?)?
        .checked_add(span.get_nanoseconds())?;
    Some(IntervalMonthDayNano::new(months, days, nanos))
}

fn micros_of(time: jiff::civil::Time) -> i64 {
    let seconds = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    seconds * MICROS_PER_SECOND + i64::from(time.subsec_nanosecond()) / 1_000
}

/// `2026-01-31`, `T` or a space, and a time; returns what follows.
fn iso_date_time(text: &str) -> Option<(i64, &[u8])> {
    let (days, rest) = iso_date(text.as_bytes())?;
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let (micros, rest) = iso_time(rest)?;
    Some((days * SECONDS_PER_DAY * MICROS_PER_SECOND + micros, rest))
}

/// `2026-01-31` as days since 1970-01-01; returns what follows.
fn iso_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = text else { return None };
    let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
    Some((days(year, two(*m1, *m2)?, two(*d1, *d2)?)?, rest))
}

/// `13:45`, `13:45:00` or `13:45:00.123456` as microseconds since midnight; returns what follows. Digits beyond
/// microseconds are cut off.
fn iso_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let mut rest = rest;
    let (hour, minute) = (two(*h1, *h2)?, two(*m1, *m2)?);
    let mut second = 0;
    let mut micros = 0;
    if let [b':', s1, s2, after @ ..] = rest {
        (second, rest) = (two(*s1, *s2)?, after);
        if let [b'.' | b',', after @ ..] = rest {
            let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return None;
            }
            let padded = after[..digits].iter().chain(std::iter::repeat(&b'0'));
            micros = padded.take(6).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
            rest = &after[digits..];
        }
    }
    let fits = hour < 24 && minute < 60 && second < 60;
    fits.then_some((((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros, rest))
}

/// `Z`, `+01:00`, `+0100` or `+01` as seconds east of UTC.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => (two(*h1, *h2)?, 0),
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar, counted in years that begin in March so that
/// the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    let (march_year, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let day_of_year = (153 * months + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_agree_with_the_calendar_library() {
        let epoch = jiff::civil::date(1970, 1, 1);
        for days_after in (-719_162..2_932_896).step_by(997) {
            let date = epoch.checked_add(jiff::Span::new().days(days_after)).unwrap();
            assert_eq!(super::date(&date.to_string(), None), Some(days_after), "{date}");
        }
    }

    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        for text in
            ["2023-02-29", "2024-13-01", "2024-00-10", "2024-04-31", "2024-1-1", "20240101", "2024-01-01x"]
        {
            assert_eq!(date(text, None), None, "{text}");
        }
        assert_eq!(date("2024-02-29", None), Some(19_782));
        assert_eq!(date("29.02.2024", Some("%d.%m.%Y")), Some(19_782));
    }

    #[test]
    fn a_timestamp_needs_a_zone_and_a_local_one_must_not_have_one() {
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00", None), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:01.5Z", None), Some(1_500_000));
        assert_eq!(timestamp("1969-12-31T23:30:00-0030", None), Some(0));
        assert_eq!(timestamp("1970-01-01T00:00:00", None), None);
        assert_eq!(local_timestamp("1970-01-01T00:00:01", None), Some(1_000_000));
        assert_eq!(local_timestamp("1970-01-01 00:01", None), Some(60_000_000));
        assert_eq!(local_timestamp("1970-01-01T00:00:01Z", None), None);
        assert_eq!(local_timestamp("1970-01-01T24:00:00", None), None);
        assert_eq!(local_timestamp("01/02/1970 00:00", Some("%d/%m/%Y %H:%M")), Some(31 * 86_400_000_000));
        assert_eq!(timestamp("1970-01-01 02:00 +0200", Some("%Y-%m-%d %H:%M %z")), Some(0));
    }

    #[test]
    fn times_and_intervals_are_exact() {
        assert_eq!(time("13:45:00.000001", None), Some(49_500_000_001));
        assert_eq!(time("7:00", None), None);
        assert_eq!(time("0745", Some("%H%M")), Some(27_900_000_000));
        assert_eq!(interval("P1Y2M3DT4H"), Some(IntervalMonthDayNano::new(14, 3, 14_400_000_000_000)));
        assert_eq!(interval("-PT0.5S"), Some(IntervalMonthDayNano::new(0, 0, -500_000_000)));
        assert_eq!(interval("tomorrow"), None);
    }
}
