//! Values as JSON.
//!
//! Arrow's encoders write integers, booleans, decimals (all their digits), text, bytes (hexadecimal), lists
//! and structs. Here is what they would lose or write slowly: floats that are no number, and times. Dates and
//! times are ISO 8601, instants in UTC with `Z`, a fraction of six digits where it is not zero; a year beyond
//! 9999 or before 0 carries its sign. Intervals are ISO 8601 durations.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, FieldRef, IntervalUnit, TimeUnit};

const DAY_US: i64 = 86_400_000_000;
const SECOND_US: i64 = 1_000_000;

/// The encoder of a column.
///
/// # Errors
/// Arrow does not know the type.
pub(crate) fn encoder<'a>(
    field: &'a FieldRef,
    array: &'a dyn Array,
) -> Result<NullableEncoder<'a>, ArrowError> {
    static OPTIONS: LazyLock<EncoderOptions> = LazyLock::new(|| {
        EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Exact))
    });
    make_encoder(field, array, &OPTIONS)
}

#[derive(Debug)]
struct Exact;

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                Box::new(By(values, |value: f32, out: &mut Vec<u8>| match value.is_finite() {
                    true => number(&value, out),
                    false => not_finite(value.into(), out),
                }))
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                Box::new(By(values, |value: f64, out: &mut Vec<u8>| match value.is_finite() {
                    true => number(&value, out),
                    false => not_finite(value, out),
                }))
            }
            DataType::Date32 => Box::new(By(
                array.as_primitive::<Date32Type>(),
                quoted(|day: i32, out| push_date(day.into(), out)),
            )),
            DataType::Time64(TimeUnit::Microsecond) => {
                Box::new(By(array.as_primitive::<Time64MicrosecondType>(), quoted(push_time)))
            }
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Box::new(By(array.as_primitive::<TimestampMicrosecondType>(), quoted(push_local)))
            }
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Box::new(By(array.as_primitive::<TimestampMicrosecondType>(), quoted(push_instant)))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let values = array.as_primitive::<IntervalMonthDayNanoType>();
                Box::new(By(
                    values,
                    quoted(|value, out: &mut Vec<u8>| out.extend_from_slice(iso_duration(value).as_bytes())),
                ))
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Encodes each value of an array by a function.
struct By<'a, T: arrow_array::ArrowPrimitiveType, F>(&'a PrimitiveArray<T>, F);

impl<T: arrow_array::ArrowPrimitiveType, F: Fn(T::Native, &mut Vec<u8>)> Encoder for By<'_, T, F> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        (self.1)(self.0.value(row), out);
    }
}

fn quoted<N>(push: impl Fn(N, &mut Vec<u8>)) -> impl Fn(N, &mut Vec<u8>) {
    move |value, out| {
        out.push(b'"');
        push(value, out);
        out.push(b'"');
    }
}

fn number(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a finite number is written to memory");
}

fn not_finite(value: f64, out: &mut Vec<u8>) {
    let word: &[u8] = match value {
        f64::INFINITY => b"\"Infinity\"",
        f64::NEG_INFINITY => b"\"-Infinity\"",
        _ => b"\"NaN\"",
    };
    out.extend_from_slice(word);
}

/// Appends the date that is this many days after 1970-01-01, in the proleptic Gregorian calendar.
///
/// The arithmetic is Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>): eras of 400 years that begin on 1 March.
pub(crate) fn push_date(days: i64, out: &mut Vec<u8>) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9999).contains(&year) {
        push_two(year / 100, out);
        push_two(year % 100, out);
    } else {
        write!(out, "{year:+05}").expect("memory takes every write");
    }
    out.push(b'-');
    push_two(month, out);
    out.push(b'-');
    push_two(day, out);
}

fn push_time(micros: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (micros / SECOND_US, micros % SECOND_US);
    push_two(seconds / 3600, out);
    out.push(b':');
    push_two(seconds / 60 % 60, out);
    out.push(b':');
    push_two(seconds % 60, out);
    if fraction > 0 {
        out.push(b'.');
        push_two(fraction / 10_000, out);
        push_two(fraction / 100 % 100, out);
        push_two(fraction % 100, out);
    }
}

fn push_local(micros: i64, out: &mut Vec<u8>) {
    push_date(micros.div_euclid(DAY_US), out);
    out.push(b'T');
    push_time(micros.rem_euclid(DAY_US), out);
}

fn push_instant(micros: i64, out: &mut Vec<u8>) {
    push_local(micros, out);
    out.push(b'Z');
}

fn push_two(number: i64, out: &mut Vec<u8>) {
    let digit = |value: i64| b'0' + u8::try_from(value).expect("a digit");
    out.extend_from_slice(&[digit(number / 10), digit(number % 10)]);
}

/// An interval as an ISO 8601 duration whose parts carry their own signs, as PostgreSQL writes it:
/// `P1M-2DT3.5S`.
pub(crate) fn iso_duration(interval: IntervalMonthDayNano) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    let mut text = "P".to_owned();
    if months != 0 {
        text += &format!("{months}M");
    }
    if days != 0 {
        text += &format!("{days}D");
    }
    if nanoseconds != 0 || text.len() == 1 {
        let sign = if nanoseconds < 0 { "-" } else { "" };
        let (seconds, fraction) =
            (nanoseconds.unsigned_abs() / SECOND_NS, nanoseconds.unsigned_abs() % SECOND_NS);
        let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:09}") };
        text += &format!("T{sign}{seconds}{}S", fraction.trim_end_matches('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(push: impl Fn(i64, &mut Vec<u8>), value: i64) -> String {
        let mut out = Vec::new();
        push(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let epoch = jiff::civil::date(1970, 1, 1);
        for day in (-719_162..2_932_896).step_by(97) {
            let date = epoch.checked_add(jiff::Span::new().days(day)).unwrap();
            assert_eq!(shown(push_date, day.into()), date.to_string());
        }
        assert_eq!(shown(push_date, 2_932_897), "+10000-01-01");
        assert_eq!(shown(push_date, -719_529), "-0001-12-31");
    }

    #[test]
    fn instants_show_a_fraction_only_where_there_is_one() {
        assert_eq!(shown(push_instant, 0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(push_instant, -1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(shown(push_time, 86_399_000_100), "23:59:59.000100");
        assert_eq!(shown(push_local, i64::MAX), "+294247-01-10T04:00:54.775807");
    }

    #[test]
    fn intervals_keep_the_signs_of_their_parts() {
        let shown = |months, days, nanos| iso_duration(IntervalMonthDayNano::new(months, days, nanos));
        assert_eq!(shown(0, 0, 0), "PT0S");
        assert_eq!(shown(-14, 30, -1_000), "P-14M30DT-0.000001S");
        assert_eq!(shown(0, 0, 3_500_000_000), "PT3.5S");
    }
}
