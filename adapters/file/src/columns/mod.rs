//! From fields to typed columns, one column at a time.

mod builder;
mod number;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt8Array};
use arrow_array::{TimestampMicrosecondArray, new_null_array};
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use towpath_record::{Column, ColumnType, Op, SchemaError, StreamSchema};

use crate::table::Table;
use builder::ColumnBuilder;

pub(crate) use number::float;
pub(crate) use time::{date, local_timestamp, timestamp};

/// Name of the column with a row's file, where an admin asks for it.
pub(crate) const FILE_COLUMN: &str = "_file";
/// Name of the column with a row's line, where an admin asks for it.
pub(crate) const LINE_COLUMN: &str = "_line";

/// How a column is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) column: Column,
    /// The strftime-like form of a date or time.
    pub(crate) format: Option<String>,
    /// Where its values come from.
    pub(crate) from: ValueSource,
}

/// Where a column's values come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ValueSource {
    /// A field of the record.
    Field(usize),
    /// The number of the record's line.
    LineNumber,
    /// The path of the file.
    FilePath,
}

/// What is common to all rows of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileFacts {
    /// The path below the source's folder.
    pub(crate) path: String,
    /// When it was last modified, in microseconds since 1970-01-01 UTC.
    pub(crate) modified_us: i64,
}

/// What stands for an absent value.
#[derive(Clone, Default, Debug)]
pub(crate) struct NullRule {
    /// Unquoted texts that do.
    pub(crate) texts: Vec<String>,
    /// Whether quoted empty text does in a column that is not text.
    pub(crate) quoted_empty: bool,
}

/// Why a row is refused by one of its columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RowFault {
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
}

/// Faults by index of the row in its table; the first of a row counts.
pub(crate) type Faults = BTreeMap<usize, RowFault>;

/// The columns of a batch that is being built.
pub(crate) struct ColumnSet {
    schema: StreamSchema,
    plans: Vec<ColumnPlan>,
    builders: Vec<ColumnBuilder>,
    nulls: NullRule,
    facts: FileFacts,
    good: BooleanBufferBuilder,
    good_rows: usize,
}

impl ColumnSet {
    /// Columns for rows that are told apart by `key`, whose columns must have values.
    ///
    /// # Errors
    /// The columns do not form a schema.
    pub(crate) fn new(
        mut plans: Vec<ColumnPlan>,
        key: &[String],
        nulls: NullRule,
        facts: FileFacts,
    ) -> Result<Self, SchemaError> {
        for plan in plans.iter_mut().filter(|plan| key.contains(&plan.column.name)) {
            plan.column.nullable = false;
        }
        let columns = plans.iter().map(|plan| plan.column.clone()).collect();
        let schema = StreamSchema::new(columns, key.to_vec())?;
        let builders = plans.iter().map(ColumnBuilder::new).collect();
        Ok(Self { schema, plans, builders, nulls, facts, good: BooleanBufferBuilder::new(0), good_rows: 0 })
    }

    pub(crate) fn schema(&self) -> &StreamSchema {
        &self.schema
    }

    /// How many rows were appended, good and bad.
    pub(crate) fn rows(&self) -> usize {
        self.good.len()
    }

    /// Appends the rows of a table that was split from `text`. Rows in which a value does not fit are added to
    /// `faults`; they take part in no batch once [`ColumnSet::accept`] is told of them.
    pub(crate) fn append(&mut self, text: &str, table: &Table, faults: &mut Faults) {
        for (plan, builder) in self.plans.iter().zip(&mut self.builders) {
            match plan.from {
                ValueSource::Field(index) => {
                    builder.append(&mut builder::Values {
                        text,
                        table,
                        index,
                        plan,
                        nulls: &self.nulls,
                        faults,
                    });
                }
                ValueSource::LineNumber => builder.append_lines(table.rows().iter().map(|row| row.line)),
                ValueSource::FilePath => builder.append_path(&self.facts.path, table.rows().len()),
            }
        }
    }

    /// Says which of the first `count` rows appended last are good; the others of them, and all after them, are
    /// left out. Returns how many are good.
    pub(crate) fn accept(&mut self, appended: usize, count: usize, faults: &Faults) -> usize {
        let begin = self.good.len();
        self.good.append_n(count, true);
        self.good.append_n(appended - count, false);
        let refused = faults.range(..count).map(|(row, _)| self.good.set_bit(begin + row, false)).count();
        self.good_rows += count - refused;
        count - refused
    }

    /// The good rows since the last batch, or `None` if there are none.
    pub(crate) fn finish(&mut self) -> Option<RecordBatch> {
        let rows = self.good.len();
        let mask = BooleanArray::new(self.good.finish(), None);
        let good = std::mem::take(&mut self.good_rows);
        let values: Vec<ArrayRef> = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        if good == 0 {
            return None;
        }
        let modified =
            TimestampMicrosecondArray::from_value(self.facts.modified_us, rows).with_timezone("UTC");
        let reserved: [ArrayRef; 3] = [
            Arc::new(UInt8Array::from_value(Op::Create.code(), rows)),
            Arc::new(modified),
            new_null_array(&DataType::Utf8, rows),
        ];
        let arrays = reserved.into_iter().chain(values).collect();
        let batch = RecordBatch::try_new(self.schema.arrow().clone(), arrays)
            .expect("every builder was made from the schema and got one value for each row");
        if good == rows {
            return Some(batch);
        }
        Some(filter_record_batch(&batch, &mask).expect("the mask has one bit for each row"))
    }
}

/// The plans of the columns that say where a row came from.
pub(crate) fn provenance() -> [ColumnPlan; 2] {
    [
        ColumnPlan {
            column: Column::required(FILE_COLUMN, ColumnType::String),
            format: None,
            from: ValueSource::FilePath,
        },
        ColumnPlan {
            column: Column::required(LINE_COLUMN, ColumnType::Uint64),
            format: None,
            from: ValueSource::LineNumber,
        },
    ]
}
