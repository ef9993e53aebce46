//! Rows of one table on their way into an emission: those that fit as records, the others as dead letters.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{
    ArrayRef, RecordBatch, StructArray, TimestampMicrosecondArray, UInt8Array, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use towpath_adapter_api::Rows;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::limits::{MAX_DEAD_LETTER_RAW_BYTES, MAX_ROW_BYTES};
use towpath_record::{Column, ColumnType, Op, StreamSchema};

use crate::source::table::{ColumnDef, TableDef, UnfitTable};
use crate::source::value::{Cell, cell, literal};

/// What a row takes beside its values.
const ROW_OVERHEAD_BYTES: u64 = 64;

/// A row as it stands in an answer of SQLite.
#[derive(Clone, Copy)]
pub(super) struct Found<'r, 's> {
    pub(super) op: Op,
    /// When it was written, or read by a copy, in microseconds since 1970-01-01 UTC.
    pub(super) at_us: i64,
    /// The row id, where rows are told apart by it.
    pub(super) rowid: i64,
    /// How many bytes its texts and blobs have.
    pub(super) bytes: u64,
    pub(super) row: &'r Row<'s>,
    /// Where its values begin in `row`.
    pub(super) values: usize,
    /// Where what it was before begins in `row`.
    pub(super) before: Option<usize>,
}

/// Why a row is no record.
pub(super) struct Misfit {
    column: Option<String>,
    reason: String,
}

/// Records under construction.
pub(super) struct Records {
    table: Arc<TableDef>,
    schema: StreamSchema,
    ops: Vec<u8>,
    times: Vec<i64>,
    rowids: Option<Vec<i64>>,
    columns: Vec<Builder>,
    before: Option<Before>,
}

struct Before {
    columns: Vec<Builder>,
    known: Vec<bool>,
}

enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Real(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
}

impl<'r> Found<'r, '_> {
    fn value(&self, first: usize, column: usize) -> ValueRef<'r> {
        self.row.get_ref(first + column).expect("the statement selects every column of the table")
    }

    /// What it takes in memory, about.
    pub(super) fn weight(&self) -> u64 {
        self.bytes + ROW_OVERHEAD_BYTES
    }

    fn is_too_large(&self) -> bool {
        self.bytes > MAX_ROW_BYTES as u64
    }

    /// The dead letter that stands for the row. `resource` names the table.
    pub(super) fn letter(&self, resource: String, table: &TableDef, misfit: Misfit) -> DeadLetter {
        let mut raw = format!("{}:", self.op.as_str());
        for (i, column) in table.columns.iter().enumerate() {
            if raw.len() > MAX_DEAD_LETTER_RAW_BYTES || (self.is_too_large() && !table.key.contains(&i)) {
                continue;
            }
            raw.push_str(&format!(" {}={}", column.name, literal(self.value(self.values, i))));
        }
        let (raw, raw_truncated) = DeadLetter::clip(raw.as_bytes());
        let raw_truncated = raw_truncated || self.is_too_large();
        DeadLetter { resource, line: 0, column: misfit.column, reason: misfit.reason, raw, raw_truncated }
    }
}

impl Records {
    pub(super) fn new(table: Arc<TableDef>) -> Result<Self, UnfitTable> {
        let schema = table.schema()?;
        let builders = || table.columns.iter().map(Builder::of).collect::<Vec<_>>();
        Ok(Self {
            schema,
            ops: Vec::new(),
            times: Vec::new(),
            rowids: table.key.is_empty().then(Vec::new),
            columns: builders(),
            before: table.before.then(|| Before { columns: builders(), known: Vec::new() }),
            table,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Adds a row; one that does not fit leaves no trace.
    pub(super) fn push(&mut self, found: &Found<'_, '_>) -> Result<(), Misfit> {
        let cells = self.cells(found)?;
        self.begin_row(found.op, found.at_us, found.rowid);
        for (builder, cell) in self.columns.iter_mut().zip(&cells) {
            builder.append(cell);
        }
        let Some(before) = &mut self.before else { return Ok(()) };
        let columns = self.table.columns.iter().enumerate();
        let were: Option<Vec<_>> = found
            .before
            .filter(|_| found.op == Op::Update)
            .and_then(|first| columns.map(|(i, column)| cell(column, found.value(first, i)).ok()).collect());
        before.known.push(were.is_some());
        for (i, builder) in before.columns.iter_mut().enumerate() {
            builder.append(were.as_ref().map_or(&Cell::Null, |were| &were[i]));
        }
        Ok(())
    }

    /// Says that all rows are gone. The key that it carries means nothing.
    pub(super) fn push_truncate(&mut self, at_us: i64) {
        self.begin_row(Op::Truncate, at_us, 0);
        for (i, builder) in self.columns.iter_mut().enumerate() {
            if self.table.key.contains(&i) { builder.append_filler() } else { builder.append(&Cell::Null) }
        }
        if let Some(before) = &mut self.before {
            before.known.push(false);
            before.columns.iter_mut().for_each(|builder| builder.append(&Cell::Null));
        }
    }

    fn begin_row(&mut self, op: Op, at_us: i64, rowid: i64) {
        self.ops.push(op.code());
        self.times.push(at_us);
        if let Some(rowids) = &mut self.rowids {
            rowids.push(rowid);
        }
    }

    /// The cells of a row. Of a deleted one only the key must fit, for nothing else is sure to be present.
    fn cells<'r>(&self, found: &Found<'r, '_>) -> Result<Vec<Cell<'r>>, Misfit> {
        let gone = found.op == Op::Delete;
        if found.is_too_large() && !gone {
            return Err(Misfit {
                column: None,
                reason: format!("the row has {} bytes, and at most {MAX_ROW_BYTES} can be sent", found.bytes),
            });
        }
        let cell_of = |(i, column): (usize, &ColumnDef)| {
            let is_key = self.table.key.contains(&i);
            if gone && !is_key && found.is_too_large() {
                return Ok(Cell::Null);
            }
            let misfit = |reason| Misfit { column: Some(column.name.clone()), reason };
            match cell(column, found.value(found.values, i)) {
                Ok(Cell::Null) if is_key => Err(misfit(
                    "a key column is NULL, so the row cannot be told from others; declare it NOT NULL"
                        .to_owned(),
                )),
                Err(_) if gone && !is_key => Ok(Cell::Null),
                Err(reason) => Err(misfit(format!(
                    "{reason}; correct the value, or read the column as text with `text_columns`"
                ))),
                Ok(cell) => Ok(cell),
            }
        };
        self.table.columns.iter().enumerate().map(cell_of).collect()
    }

    /// The records, for an emission.
    pub(super) fn finish(self) -> Rows {
        let rows = self.ops.len();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from(self.ops)),
            Arc::new(TimestampMicrosecondArray::from(self.times).with_timezone("UTC")),
            new_null_array(&DataType::Utf8, rows),
        ];
        columns.extend(self.rowids.map(|rowids| Arc::new(arrow_array::Int64Array::from(rowids)) as ArrayRef));
        columns.extend(self.columns.into_iter().map(Builder::finish));
        if let Some(Before { columns: builders, known }) = self.before {
            let field =
                |column: &ColumnDef| Column::nullable(&column.name, column.column_type.clone()).to_arrow();
            let fields: Fields = self.table.columns.iter().map(field).collect();
            let arrays = builders.into_iter().map(Builder::finish).collect();
            columns.push(Arc::new(StructArray::new(fields, arrays, Some(NullBuffer::from(known)))));
        }
        let batch = RecordBatch::try_new(self.schema.arrow().clone(), columns)
            .expect("the columns were built from the same table as the schema");
        Rows::Records { schema: self.schema, batch }
    }
}

impl Builder {
    fn of(column: &ColumnDef) -> Self {
        match column.column_type {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Int64 => Self::Integer(Int64Builder::new()),
            ColumnType::Float64 => Self::Real(Float64Builder::new()),
            ColumnType::Binary => Self::Bytes(BinaryBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn append(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(*value),
            (Self::Integer(builder), Cell::Integer(value)) => builder.append_value(*value),
            (Self::Real(builder), Cell::Real(value)) => builder.append_value(*value),
            (Self::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Self::Bytes(builder), Cell::Bytes(value)) => builder.append_value(value),
            (builder, _) => builder.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Real(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
        }
    }

    /// A value for a column that must have one in a row that has none.
    fn append_filler(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_value(false),
            Self::Integer(builder) => builder.append_value(0),
            Self::Real(builder) => builder.append_value(0.0),
            Self::Text(builder) => builder.append_value(""),
            Self::Bytes(builder) => builder.append_value(b""),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Real(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
        }
    }
}
