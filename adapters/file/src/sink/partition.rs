//! Which folder a row's file lies in.

use arrow_array::types::{TimestampMicrosecondType, UInt32Type};
use arrow_array::{PrimitiveArray, RecordBatch};
use arrow_schema::ArrowError;
use towpath_record::StreamName;

use super::text::push_date;

const DAY_US: i64 = 86_400_000_000;

/// Splits rows by folder, keeping their order within each. `times` are the rows' source commit times.
pub(crate) fn split(
    template: &str,
    stream: &StreamName,
    times: &PrimitiveArray<TimestampMicrosecondType>,
    rows: RecordBatch,
) -> Result<Vec<(String, RecordBatch)>, ArrowError> {
    let folder = template.replace("{stream}", stream.as_str());
    if !folder.contains("{date}") {
        return Ok(vec![(folder, rows)]);
    }
    let days: Vec<i64> = times.values().iter().map(|time| time.div_euclid(DAY_US)).collect();
    let mut distinct = days.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let named = |day: i64| {
        let mut date = Vec::new();
        push_date(day, &mut date);
        folder.replace("{date}", &String::from_utf8_lossy(&date))
    };
    if let [day] = distinct[..] {
        return Ok(vec![(named(day), rows)]);
    }
    let of_day = |day: i64| {
        let chosen = (0u32..).zip(&days).filter(|(_, other)| **other == day).map(|(row, _)| row);
        let chosen = PrimitiveArray::<UInt32Type>::from_iter_values(chosen);
        Ok((named(day), arrow_select::take::take_record_batch(&rows, &chosen)?))
    };
    distinct.into_iter().map(of_day).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int32Array, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn rows_go_to_the_folder_of_their_day_in_order() {
        let times = TimestampMicrosecondArray::from(vec![DAY_US, -1, DAY_US + 5, 0]);
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let stream = StreamName::new("erp.orders").unwrap();
        let parts = split("{stream}/{date}", &stream, &times, rows).unwrap();
        let shown: Vec<_> =
            parts.iter().map(|(folder, rows)| (&**folder, format!("{:?}", rows.column(0)))).collect();
        assert_eq!(
            shown.iter().map(|(folder, _)| *folder).collect::<Vec<_>>(),
            ["erp.orders/1969-12-31", "erp.orders/1970-01-01", "erp.orders/1970-01-02"]
        );
        assert!(shown[2].1.contains("1,\n  3"), "{}", shown[2].1);
    }
}
