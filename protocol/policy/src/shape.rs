//! The schema that may stand at a place: what is left of a stream's schema when every field is treated as decided.

use towpath_record::schema::{BEFORE_COLUMN, UNCHANGED_COLUMN};
use towpath_record::{Column, ColumnType, RegionName, StreamName, StreamSchema};
use towpath_resource::{Bucket, Mask, OnNewField, Treatment};

use crate::classify::{Classified, as_text};
use crate::decide::{Decision, Place, Reason};
use crate::rulebook::Rulebook;

/// What becomes of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldPlan {
    /// Its name.
    pub field: String,
    /// What is known of it.
    pub classified: Classified,
    /// What becomes of it, and why.
    pub decision: Decision,
}

/// The schema that may stand at a place, and how it came about.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What becomes of each field, in the order of the schema. Of the row as it was before a change the same becomes.
    pub fields: Vec<FieldPlan>,
    /// What is left: every field says its classes and how it was treated.
    pub schema: StreamSchema,
}

/// Why nothing of a stream may stand at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` of stream {stream} {fault} in region {region}: {remedy}")]
pub struct ShapeFault {
    /// The stream.
    pub stream: StreamName,
    /// The field.
    pub field: String,
    /// The region.
    pub region: RegionName,
    /// What is wrong.
    pub fault: String,
    /// What would help.
    pub remedy: String,
}

impl Rulebook {
    /// What may stand at a place of a stream with this schema. All of it, where no policy covers the stream.
    ///
    /// # Errors
    /// Nothing of it may, for each of these reasons.
    pub fn shape(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        place: Place<'_>,
    ) -> Result<Shape, Vec<ShapeFault>> {
        let plain = schema.columns().iter().filter(|column| !is_of_change(column));
        let fields: Vec<_> = plain.map(|column| self.field(stream, column, place)).collect();
        let fault = |field: &str, (fault, remedy)| ShapeFault {
            stream: stream.clone(),
            field: field.to_owned(),
            region: place.region.clone(),
            fault,
            remedy,
        };
        let (mut columns, mut faults) = (Vec::new(), Vec::new());
        let mut plans = fields.iter();
        for column in schema.columns() {
            if is_of_change(column) {
                columns.extend(before(column, &fields));
                continue;
            }
            let plan = plans.next().expect("every column but those of a change has a plan");
            match treated(column, plan, schema.key().contains(&column.name)) {
                Ok(left) => columns.extend(left),
                Err(why) => faults.push(fault(&column.name, why)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        match StreamSchema::new(columns, schema.key().to_vec()) {
            Ok(schema) => Ok(Shape { fields, schema }),
            // Nothing but its size can be wrong with what is left of a valid schema that keeps its key.
            Err(error) => Err(vec![fault(
                "*",
                (
                    format!("cannot say its classes and treatments: {error}"),
                    "give fewer classes, or leave fields out at the source".to_owned(),
                ),
            )]),
        }
    }

    /// What becomes of a field at a place.
    pub fn field(&self, stream: &StreamName, column: &Column, place: Place<'_>) -> FieldPlan {
        let classified = self.classify(stream, column);
        let decision = if classified.known || !self.covers(stream) {
            self.decide(stream, &classified.classes, place)
        } else {
            let rule = self.on_new_field(stream);
            let treatment = match rule {
                OnNewField::Allow => Treatment::Allow,
                OnNewField::Drop => Treatment::Drop,
                OnNewField::Hold => Treatment::Block,
            };
            Decision { treatment, reason: Reason::NewField { rule } }
        };
        FieldPlan { field: column.name.clone(), classified, decision }
    }
}

/// Whether the column only describes a change: the row before it, or the names of what did not change. One that merely has
/// such a name is a field like any other.
pub fn is_of_change(column: &Column) -> bool {
    match &column.column_type {
        ColumnType::Struct(_) => column.name == BEFORE_COLUMN,
        ColumnType::List(item) => column.name == UNCHANGED_COLUMN && item.column_type == ColumnType::String,
        _ => false,
    }
}

/// The row as it was before a change is treated as the row is. Nothing, if nothing is left of it.
fn before(column: &Column, fields: &[FieldPlan]) -> Option<Column> {
    let ColumnType::Struct(members) = &column.column_type else { return Some(column.clone()) };
    let left = members.iter().filter_map(|member| {
        let plan = fields.iter().find(|plan| plan.field == member.name)?;
        treated(member, plan, false).ok().flatten()
    });
    let left: Vec<_> = left.collect();
    (!left.is_empty()).then(|| Column { column_type: ColumnType::Struct(left), ..column.clone() })
}

/// What is left of a column: nothing if it is dropped.
fn treated(column: &Column, plan: &FieldPlan, is_key: bool) -> Result<Option<Column>, (String, String)> {
    let Decision { treatment, reason } = &plan.decision;
    let column_type = match treatment {
        Treatment::Block => return Err((format!("may not stand ({reason})"), remedy_of(reason))),
        Treatment::Drop | Treatment::Mask(_) | Treatment::Bucket(_) if is_key => {
            return Err((
                format!(
                    "is a part of the key and is to become `{treatment}` ({reason}), so that rows could no longer be told apart"
                ),
                "let it be hashed or tokenised instead".to_owned(),
            ));
        }
        Treatment::Encrypt(_) => {
            return Err((
                format!("is to be encrypted ({reason}), which is not offered by this version"),
                "choose another treatment for it, such as `tokenise` or `drop`".to_owned(),
            ));
        }
        Treatment::Drop => return Ok(None),
        change => type_after(change, &column.column_type).ok_or_else(|| {
            (
                format!(
                    "is to become `{change}` ({reason}), which a value of type {} cannot",
                    column.column_type
                ),
                "choose another treatment for it, such as `drop` or `hash`".to_owned(),
            )
        })?,
    };
    Ok(Some(Column {
        name: column.name.clone(),
        column_type,
        nullable: column.nullable,
        class: as_text(&plan.classified.classes),
        treatment: (*treatment != Treatment::Allow).then(|| treatment.to_string()),
    }))
}

fn remedy_of(reason: &Reason) -> String {
    match reason {
        Reason::NewField { .. } => {
            "say in `classify` of the policy which classes it has, or that it has none (`classes: []`)"
                .to_owned()
        }
        Reason::NoRule { class } => {
            format!("add a rule for class {class}, such as `then: drop` or `then: {{mask: all}}`")
        }
        Reason::Conflict { .. } => {
            "make one of the two rules more special, or let both say the same".to_owned()
        }
        Reason::Rule { policy, rule, .. } => {
            format!("change rule {rule} of policy {policy}, or leave the field out at the source")
        }
        Reason::Harmless | Reason::Free => String::new(),
    }
}

/// The type that values have when they are treated so; none if values of this type cannot be.
pub fn type_after(treatment: &Treatment, before: &ColumnType) -> Option<ColumnType> {
    use ColumnType as T;
    let is_integer = matches!(
        before,
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Uint8 | T::Uint16 | T::Uint32 | T::Uint64
    );
    let is_nested = matches!(before, T::List(_) | T::Struct(_));
    match treatment {
        Treatment::Allow => Some(before.clone()),
        Treatment::Mask(Mask::All) | Treatment::Hash(_) if !is_nested => Some(T::String),
        Treatment::Mask(Mask::KeepFirst(_) | Mask::KeepLast(_)) if is_integer || *before == T::String => {
            Some(T::String)
        }
        Treatment::Mask(Mask::Domain) | Treatment::Tokenise(_) if *before == T::String => Some(T::String),
        Treatment::Bucket(Bucket::Width(_)) if is_integer || matches!(before, T::Float32 | T::Float64) => {
            Some(before.clone())
        }
        Treatment::Bucket(Bucket::Decimals(_))
            if matches!(before, T::Float32 | T::Float64 | T::Decimal { .. }) =>
        {
            Some(before.clone())
        }
        Treatment::Bucket(Bucket::Month | Bucket::Year)
            if matches!(before, T::Date | T::Timestamp | T::LocalTimestamp) =>
        {
            Some(before.clone())
        }
        _ => None,
    }
}
