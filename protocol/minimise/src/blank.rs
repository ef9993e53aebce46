//! Rows of which some say nothing any more.

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::BooleanBuffer;
use arrow_data::transform::MutableArrayData;
use arrow_schema::ArrowError;
use towpath_record::{Column, cast};

/// The values where `kept` says so, and nothing elsewhere: absent, or a neutral value where the column knows no absence.
/// They are written anew, because a value that is merely marked as absent still stands in its buffer.
///
/// # Errors
/// Never, unless the values are more than an array can have, and then the batch was none.
pub(crate) fn blank(
    column: &Column,
    values: &ArrayRef,
    kept: &BooleanBuffer,
) -> Result<ArrayRef, ArrowError> {
    let data = values.to_data();
    let mut left = MutableArrayData::try_new(vec![&data], true, data.len())?;
    let mut done = 0;
    for (start, end) in kept.set_slices() {
        left.try_extend_nulls(start - done)?;
        left.try_extend(0, start, end)?;
        done = end;
    }
    left.try_extend_nulls(data.len() - done)?;
    let left = make_array(left.freeze());
    Ok(if column.nullable { left } else { cast::present(&column.column_type, &left) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, StringArray, StructArray};
    use towpath_record::ColumnType;

    use super::*;

    const KEPT: [bool; 4] = [false, true, true, false];

    #[test]
    fn what_is_blanked_is_gone_from_the_buffers_too() {
        let kept = BooleanBuffer::from_iter(KEPT);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 9, 7]));
        let left = blank(&Column::nullable("n", ColumnType::Int64), &numbers, &kept).unwrap();
        assert_eq!(left.as_primitive::<Int64Type>().values()[..], [0, 8, 9, 0]);
        assert_eq!(left.null_count(), 2);
        let neutral = blank(&Column::required("n", ColumnType::Int64), &numbers, &kept).unwrap();
        assert_eq!(neutral.null_count(), 0);
        assert_eq!(neutral.as_primitive::<Int64Type>().values()[..], [0, 8, 9, 0]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["secret", "a", "b", "secret"]));
        let left = blank(&Column::nullable("t", ColumnType::String), &texts, &kept).unwrap();
        assert_eq!(left.as_string::<i32>().value_data(), b"ab");
    }

    #[test]
    fn what_stands_in_a_blanked_struct_is_gone_too() {
        let members = vec![Column::required("n", ColumnType::Int64)];
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 9, 7]));
        let fields = members.iter().map(Column::to_arrow).collect();
        let rows: ArrayRef = Arc::new(StructArray::try_new(fields, vec![numbers], None).unwrap());
        let column = Column::nullable("_before", ColumnType::Struct(members));
        let left = blank(&column, &rows, &BooleanBuffer::from_iter(KEPT)).unwrap();
        assert_eq!(left.as_struct().column(0).as_primitive::<Int64Type>().values()[..], [0, 8, 9, 0]);
        assert_eq!(left.null_count(), 2);
    }
}
