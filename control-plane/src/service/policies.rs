//! Why something becomes of a field.

use std::collections::BTreeSet;

use towpath_access::Target;
use towpath_catalog::State;
use towpath_policy::{Considered, FieldPlan, Origin, Place, Rulebook, Standing, type_after};
use towpath_record::{Column, ColumnType, RegionName, StreamName};
use towpath_resource::api::{
    ClassOrigin, ConsideredRule, ExplainOrder, FieldAtPlace, FoundField, PolicyExplanation,
};
use towpath_resource::{Kind, Object, Permission, is_purpose, no_purpose};

use super::schemas::source_name;
use super::{Asker, Refusal, Service};
use crate::control::policies::rulebook;

/// A field of a stream's newest schema.
struct Found {
    column: Column,
    described: FoundField,
}

impl Service {
    /// Says what becomes of a field, region by region, which rule counts and why the others do not.
    ///
    /// # Errors
    /// The stream or region is not one by its name, or policies of the stream are not the asker's to see.
    pub fn explain_policy(&self, asker: &Asker, order: &ExplainOrder) -> Result<PolicyExplanation, Refusal> {
        let invalid = |error: &dyn std::fmt::Display| Refusal::invalid(error.to_string());
        let stream = StreamName::new(order.stream.as_str()).map_err(|error| invalid(&error))?;
        if order.field.is_empty() {
            return Err(Refusal::invalid("name a field of the stream"));
        }
        if let Some(purpose) = order.purpose.as_deref().filter(|purpose| !is_purpose(purpose)) {
            return Err(Refusal::invalid(no_purpose(purpose)));
        }
        let target = Target::stream(&stream);
        asker.require(Permission::read(Object::Resource(Kind::Policy)), &target)?;
        let regions = match &order.region {
            Some(region) => {
                BTreeSet::from([RegionName::new(region.as_str()).map_err(|error| invalid(&error))?])
            }
            None => self.regions(),
        };
        let catalog = self.catalog();
        let rules = rulebook(&catalog).map_err(|error| Refusal::Conflict(error.to_string()))?;
        // Who may not see schemas is told of the policies all the same.
        let seen = asker.may(Permission::read(Object::Schema), &target);
        let found = if seen { self.newest_field(&catalog, &stream, &order.field) } else { None };
        let column = match &found {
            Some(found) => found.column.clone(),
            None => Column::nullable(order.field.as_str(), ColumnType::String),
        };
        let places = regions.iter().map(|region| {
            let place = Place { region, purpose: order.purpose.as_deref() };
            at_place(&rules, &stream, &column, found.is_some(), place)
        });
        Ok(PolicyExplanation {
            policies: rules.names_covering(&stream).cloned().collect(),
            classes: rules.classify(&stream, &column).classes.into_iter().collect(),
            origins: rules.origins(&stream, &column).into_iter().map(said).collect(),
            places: places.collect(),
            found: found.map(|found| found.described),
            field: order.field.clone(),
            stream,
        })
    }

    /// A field of the newest schema of the stream in which it is. Of several sources that whose schema is newest.
    fn newest_field(&self, catalog: &State, stream: &StreamName, field: &str) -> Option<Found> {
        let all = self.plane().schemas();
        let newest = all.iter().filter(|of| of.stream == *stream).filter_map(|of| {
            let version = of.versions.last()?;
            let column = version.schema.columns().iter().find(|column| column.name == field)?;
            Some((version.first_us, of.source, version.version, column))
        });
        let (_, source, version, column) = newest.max_by_key(|(first_us, ..)| *first_us)?;
        let described = FoundField {
            version,
            source: source_name(catalog, source),
            column_type: column.column_type.to_string(),
            treatment: column.treatment.clone(),
        };
        Some(Found { column: column.clone(), described })
    }
}

fn at_place(
    rules: &Rulebook,
    stream: &StreamName,
    column: &Column,
    is_found: bool,
    place: Place<'_>,
) -> FieldAtPlace {
    let plan = rules.field(stream, column, place);
    FieldAtPlace {
        region: place.region.clone(),
        purpose: place.purpose.map(str::to_owned),
        column_type: if is_found { type_there(column, &plan) } else { None },
        treatment: plan.decision.treatment.to_string(),
        reason: plan.decision.reason.to_string(),
        rules: rules.considered(stream, &plan.classified.classes, place).into_iter().map(shown).collect(),
    }
}

/// The type of a field's values at a place. Where they were treated before they came to the log, their type at the source
/// is not known.
fn type_there(column: &Column, plan: &FieldPlan) -> Option<String> {
    let treatment = &plan.decision.treatment;
    let there = match &column.treatment {
        None => type_after(treatment, &column.column_type)?,
        Some(known) if *known == treatment.to_string() => column.column_type.clone(),
        Some(_) => return None,
    };
    Some(there.to_string())
}

fn said(origin: Origin) -> ClassOrigin {
    let (policy, number) = origin.policy.unzip();
    ClassOrigin {
        policy,
        classification: number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
        classes: origin.classes.into_iter().collect(),
    }
}

fn shown(considered: Considered) -> ConsideredRule {
    ConsideredRule {
        policy: considered.policy,
        rule: u32::try_from(considered.rule).unwrap_or(u32::MAX),
        then: considered.then.to_string(),
        counts: considered.standing == Standing::Counts,
        because: considered.standing.to_string(),
    }
}
