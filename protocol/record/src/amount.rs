//! Amounts as an admin writes them: `64MiB`, `10s`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A text that is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct AmountError {
    text: String,
    expected: &'static str,
}

/// A number of bytes, written `512`, `64KiB`, `10GiB` or `1GB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// A length of time, written `250ms`, `10s`, `5m`, `12h` or `7d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeSpan(pub Duration);

const BYTE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

const MILLISECOND_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for ByteSize {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        parse(text, BYTE_UNITS, "a number of bytes such as 512, 64KiB or 10GiB").map(Self)
    }
}

impl FromStr for TimeSpan {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let millis = parse(text, MILLISECOND_UNITS, "a length of time such as 250ms, 10s, 5m, 12h or 7d")?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, BYTE_UNITS)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), MILLISECOND_UNITS)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        text.parse()
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        span.to_string()
    }
}

macro_rules! described_as_text {
    ($($name:ident, $units:ident, $example:literal;)*) => {$(
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": pattern($units), "examples": [$example] })
            }
        }
    )*};
}

described_as_text! {
    ByteSize, BYTE_UNITS, "64MiB";
    TimeSpan, MILLISECOND_UNITS, "10s";
}

fn parse(text: &str, units: &[(&str, u64)], expected: &'static str) -> Result<u64, AmountError> {
    let fault = || AmountError { text: text.to_owned(), expected };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(fault)?;
    if digits > most_digits(*factor) {
        return Err(fault());
    }
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)).ok_or_else(fault)
}

/// How many digits a number may have so that it fits whatever they are: a rule that a pattern can say.
fn most_digits(factor: u64) -> usize {
    (u64::MAX / factor).ilog10() as usize
}

/// What such an amount looks like, as a regular expression of JSON Schema.
fn pattern(units: &[(&str, u64)]) -> String {
    let forms = units.iter().map(|(name, factor)| format!("[0-9]{{1,{}}} ?{name}", most_digits(*factor)));
    format!("^({})$", forms.collect::<Vec<_>>().join("|"))
}

/// Shows the amount in the largest unit that needs no fraction.
fn show(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let exact = units.iter().find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    let (name, factor) = exact.or(units.last()).copied().unwrap_or(("", 1));
    write!(f, "{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_as_it_was_written() {
        for text in ["64KiB", "10GiB", "1GB", "7B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["250ms", "10s", "5m", "12h", "7d"] {
            assert_eq!(text.parse::<TimeSpan>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_an_example() {
        let said = "10 parsecs".parse::<TimeSpan>().unwrap_err().to_string();
        assert_eq!(said, "`10 parsecs` is not a length of time such as 250ms, 10s, 5m, 12h or 7d");
        assert!("99999999999999999999".parse::<ByteSize>().is_err());
        assert!("-5s".parse::<TimeSpan>().is_err());
    }

    #[test]
    fn as_many_digits_as_the_pattern_allows_are_taken_and_no_more() {
        for (unit, factor) in BYTE_UNITS {
            let most = "9".repeat(most_digits(*factor));
            assert!(format!("{most}{unit}").parse::<ByteSize>().is_ok(), "{most}{unit}");
            assert!(format!("{most}9{unit}").parse::<ByteSize>().is_err(), "{most}9{unit}");
        }
        assert!(pattern(MILLISECOND_UNITS).ends_with("|[0-9]{1,19} ?ms)$"));
    }
}
