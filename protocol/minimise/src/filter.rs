//! Which rows pass.
//!
//! A row passes if every filter of the stream's policies says `true` of it as the source gave it. What says neither `true`
//! nor `false` holds the stream. Of the others:
//!
//! * A new, changed or copied row that does not pass becomes a deletion of its key, for a sink may hold it from before; in
//!   a stream without a key it is left out. Deleting what is not there does no harm.
//! * A deletion passes with its key alone. So does the end of a whole table.
//! * The row before a change is told only if it would have passed itself.

mod row;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt8Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;
use towpath_policy::{Filter, Rulebook, is_of_change};
use towpath_record::schema::{BEFORE_COLUMN, RESERVED_COLUMNS, UNCHANGED_COLUMN};
use towpath_record::{Column, ColumnType, Op, ResourceName, StreamName, StreamSchema};

use crate::blank::blank;
use crate::held::HeldReason;
use row::Rows;
use run::Run;

/// The filters of a stream with one schema.
pub(crate) struct RowFilter {
    filters: Vec<(ResourceName, Arc<Filter>)>,
    schema: StreamSchema,
    /// Where the fields stand that any filter mentions.
    mentioned: BTreeMap<String, usize>,
    before: Option<usize>,
    unchanged: Option<usize>,
}

/// What becomes of the rows of a batch.
struct Verdict {
    /// The operations, as they are afterwards.
    ops: Vec<u8>,
    /// Which rows are not left out.
    stay: BooleanBufferBuilder,
    /// Which rows keep more than their key.
    whole: BooleanBufferBuilder,
    /// Which rows keep the row before.
    before: BooleanBufferBuilder,
}

impl RowFilter {
    /// The filters of a stream's policies; none if no policy has one.
    pub(crate) fn new(rulebook: &Rulebook, stream: &StreamName, schema: &StreamSchema) -> Option<Self> {
        let filters: Vec<_> =
            rulebook.filters(stream).map(|(policy, filter)| (policy.clone(), filter.clone())).collect();
        if filters.is_empty() {
            return None;
        }
        let position = |name: &str, of_change: bool| {
            let is = |column: &Column| column.name == name && is_of_change(column) == of_change;
            schema.columns().iter().position(is)
        };
        let mentioned = filters.iter().flat_map(|(_, filter)| filter.mentions());
        let mentioned =
            mentioned.filter_map(|name| Some((name.to_owned(), position(name, false)?))).collect();
        let (before, unchanged) = (position(BEFORE_COLUMN, true), position(UNCHANGED_COLUMN, true));
        Some(Self { filters, schema: schema.clone(), mentioned, before, unchanged })
    }

    /// The rows that pass, and the deletions that the others become.
    pub(crate) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, HeldReason> {
        let verdict = self.judge(&batch)?;
        self.keep(&batch, verdict).map_err(|error| HeldReason::Rows(error.to_string()))
    }

    fn judge(&self, batch: &RecordBatch) -> Result<Verdict, HeldReason> {
        let values = &batch.columns()[RESERVED_COLUMNS..];
        let before = self.rows_before(values);
        let now = self.rows_now(values, before.as_ref());
        let now = Run::new(&self.filters, &now);
        let before = before.as_ref().map(|rows| Run::new(&self.filters, rows));
        let ops = batch.column(0).as_primitive::<UInt8Type>();
        let mut verdict = Verdict::for_rows(batch.num_rows());
        for row in 0..batch.num_rows() {
            let op = ops.value(row);
            let may_stand = match Op::from_code(op) {
                Some(Op::Delete | Op::Truncate) => None,
                _ => Some(now.passes(row)?),
            };
            verdict.ops.push(if may_stand == Some(false) { Op::Delete.code() } else { op });
            verdict.stay.append(may_stand != Some(false) || !self.schema.key().is_empty());
            verdict.whole.append(may_stand == Some(true));
            // Of a row before a change that cannot be judged nothing is told, but it holds nothing back.
            let told = may_stand != Some(false)
                && before.as_ref().is_some_and(|before| matches!(before.passes(row), Ok(true)));
            verdict.before.append(told);
        }
        Ok(verdict)
    }

    fn rows_now<'a>(&'a self, values: &'a [ArrayRef], before: Option<&'a Rows<'a>>) -> Rows<'a> {
        let columns = self
            .mentioned
            .iter()
            .map(|(name, at)| (name.as_str(), (&self.schema.columns()[*at].column_type, &values[*at])));
        let rows = Rows::new(columns.collect());
        match self.unchanged {
            Some(at) => rows.with_unchanged(values[at].as_list(), before),
            None => rows,
        }
    }

    /// The rows before the changes, with the members that any filter mentions.
    fn rows_before<'a>(&'a self, values: &'a [ArrayRef]) -> Option<Rows<'a>> {
        let at = self.before?;
        let ColumnType::Struct(members) = &self.schema.columns()[at].column_type else { return None };
        let structs = values[at].as_struct();
        let columns = members.iter().zip(structs.columns());
        let mentioned = columns
            .filter(|(member, _)| self.mentioned.contains_key(&member.name))
            .map(|(member, values)| (member.name.as_str(), (&member.column_type, values)));
        Some(Rows::new(mentioned.collect()).within(structs))
    }

    fn keep(&self, batch: &RecordBatch, verdict: Verdict) -> Result<RecordBatch, ArrowError> {
        let Verdict { ops, mut stay, mut whole, mut before } = verdict;
        let (stay, whole, before) = (stay.finish(), whole.finish(), before.finish());
        let mut columns = batch.columns().to_vec();
        columns[0] = Arc::new(UInt8Array::from(ops));
        for (at, column) in self.schema.columns().iter().enumerate() {
            let kept = if Some(at) == self.before { &before } else { &whole };
            if !self.schema.key().contains(&column.name) && !all(kept) {
                let values = &mut columns[at + RESERVED_COLUMNS];
                *values = blank(column, values, kept)?;
            }
        }
        let rows = RecordBatch::try_new(batch.schema(), columns)?;
        if all(&stay) { Ok(rows) } else { filter_record_batch(&rows, &BooleanArray::new(stay, None)) }
    }
}

impl Verdict {
    fn for_rows(rows: usize) -> Self {
        Self {
            ops: Vec::with_capacity(rows),
            stay: BooleanBufferBuilder::new(rows),
            whole: BooleanBufferBuilder::new(rows),
            before: BooleanBufferBuilder::new(rows),
        }
    }
}

fn all(rows: &BooleanBuffer) -> bool {
    rows.count_set_bits() == rows.len()
}
