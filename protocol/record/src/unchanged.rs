//! Values that a source did not send because they did not change.
//!
//! A stream of such a source has the column [`UNCHANGED_COLUMN`]: per row, the names of the columns that keep the
//! value they had. A sink that replaces rows takes that column out and leaves those values alone.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};

use crate::schema::{RESERVED_COLUMNS, StreamSchema, UNCHANGED_COLUMN};

/// Rows without the column that tells what did not change, and what it told.
pub struct Settled {
    /// The schema without that column.
    pub schema: StreamSchema,
    /// The rows without it.
    pub batch: RecordBatch,
    /// For each row the columns that keep their values, as indices into the schema's columns, in order.
    pub unchanged: Vec<Vec<usize>>,
}

/// Takes the column out; `None` where the stream has none.
pub fn settle(schema: &StreamSchema, batch: &RecordBatch) -> Option<Settled> {
    let at = schema.columns().iter().position(|column| column.name == UNCHANGED_COLUMN)?;
    let lists = batch.column(at + RESERVED_COLUMNS).as_list_opt::<i32>()?;
    let mut columns = schema.columns().to_vec();
    columns.remove(at);
    let settled = StreamSchema::new(columns, schema.key().to_vec()).ok()?;
    let index = |name: &str| settled.columns().iter().position(|column| column.name == name);
    let unchanged = (0..lists.len()).map(|row| {
        if lists.is_null(row) {
            return Vec::new();
        }
        let names = lists.value(row);
        let names = names.as_string_opt::<i32>().into_iter().flatten().flatten();
        let mut columns: Vec<_> = names.filter_map(index).collect();
        columns.sort_unstable();
        columns
    });
    let unchanged = unchanged.collect();
    let kept: Vec<_> = (0..batch.num_columns()).filter(|column| *column != at + RESERVED_COLUMNS).collect();
    let batch = batch.project(&kept).ok()?;
    Some(Settled { schema: settled, batch, unchanged })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, UInt8Array};

    use super::*;
    use crate::column::{Column, ColumnType};

    #[test]
    fn the_column_is_taken_out_and_its_names_become_places() {
        let item = Box::new(Column::nullable("item", ColumnType::String));
        let columns = vec![
            Column::nullable(UNCHANGED_COLUMN, ColumnType::List(item)),
            Column::nullable("id", ColumnType::Int64),
            Column::nullable("note", ColumnType::String),
        ];
        let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append(false);
        lists.values().append_value("note");
        lists.append(true);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(vec![1, 2])),
            Arc::new(TimestampMicrosecondArray::from_value(0, 2).with_timezone("UTC")),
            Arc::new(StringArray::new_null(2)),
            Arc::new(lists.finish()),
            Arc::new(Int64Array::from(vec![1, 1])),
            Arc::new(StringArray::from(vec![Some("x"), None])),
        ];
        let batch = RecordBatch::try_new(schema.arrow().clone(), columns).unwrap();
        let settled = settle(&schema, &batch).unwrap();
        assert_eq!(settled.unchanged, [vec![], vec![1]]);
        assert_eq!(settled.batch.schema_ref(), settled.schema.arrow());
        assert!(settle(&settled.schema, &settled.batch).is_none());
    }
}
