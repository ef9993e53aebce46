//! PostgreSQL's binary form of `numeric`: digits to the base 10,000 around the decimal point.
//!
//! ```text
//! i16 number of digits · i16 weight of the first · u16 sign (0x4000 is minus) · u16 decimals shown · i16
//! digits…
//! ```
//!
//! Source: `numeric_send` in PostgreSQL's `src/backend/utils/adt/numeric.c`.

use bytes::{BufMut, BytesMut};

const BASE: u128 = 10_000;
const BASE_DIGITS: u32 = 4;
const PLUS: u16 = 0;
const MINUS: u16 = 0x4000;

/// Appends the number `unscaled / 10^scale`.
pub(crate) fn put(unscaled: i128, scale: u8, out: &mut BytesMut) {
    let scale = u32::from(scale);
    let power = 10_u128.pow(scale);
    let (mut whole, mut fraction) = (unscaled.unsigned_abs() / power, unscaled.unsigned_abs() % power);
    // From the last digit to the first. The last one of the fraction may be filled up with zeros.
    let mut digits = Vec::with_capacity(12);
    let partial = scale % BASE_DIGITS;
    if partial > 0 {
        let step = 10_u128.pow(partial);
        digits.push(fraction % step * 10_u128.pow(BASE_DIGITS - partial));
        fraction /= step;
    }
    for _ in 0..scale / BASE_DIGITS {
        digits.push(fraction % BASE);
        fraction /= BASE;
    }
    let behind_point = digits.len();
    while whole > 0 {
        digits.push(whole % BASE);
        whole /= BASE;
    }
    let small =
        |number: usize| i16::try_from(number).expect("38 decimal digits are at most 11 of base 10,000");
    out.put_i16(small(digits.len()));
    out.put_i16(small(digits.len() - behind_point) - 1);
    out.put_u16(if unscaled < 0 { MINUS } else { PLUS });
    out.put_u16(u16::try_from(scale).expect("a scale is at most 38"));
    for digit in digits.iter().rev() {
        out.put_i16(i16::try_from(*digit).expect("a digit is below 10,000"));
    }
}

/// Reads the number as `unscaled / 10^scale`; `None` if it has more digits than that, or is no number.
pub(crate) fn get(bytes: &[u8], scale: u8) -> Option<i128> {
    let mut fields = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let count = usize::from(fields.next()?);
    let weight = i32::from(fields.next()?.cast_signed());
    let sign = fields.next().filter(|sign| [PLUS, MINUS].contains(sign))?;
    // The decimals that are shown say nothing of the number.
    fields.next()?;
    let digits: Vec<_> = fields.map(i128::from).collect();
    let Some((last, digits)) = digits.split_last().filter(|_| digits.len() == count) else {
        return (count == 0).then_some(0);
    };
    let mut number = 0_i128;
    for digit in digits {
        number = number.checked_mul(10_000)?.checked_add(*digit)?;
    }
    // How far the end of the last digit stands before the last place that is wanted.
    let behind = (weight - i32::try_from(digits.len()).ok()?) * 4 + i32::from(scale);
    let (width, last) = match u32::try_from(-behind).unwrap_or_default() {
        0 => (4, *last),
        cut @ 1..4 if last % 10_i128.pow(cut) == 0 => (4 - cut, last / 10_i128.pow(cut)),
        _ => return None,
    };
    let number = number.checked_mul(10_i128.pow(width))?.checked_add(last)?;
    let shifted = match u32::try_from(behind) {
        Ok(places) if number != 0 => number.checked_mul(10_i128.checked_pow(places)?)?,
        _ => number,
    };
    Some(if sign == MINUS { -shifted } else { shifted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_all(unscaled: i128, scale: u8) -> Vec<u16> {
        let mut out = BytesMut::new();
        put(unscaled, scale, &mut out);
        out.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn digits_stand_around_the_point_to_the_base_of_ten_thousand() {
        assert_eq!(put_all(0, 0), [0, u16::MAX, 0, 0]);
        assert_eq!(put_all(-12_345, 0), [2, 1, MINUS, 0, 1, 2345]);
        assert_eq!(put_all(12_345, 2), [2, 0, 0, 2, 123, 4500]);
        assert_eq!(put_all(1, 10), [3, u16::MAX, 0, 10, 0, 0, 100]);
    }

    #[test]
    fn a_number_is_read_as_it_was_put_or_not_at_all() {
        let nines = 10_i128.pow(38) - 1;
        for scale in 0..=38 {
            for number in [0, 1, -1, 10, 9_999, 10_000, -123_450_000, nines, -nines, nines - 9_999] {
                let mut out = BytesMut::new();
                put(number, scale, &mut out);
                assert_eq!(get(&out, scale), Some(number), "{number} with scale {scale}");
                if number % 10 != 0 && scale > 0 {
                    assert_eq!(get(&out, scale - 1), None, "{number} with scale {scale}");
                }
            }
        }
        let fields = |fields: &[u16]| fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<_>>();
        assert_eq!(get(&fields(&[0, 0, 0xC000, 0]), 2), None, "NaN");
        assert_eq!(get(&fields(&[1, 20, PLUS, 0, 1]), 0), None, "more than 38 digits");
        assert_eq!((get(&[], 0), get(&fields(&[2, 0, PLUS, 0, 1]), 0)), (None, None), "cut");
        assert_eq!(get(&fields(&[1, 0, PLUS, 5, 7]), 2), Some(700));
    }

    #[test]
    fn the_largest_decimals_fit() {
        let nines = 10_i128.pow(38) - 1;
        assert_eq!(put_all(nines, 38)[..4], [10, u16::MAX, 0, 38]);
        assert_eq!(put_all(-nines, 0)[..5], [10, 9, MINUS, 0, 99]);
    }
}
