//! What a region's log checks before it writes: whether a schema is one that may stand there. Rows are not looked at.
//!
//! An agent that keeps to the policies sends exactly the schema that [`Rulebook::shape`] leaves. One that does not is
//! found out by it: a field that should have been treated says that it was not, a field that should be gone is there.

use towpath_record::{Column, ColumnType, RegionName, StreamName, StreamSchema};
use towpath_resource::Treatment;

use crate::decide::Place;
use crate::rulebook::Rulebook;
use crate::shape::is_of_change;

/// A field that may not stand as it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "field `{field}` of stream {stream} comes as `{found}`, but in region {region} it must be `{required}`: {reason}"
)]
pub struct Breach {
    /// The stream.
    pub stream: StreamName,
    /// The field.
    pub field: String,
    /// The region.
    pub region: RegionName,
    /// How it comes.
    pub found: String,
    /// How it would have to come.
    pub required: String,
    /// Why.
    pub reason: String,
}

/// Whether what has this schema may stand at a place.
///
/// # Errors
/// The first field that may not.
pub fn check_border(
    rulebook: &Rulebook,
    stream: &StreamName,
    schema: &StreamSchema,
    place: Place<'_>,
) -> Result<(), Box<Breach>> {
    if !rulebook.covers(stream) {
        return Ok(());
    }
    for column in schema.columns() {
        match &column.column_type {
            ColumnType::Struct(members) if is_of_change(column) => {
                members.iter().try_for_each(|member| check(rulebook, stream, member, place))?;
            }
            _ if is_of_change(column) => {}
            _ => check(rulebook, stream, column, place)?,
        }
    }
    Ok(())
}

fn check(
    rulebook: &Rulebook,
    stream: &StreamName,
    column: &Column,
    place: Place<'_>,
) -> Result<(), Box<Breach>> {
    let plan = rulebook.field(stream, column, place);
    let required = &plan.decision.treatment;
    let found = column.treatment.as_deref().unwrap_or("allow");
    // What was made of it already is at least what is required only if it is the very same.
    let keeps = matches!(required, Treatment::Allow) || found == required.to_string();
    if keeps && !matches!(required, Treatment::Drop | Treatment::Block) {
        return Ok(());
    }
    Err(Box::new(Breach {
        stream: stream.clone(),
        field: column.name.clone(),
        region: place.region.clone(),
        found: found.to_owned(),
        required: required.to_string(),
        reason: plan.decision.reason.to_string(),
    }))
}
