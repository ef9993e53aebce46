//! Values that a target holds as text, back in the types of their columns.
//!
//! Texts are those that Towpath's sinks write: ISO dates and times, UTC instants, the digits of a number,
//! intervals as `1 mons 2 days 3.500000000 secs`, and JSON for lists and structs.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, new_empty_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_json::ReaderBuilder;
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use towpath_record::{Column, ColumnType};

/// A value that does not fit is an error and not null.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

/// The values of a column from their texts.
///
/// # Errors
/// A text is no value of the column's type, or has digits that the type cannot hold.
pub fn array_of_texts(column: &Column, texts: &StringArray) -> Result<ArrayRef, ArrowError> {
    match column.column_type {
        ColumnType::List(_) | ColumnType::Struct(_) => array_of_json(column, texts),
        ColumnType::Decimal { scale, .. } => {
            let digits = texts.iter().flatten().find(|text| digits_behind_point(text) > usize::from(scale));
            if let Some(text) = digits {
                let name = &column.name;
                let message =
                    format!("column {name:?}: {text:?} has more than {scale} digits after the point");
                return Err(ArrowError::CastError(message));
            }
            to_type(texts, &column.column_type.to_arrow())
        }
        _ => to_type(texts, &column.column_type.to_arrow()),
    }
}

/// The values of an array in another type that holds every one of them.
///
/// # Errors
/// A value does not fit.
pub fn to_type(values: &dyn Array, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    // Arrow reads times of the zone `+00:00`, and of `UTC` only with a time zone database.
    let on_the_way = without_zone_names(data_type);
    let array = cast_with_options(values, &on_the_way, &STRICT)?;
    cast_with_options(&array, data_type, &STRICT)
}

fn array_of_json(column: &Column, texts: &StringArray) -> Result<ArrayRef, ArrowError> {
    let wanted = column.to_arrow();
    if texts.is_empty() {
        return Ok(new_empty_array(wanted.data_type()));
    }
    let field = Field::new(&column.name, in_json(wanted.data_type()), wanted.is_nullable());
    let mut decoder =
        ReaderBuilder::new_with_field(Arc::new(field)).with_batch_size(texts.len()).build_decoder()?;
    for text in texts {
        let text = text.unwrap_or("null").as_bytes();
        if decoder.decode(text)? < text.len() {
            return Err(ArrowError::JsonError(format!("column {:?}: more than one JSON value", column.name)));
        }
        decoder.decode(b"\n")?;
    }
    let batch = decoder.flush()?.filter(|batch| batch.num_rows() == texts.len());
    let batch = batch.ok_or_else(|| {
        ArrowError::JsonError(format!("column {:?} does not hold one JSON value in each row", column.name))
    })?;
    to_type(batch.column(0), wanted.data_type())
}

/// The type with the zone `+00:00` in place of `UTC`.
fn without_zone_names(data_type: &DataType) -> DataType {
    mapped(data_type, &|leaf| match leaf {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(Arc::from("+00:00"))),
        other => other.clone(),
    })
}

/// The type that Arrow's JSON reader makes of values of this type: it has no intervals.
fn in_json(data_type: &DataType) -> DataType {
    mapped(&without_zone_names(data_type), &|leaf| match leaf {
        DataType::Interval(_) => DataType::Utf8,
        other => other.clone(),
    })
}

fn mapped(data_type: &DataType, leaf: &dyn Fn(&DataType) -> DataType) -> DataType {
    let field =
        |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(mapped(field.data_type(), leaf)));
    match data_type {
        DataType::List(item) => DataType::List(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => leaf(other),
    }
}

fn digits_behind_point(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{
        Decimal128Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampMicrosecondType,
    };

    use super::*;

    fn read(column_type: ColumnType, texts: &[Option<&str>]) -> Result<ArrayRef, ArrowError> {
        array_of_texts(&Column::nullable("c", column_type), &StringArray::from(texts.to_vec()))
    }

    #[test]
    fn a_decimal_keeps_every_digit_or_is_refused() {
        let decimal = ColumnType::Decimal { precision: 5, scale: 2 };
        let array = read(decimal.clone(), &[Some("-12.30"), None, Some("0.010")]).unwrap();
        assert_eq!(
            array.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(),
            [Some(-1230), None, Some(1)]
        );
        assert!(read(decimal.clone(), &[Some("1.234")]).unwrap_err().to_string().contains("\"c\""));
        assert!(read(decimal.clone(), &[Some("12345.6")]).is_err());
        assert!(read(decimal, &[Some("abc")]).is_err());
    }

    #[test]
    fn an_instant_is_in_utc_and_an_interval_keeps_its_parts_and_signs() {
        let array = read(ColumnType::Timestamp, &[Some("1969-12-31T23:59:59.999999Z")]).unwrap();
        assert_eq!(array.data_type(), &ColumnType::Timestamp.to_arrow());
        assert_eq!(array.as_primitive::<TimestampMicrosecondType>().value(0), -1);
        let array = read(ColumnType::Interval, &[Some("-14 mons 30 days -0.000001000 secs")]).unwrap();
        let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(0);
        assert_eq!(interval, IntervalMonthDayNano::new(-14, 30, -1_000));
    }

    #[test]
    fn json_becomes_what_was_written_even_where_json_has_no_such_type() {
        let inner = vec![
            Column::nullable("at", ColumnType::Timestamp),
            Column::nullable("every", ColumnType::Interval),
            Column::nullable("bytes", ColumnType::Binary),
        ];
        let list = ColumnType::List(Box::new(Column::nullable("item", ColumnType::Struct(inner))));
        let text = r#"[{"at":"2026-01-31T13:45:00.000000Z","every":"1 mons","bytes":"00ff"},null]"#;
        let array = read(list.clone(), &[Some(text), None, Some("[]")]).unwrap();
        assert_eq!((array.data_type(), array.null_count()), (&list.to_arrow(), 1));
        let first = array.as_list::<i32>().value(0);
        let first = first.as_struct();
        assert_eq!((first.len(), first.null_count()), (2, 1));
        assert_eq!(first.column(2).as_binary::<i32>().value(0), [0, 255]);
        assert_eq!(
            first.column(1).as_primitive::<IntervalMonthDayNanoType>().value(0),
            IntervalMonthDayNano::new(1, 0, 0)
        );
        for wrong in ["", "[1", "[] []", "7"] {
            assert!(read(list.clone(), &[Some(wrong)]).is_err(), "{wrong}");
        }
    }
}
