//! Buckets: values are made coarse, always downwards, so that equal buckets are equally wide.
//!
//! Where the lower end of a bucket is below what the type holds, the lowest multiple that it holds stands for it. The
//! calendar is the proleptic Gregorian one, in UTC.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use towpath_resource::Bucket;

const DAY_US: i64 = 86_400_000_000;

/// The lower ends of the buckets that the values lie in.
pub(super) fn apply(bucket: Bucket, values: &ArrayRef) -> ArrayRef {
    match bucket {
        Bucket::Width(width) => by_width(values, width),
        Bucket::Decimals(decimals) => by_decimals(values, decimals),
        Bucket::Month => by_calendar(values, |date| (date.0, date.1)),
        Bucket::Year => by_calendar(values, |date| (date.0, 1)),
    }
}

fn by_width(values: &ArrayRef, width: u32) -> ArrayRef {
    macro_rules! integers {
        ($type:ty) => {
            each::<$type>(values, |value| {
                let lowest = <$type as ArrowPrimitiveType>::Native::MIN;
                let low = floor(i128::from(value), i128::from(width), i128::from(lowest));
                low.try_into().expect("it lies between the lowest value of the type and the value, or is 0")
            })
        };
    }
    match values.data_type() {
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Float32 => each::<Float32Type>(values, |value| float_width(f64::from(value), width) as f32),
        DataType::Float64 => each::<Float64Type>(values, |value| float_width(value, width)),
        other => unreachable!("a value of type {other} has no buckets of a width; see type_after"),
    }
}

fn by_decimals(values: &ArrayRef, decimals: u8) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => each::<Float32Type>(values, |value| float32_decimals(value, decimals)),
        DataType::Float64 => each::<Float64Type>(values, |value| float64_decimals(value, decimals)),
        DataType::Decimal128(precision, scale) => {
            let surplus = u32::from(scale.unsigned_abs().saturating_sub(decimals));
            let (width, lowest) = (10_i128.pow(surplus), -(10_i128.pow(u32::from(*precision)) - 1));
            each::<Decimal128Type>(values, |value| floor(value, width, lowest))
        }
        other => unreachable!("a value of type {other} has no decimals; see type_after"),
    }
}

fn by_calendar(values: &ArrayRef, unit: impl Fn((i64, i64)) -> (i64, i64)) -> ArrayRef {
    let first = |day: i64| {
        let (year, month) = unit(month_of(day));
        day_of(year, month)
    };
    match values.data_type() {
        DataType::Date32 => each::<Date32Type>(values, |day| {
            // The first day of a month is never later than the day, so only the lowest date can be too low.
            i32::try_from(first(i64::from(day))).unwrap_or(i32::MIN)
        }),
        DataType::Timestamp(..) => each::<TimestampMicrosecondType>(values, |instant| {
            first(instant.div_euclid(DAY_US)).checked_mul(DAY_US).unwrap_or(i64::MIN)
        }),
        other => unreachable!("a value of type {other} is no date; see type_after"),
    }
}

/// The same array with every value changed: same type, same absences.
fn each<T: ArrowPrimitiveType>(values: &ArrayRef, change: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    let changed = values.as_primitive::<T>().unary::<_, T>(change);
    Arc::new(changed.with_data_type(values.data_type().clone()))
}

/// The greatest multiple of the width that is not above the value; the next one if that is below the lowest.
fn floor(value: i128, width: i128, lowest: i128) -> i128 {
    let above = value.rem_euclid(width);
    match value.checked_sub(above) {
        Some(low) if low >= lowest => low,
        _ => value + (width - above),
    }
}

fn float_width(value: f64, width: u32) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let width = f64::from(width);
    let low = (value / width).floor() * width;
    // The quotient may have been rounded up to the next whole number.
    if low > value { low - width } else { low }
}

fn float64_decimals(value: f64, decimals: u8) -> f64 {
    let unit = 10_f64.powi(i32::from(decimals));
    let units = value * unit;
    // A value that is the nearest one to so many decimals stays: 0.29 times 100 is a little less than 29.
    if !units.is_finite() || units.round() / unit == value { value } else { units.floor() / unit }
}

fn float32_decimals(value: f32, decimals: u8) -> f32 {
    let unit = 10_f64.powi(i32::from(decimals));
    let units = f64::from(value) * unit;
    if !units.is_finite() || (units.round() / unit) as f32 == value {
        value
    } else {
        (units.floor() / unit) as f32
    }
}

// Days are counted from 1970-01-01, and years from March, so that the day that comes and goes is the last one. The
// formulas are those of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2021.

const DAYS_TO_1970: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;

/// The year, and the month from 1, that a day lies in.
const fn month_of(day: i64) -> (i64, i64) {
    let day = day + DAYS_TO_1970;
    let (era, day) = (day.div_euclid(DAYS_OF_400_YEARS), day.rem_euclid(DAYS_OF_400_YEARS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + (month <= 2) as i64, month)
}

/// The first day of a month.
const fn day_of(year: i64, month: i64) -> i64 {
    let year = year - (month <= 2) as i64;
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let day = 365 * year + year / 4 - year / 100 + (153 * from_march + 2) / 5;
    era * DAYS_OF_400_YEARS + day - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, TimestampMicrosecondArray,
        UInt64Array,
    };
    use chrono::{Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    fn bucketed<A: Array + Clone + 'static>(bucket: Bucket, values: A) -> A {
        let changed = apply(bucket, &(Arc::new(values) as ArrayRef));
        changed.as_any().downcast_ref::<A>().unwrap().clone()
    }

    #[test]
    fn whole_numbers_become_the_lower_end_of_their_bucket() {
        let values =
            Int8Array::from(vec![Some(-128), Some(-11), Some(-10), Some(-1), None, Some(9), Some(127)]);
        let left =
            Int8Array::from(vec![Some(-120), Some(-20), Some(-10), Some(-10), None, Some(0), Some(120)]);
        assert_eq!(bucketed(Bucket::Width(10), values), left);
        let wide = bucketed(Bucket::Width(1_000), Int8Array::from(vec![-5, 5]));
        assert_eq!(wide, Int8Array::from(vec![0, 0]));
        let top = bucketed(Bucket::Width(u32::MAX), UInt64Array::from(vec![u64::MAX]));
        assert_eq!(top.value(0) % u64::from(u32::MAX), 0);
    }

    #[test]
    fn floats_keep_so_many_decimals_and_go_down() {
        let values = Float64Array::from(vec![48.137, -48.137, 0.29, f64::INFINITY, 1e300, 7.0]);
        let left = bucketed(Bucket::Decimals(2), values);
        assert_eq!(left.values()[..], [48.13, -48.14, 0.29, f64::INFINITY, 1e300, 7.0]);
        let left = bucketed(Bucket::Decimals(1), Float32Array::from(vec![0.3, 0.39, -0.31]));
        assert_eq!(left.values()[..], [0.3, 0.3, -0.4]);
        let left = bucketed(Bucket::Width(5), Float64Array::from(vec![-0.1, 4.999, 5.0]));
        assert_eq!(left.values()[..], [-5.0, 0.0, 5.0]);
        assert!(bucketed(Bucket::Width(5), Float64Array::from(vec![f64::NAN])).value(0).is_nan());
    }

    #[test]
    fn decimals_stay_within_their_digits() {
        let values =
            Decimal128Array::from(vec![12_345, -12_345, -99_999]).with_precision_and_scale(5, 2).unwrap();
        let left = bucketed(Bucket::Decimals(0), values);
        assert_eq!(left.values()[..], [12_300, -12_400, -99_900]);
        let huge =
            Decimal128Array::from(vec![-(10_i128.pow(38) - 1)]).with_precision_and_scale(38, 38).unwrap();
        assert_eq!(bucketed(Bucket::Decimals(0), huge).value(0), 0);
    }

    #[test]
    fn the_first_and_the_last_time_do_not_overflow() {
        let left = bucketed(Bucket::Month, Date32Array::from(vec![i32::MIN, i32::MAX]));
        assert_eq!(left.value(0), i32::MIN);
        assert!(left.value(1) > i32::MAX - 31);
        let instants = TimestampMicrosecondArray::from(vec![i64::MIN, i64::MAX]).with_timezone("UTC");
        let left = bucketed(Bucket::Year, instants);
        assert_eq!(left.value(0), i64::MIN);
        assert_eq!(left.timezone(), Some("UTC"));
    }

    proptest! {
        #[test]
        fn months_and_years_are_those_of_the_calendar(day in -700_000_i32..3_000_000, us in 0..DAY_US) {
            let date = NaiveDate::from_epoch_days(day).unwrap();
            let days = |date: NaiveDate| date.to_epoch_days();
            let month = days(date.with_day(1).unwrap());
            let year = days(NaiveDate::from_ymd_opt(date.year(), 1, 1).unwrap());
            prop_assert_eq!(bucketed(Bucket::Month, Date32Array::from(vec![day])).value(0), month);
            prop_assert_eq!(bucketed(Bucket::Year, Date32Array::from(vec![day])).value(0), year);
            let instant = TimestampMicrosecondArray::from(vec![i64::from(day) * DAY_US + us]);
            prop_assert_eq!(bucketed(Bucket::Month, instant).value(0), i64::from(month) * DAY_US);
        }
    }
}
