//! What is done to the rows of one stream with one schema: found once, applied to every batch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, Fields, SchemaRef};
use towpath_policy::{Place, Rulebook, Shape};
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::{Column, ColumnType, StreamName, StreamSchema};
use towpath_resource::Treatment;

use crate::change::{Change, keep_names};
use crate::filter::RowFilter;
use crate::held::HeldReason;
use crate::key::{KeyError, Keys};

pub(crate) struct Plan {
    schema: StreamSchema,
    source: SchemaRef,
    filter: Option<RowFilter>,
    steps: Vec<Step>,
}

/// How one column comes about.
struct Step {
    /// Where the values stand in what the source gave.
    from: usize,
    how: How,
}

enum How {
    /// As they are.
    Keep,
    /// Value by value.
    Change(Change),
    /// Member by member: the row before a change.
    Members(Fields, Vec<Step>),
    /// Only the names of fields that are left: what did not change.
    Names,
}

/// What becomes of each field, by its name.
type Fates<'a> = HashMap<&'a str, &'a Treatment>;

impl Plan {
    /// What is done to the rows of a stream at a place.
    pub(crate) fn new(
        rulebook: &Rulebook,
        stream: &StreamName,
        schema: &StreamSchema,
        place: Place<'_>,
        keys: &dyn Keys,
    ) -> Result<Self, Vec<HeldReason>> {
        let mut faults = rulebook.filter_faults(stream, schema, place.region);
        let shape = match rulebook.shape(stream, schema, place) {
            Ok(shape) if faults.is_empty() => shape,
            Ok(_) => return Err(faults.into_iter().map(HeldReason::Shape).collect()),
            Err(more) => {
                faults.extend(more);
                return Err(faults.into_iter().map(HeldReason::Shape).collect());
            }
        };
        let steps = steps(&shape, schema, keys).map_err(|error| vec![HeldReason::Key(error)])?;
        let filter = RowFilter::new(rulebook, stream, schema);
        Ok(Self { schema: shape.schema, source: schema.arrow().clone(), filter, steps })
    }

    /// The schema of the rows that may be written.
    pub(crate) fn schema(&self) -> &StreamSchema {
        &self.schema
    }

    /// The rows that may be written.
    pub(crate) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, HeldReason> {
        if *batch.schema_ref() != self.source {
            return Err(HeldReason::Rows("other columns came than the schema says".to_owned()));
        }
        let batch = match &self.filter {
            Some(filter) => filter.apply(batch)?,
            None => batch,
        };
        self.change(&batch).map_err(|error| HeldReason::Rows(error.to_string()))
    }

    fn change(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut columns = batch.columns()[..RESERVED_COLUMNS].to_vec();
        let values = &batch.columns()[RESERVED_COLUMNS..];
        for step in &self.steps {
            columns.push(step.run(values, self.schema.columns())?);
        }
        RecordBatch::try_new(self.schema.arrow().clone(), columns)
    }
}

impl Step {
    fn run(&self, values: &[ArrayRef], left: &[Column]) -> Result<ArrayRef, ArrowError> {
        let values = &values[self.from];
        Ok(match &self.how {
            How::Keep => values.clone(),
            How::Change(change) => change.apply(values),
            How::Members(fields, steps) => {
                let rows = values.as_struct();
                let members: Result<_, _> = steps.iter().map(|step| step.run(rows.columns(), left)).collect();
                Arc::new(StructArray::try_new(fields.clone(), members?, rows.nulls().cloned())?)
            }
            How::Names => {
                Arc::new(keep_names(values.as_list(), |name| left.iter().any(|column| column.name == name)))
            }
        })
    }
}

fn steps(shape: &Shape, source: &StreamSchema, keys: &dyn Keys) -> Result<Vec<Step>, KeyError> {
    let fates: Fates<'_> =
        shape.fields.iter().map(|plan| (plan.field.as_str(), &plan.decision.treatment)).collect();
    let left = shape.schema.columns().iter();
    left.map(|left| {
        let from = position(source.columns(), &left.name);
        let how =
            match (fates.get(left.name.as_str()), &left.column_type, &source.columns()[from].column_type) {
                (Some(treatment), _, of) => how(treatment, of, keys)?,
                (None, ColumnType::Struct(left), ColumnType::Struct(members)) => {
                    let fields = left.iter().map(Column::to_arrow).collect();
                    How::Members(fields, members_of(left, members, &fates, keys)?)
                }
                (None, ..) => How::Names,
            };
        Ok(Step { from, how })
    })
    .collect()
}

fn members_of(
    left: &[Column],
    members: &[Column],
    fates: &Fates<'_>,
    keys: &dyn Keys,
) -> Result<Vec<Step>, KeyError> {
    left.iter()
        .map(|left| {
            let from = position(members, &left.name);
            let treatment = fates[left.name.as_str()];
            Ok(Step { from, how: how(treatment, &members[from].column_type, keys)? })
        })
        .collect()
}

fn position(columns: &[Column], name: &str) -> usize {
    let found = columns.iter().position(|column| column.name == name);
    found.expect("what is left of a schema are columns of it")
}

fn how(treatment: &Treatment, of: &ColumnType, keys: &dyn Keys) -> Result<How, KeyError> {
    Ok(Change::new(treatment, of, keys)?.map_or(How::Keep, How::Change))
}
