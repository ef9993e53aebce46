//! Numbers from text.

use std::str::FromStr;

/// A floating-point number. Besides digits, `inf`, `infinity` and `nan` are numbers in any case.
pub(crate) fn float<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A decimal as the integer that it is once multiplied by 10^`scale`. Digits after the point beyond `scale` must
/// be zeros, so nothing is rounded.
pub(crate) fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let (whole, fraction) = digits.split_at(point);
    let fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let kept = fraction.len().min(usize::from(scale));
    if fraction[kept..].iter().any(|b| *b != b'0') {
        return None;
    }
    let padding = usize::from(scale) - kept;
    let mut value: i128 = 0;
    for byte in whole.iter().chain(&fraction[..kept]).chain(std::iter::repeat_n(&b'0', padding)) {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let limit = 10i128.checked_pow(u32::from(precision))?;
    (value < limit).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_exact_or_refused() {
        assert_eq!(decimal("12.34", 12, 2), Some(1_234));
        assert_eq!(decimal("-0.5", 12, 2), Some(-50));
        assert_eq!(decimal("+7", 12, 2), Some(700));
        assert_eq!(decimal(".5", 12, 2), Some(50));
        assert_eq!(decimal("5.", 12, 2), Some(500));
        assert_eq!(decimal("1.230", 12, 2), Some(123));
        assert_eq!(decimal("1.239", 12, 2), None);
        assert_eq!(decimal("1000", 5, 2), None);
        assert_eq!(decimal("999.99", 5, 2), Some(99_999));
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Some(10i128.pow(38) - 1));
        assert_eq!(decimal(&"9".repeat(60), 38, 0), None);
        for text in ["", "-", ".", "1,5", "1e3", "--1", "1.2.3", "NaN"] {
            assert_eq!(decimal(text, 12, 2), None, "{text}");
        }
    }
}
