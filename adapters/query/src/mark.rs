//! Marks: the values of the column that rises with every write, and how far behind the highest one a look begins.

use jiff::ToSpan;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Deserialize;
use towpath_record::TimeSpan;

use crate::value::Value;

/// How far behind the highest mark each run begins, for rows that were committed late.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Overlap {
    /// For a mark that is a number: so much less.
    Number(u32),
    /// For a mark that is a time: so much earlier.
    Span(TimeSpan),
}

impl Overlap {
    /// Where a run begins that follows one whose highest mark is `mark`.
    ///
    /// # Errors
    /// In words, why this cannot be taken off such a mark.
    pub(crate) fn before(self, mark: &Value) -> Result<Value, String> {
        match self {
            Self::Number(number) => less_number(mark, number),
            Self::Span(span) => less_span(mark, span),
        }
        .ok_or_else(|| {
            format!(
                "`overlap` cannot be taken off the mark {}: a number goes with numbers, a length of time such as \
                 5m with dates, times and texts such as 2026-01-31 12:00:00",
                mark.shown()
            )
        })
    }
}

/// Whether a value can be a mark: something that sorts, and that can be said to the database again.
pub(crate) fn is_mark(value: &Value) -> bool {
    let sorts = match value {
        Value::Float(number) => number.is_finite(),
        Value::Boolean(_) | Value::Bytes(_) | Value::Time(_) => false,
        _ => true,
    };
    sorts && value.to_text().is_some()
}

fn less_number(mark: &Value, number: u32) -> Option<Value> {
    Some(match mark {
        Value::Int(mark) => Value::Int(mark.saturating_sub(number.into())),
        Value::Uint(mark) => Value::Uint(mark.saturating_sub(number.into())),
        Value::Float(mark) => Value::Float(mark - f64::from(number)),
        Value::Decimal { units, scale } => {
            let unit = 10_i128.checked_pow((*scale).into())?;
            let less = unit.checked_mul(number.into())?;
            Value::Decimal { units: units.checked_sub(less)?, scale: *scale }
        }
        _ => return None,
    })
}

fn less_span(mark: &Value, span: TimeSpan) -> Option<Value> {
    let us = i64::try_from(span.0.as_micros()).ok()?;
    Some(match mark {
        Value::Date(days) => {
            let whole_days = us.div_euclid(86_400_000_000) + i64::from(us % 86_400_000_000 != 0);
            Value::Date(days.saturating_sub(i32::try_from(whole_days).ok()?))
        }
        Value::LocalTimestamp(mark) => Value::LocalTimestamp(mark.checked_sub(us)?),
        Value::Timestamp(mark) => Value::Timestamp(mark.checked_sub(us)?),
        Value::Text(text) => Value::Text(earlier_text(text, us)?),
        _ => return None,
    })
}

/// A time in text, written as the other was: the same separator, as many digits of a second, the same zone.
fn earlier_text(text: &str, us: i64) -> Option<String> {
    let (clock, rest) = text.split_at_checked(19)?;
    let digits = rest.strip_prefix('.').map_or(0, |it| it.bytes().take_while(u8::is_ascii_digit).count());
    if digits > 6 {
        return None;
    }
    let (fraction, zone) = rest.split_at(if digits == 0 { 0 } else { digits + 1 });
    let offset_is_known = zone.is_empty() || zone.bytes().all(|b| b"Z+-:0123456789".contains(&b));
    let separator = clock.chars().nth(10).filter(|c| matches!(c, ' ' | 'T'))?;
    let at: DateTime = format!("{clock}{fraction}").replace(separator, "T").parse().ok()?;
    let earlier = at.checked_sub(us.microseconds()).ok()?;
    let day = earlier.strftime("%Y-%m-%d");
    let second = earlier.strftime("%H:%M:%S");
    let micros = format!("{:06}", earlier.subsec_nanosecond() / 1_000);
    let fraction = if digits == 0 { String::new() } else { format!(".{}", &micros[..digits]) };
    offset_is_known.then(|| format!("{day}{separator}{second}{fraction}{zone}"))
}

/// Whether `mark` lies before `begin`, as far as that can be told without the database's collation. What cannot
/// be told is not before.
pub(crate) fn is_before(mark: &Value, begin: &Value) -> bool {
    mark.partial_cmp(begin).is_some_and(std::cmp::Ordering::is_lt)
        && std::mem::discriminant(mark) == std::mem::discriminant(begin)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn span(seconds: u64) -> Overlap {
        Overlap::Span(TimeSpan(Duration::from_secs(seconds)))
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn an_overlap_is_taken_off_in_the_unit_of_the_mark() {
        assert_eq!(Overlap::Number(5).before(&Value::Int(12)), Ok(Value::Int(7)));
        assert_eq!(Overlap::Number(5).before(&Value::Uint(3)), Ok(Value::Uint(0)));
        let decimal = |units| Value::Decimal { units, scale: 2 };
        assert_eq!(Overlap::Number(5).before(&decimal(1250)), Ok(decimal(750)));
        assert_eq!(span(1).before(&Value::Timestamp(1)), Ok(Value::Timestamp(-999_999)));
        assert_eq!(span(1).before(&Value::Date(3)), Ok(Value::Date(2)), "a part of a day counts as one");
    }

    #[test]
    fn a_time_in_text_keeps_its_shape() {
        let earlier = |it: &str| span(90).before(&text(it));
        assert_eq!(earlier("2026-03-01 00:00:30"), Ok(text("2026-02-28 23:59:00")));
        assert_eq!(earlier("2026-03-01T00:01:30.120Z"), Ok(text("2026-03-01T00:00:00.120Z")));
        assert_eq!(earlier("2026-03-01 00:01:30.000001+02:00"), Ok(text("2026-03-01 00:00:00.000001+02:00")));
    }

    #[test]
    fn an_overlap_that_does_not_go_with_its_mark_is_refused() {
        assert!(span(1).before(&Value::Int(1)).unwrap_err().contains("a number goes with numbers"));
        assert!(span(1).before(&text("yesterday")).is_err());
        assert!(span(1).before(&text("2026-03-01 00:00:00 noon")).is_err());
        assert!(Overlap::Number(1).before(&text("a")).is_err());
    }

    #[test]
    fn only_what_sorts_and_can_be_said_again_is_a_mark() {
        assert!(is_mark(&Value::Int(1)) && is_mark(&text("a")) && is_mark(&Value::Timestamp(0)));
        assert!(
            !is_mark(&Value::Null) && !is_mark(&Value::Float(f64::NAN)) && !is_mark(&Value::Bytes(vec![]))
        );
        assert!(!is_mark(&Value::Timestamp(i64::MAX)), "infinity would end the reading for ever");
    }
}
