//! Decimal numbers as the binlog packs them.
//!
//! Nine digits take four bytes, the highest byte first, and the digits before and after those groups as few as they
//! need. The highest bit is set for numbers that are not negative; the bytes of negative ones are inverted.

/// Bytes that so many digits take, up to eight.
const BYTES: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];

/// The digits of a packed number, with its sign and without a point; none if it is damaged.
pub(crate) fn digits(packed: &[u8], precision: u8, scale: u8) -> Option<String> {
    let (whole, scale) = (usize::from(precision.checked_sub(scale)?), usize::from(scale));
    let packed = packed.get(..bytes(precision, scale as u8)?)?;
    let negative = packed.first()? & 0x80 == 0;
    let mask = if negative { 0xff } else { 0 };
    let mut plain: Vec<u8> = packed.iter().map(|byte| byte ^ mask).collect();
    plain[0] ^= 0x80;
    let mut text = if negative { "-".to_owned() } else { String::new() };
    let mut rest = &*plain;
    let mut group = |digits: usize, bytes: usize| {
        let (taken, behind) = rest.split_at(bytes);
        rest = behind;
        let number = taken.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        if digits > 0 {
            text.push_str(&format!("{number:0digits$}"));
        }
    };
    group(whole % 9, BYTES[whole % 9]);
    (0..whole / 9).for_each(|_| group(9, 4));
    (0..scale / 9).for_each(|_| group(9, 4));
    group(scale % 9, BYTES[scale % 9]);
    Some(text)
}

/// How many bytes a packed number takes; none if there is no such type.
pub(crate) fn bytes(precision: u8, scale: u8) -> Option<usize> {
    let of = |digits: usize| digits / 9 * 4 + BYTES[digits % 9];
    Some(of(usize::from(precision.checked_sub(scale)?)) + of(usize::from(scale))).filter(|bytes| *bytes > 0)
}

/// The digits with their point, and without zeros that lead.
pub(crate) fn text(digits: &str, scale: u8) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale).min(digits.len()));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// The number that a text shows, in units of its last digit, of which there are `scale` after the point.
pub(crate) fn parse(text: &str, scale: u8) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<width$}", width = usize::from(scale));
    (fraction.len() == usize::from(scale)).then(|| format!("{whole}{fraction}").parse().ok())?
}

/// The text of a number in units of its last digit.
pub(crate) fn show(number: i128, scale: u8) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", number.unsigned_abs(), width = usize::from(scale) + 1);
    format!("{sign}{}", text(&digits, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_number_is_read_to_its_last_digit() {
        // The example of the server's source: 1234567890.1234 as decimal(14,4).
        let packed = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(digits(&packed, 14, 4).as_deref(), Some("12345678901234"));
        let negative = packed.map(|byte| !byte);
        assert_eq!(digits(&negative, 14, 4).map(|d| text(&d, 4)).as_deref(), Some("-1234567890.1234"));
        assert_eq!(digits(&packed[..6], 14, 4), None);
        assert_eq!(digits(&[], 0, 0), None);
    }

    #[test]
    fn numbers_and_texts_are_two_forms_of_the_same() {
        assert_eq!((parse("-12.30", 4), parse("7", 0), parse("1.234", 2)), (Some(-123_000), Some(7), None));
        assert_eq!(
            (show(-5, 2), show(123_000, 4), show(0, 0)),
            ("-0.05".into(), "12.3000".into(), "0".into())
        );
        assert_eq!((text("-000", 2), text("00120", 2)), ("-0.00".to_owned(), "1.20".to_owned()));
    }
}
