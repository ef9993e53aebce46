//! Minimise: what policies forbid is taken out of what a source emits, before any of it is written or sent.

use std::sync::Arc;

use towpath_adapter_api::{AdapterError, Emission, ErrorKind, Rows};
use towpath_minimise::{Held, Key, KeyError, Keys, Minimiser};
use towpath_policy::{NamedPolicy, Place, Rulebook};
use towpath_record::{Column, StreamName, StreamSchema};
use towpath_resource::Treatment;
use towpath_resource::desired::{DesiredPolicy, DesiredSource};

use crate::control::secrets;

/// The policies of a lane, at work.
pub(crate) struct Minimise(Option<Minimiser>);

/// Keys stay on this machine: policies refer to them.
struct OwnKeys;

impl Keys for OwnKeys {
    fn key(&self, reference: &str) -> Result<Key, KeyError> {
        let failed = |reason| KeyError { reference: reference.to_owned(), reason };
        let text = secrets::look_up(reference).map_err(|error| failed(error.to_string()))?;
        Key::from_hex(&text).map_err(|fault| failed(fault.to_string()))
    }
}

impl Minimise {
    /// Of the source's policies. Their keys are looked up when the first rows come that need them.
    ///
    /// # Errors
    /// A policy cannot be understood.
    pub(crate) fn of(source: &DesiredSource) -> Result<Self, AdapterError> {
        if source.policies.is_empty() {
            return Ok(Self(None));
        }
        let minimiser = Minimiser::new(rulebook(source)?, source.region.clone(), Arc::new(OwnKeys));
        Ok(Self(Some(minimiser)))
    }

    /// What may be written and sent of an emission. Its position and marks stay.
    ///
    /// # Errors
    /// Nothing of it may.
    pub(crate) fn emission(&mut self, emission: Emission) -> Result<Emission, Held> {
        let Some(minimiser) = self.0.as_mut().filter(|minimiser| minimiser.covers(&emission.stream)) else {
            return Ok(emission);
        };
        let rows = match emission.rows {
            Rows::Records { schema, batch } => {
                let work = || minimiser.records(&emission.stream, schema, batch);
                let (schema, batch) = tokio::task::block_in_place(work)?;
                if batch.num_rows() == 0 { Rows::Progress } else { Rows::Records { schema, batch } }
            }
            Rows::DeadLetters(letters) => {
                Rows::DeadLetters(minimiser.dead_letters(&emission.stream, letters))
            }
            Rows::Progress => Rows::Progress,
        };
        Ok(Emission { rows, ..emission })
    }
}

/// The policies that are in force at one time only, or say other things then.
pub(crate) fn changed<'a>(then: &'a [DesiredPolicy], now: &'a [DesiredPolicy]) -> Vec<&'a DesiredPolicy> {
    let only_in = |these: &'a [DesiredPolicy], those: &'a [DesiredPolicy]| {
        these.iter().filter(move |policy| !those.contains(policy))
    };
    only_in(then, now).chain(only_in(now, then)).collect()
}

/// Whether rows may be read beside the flow of a stream, to be summed up, listed and sent again as its schema says.
///
/// # Errors
/// Policies change them on their way, so what was delivered is not what stands at the source.
pub(crate) fn check_reading(
    source: &DesiredSource,
    stream: &StreamName,
    schema: &StreamSchema,
) -> Result<(), AdapterError> {
    let rulebook = rulebook(source)?;
    let place = Place { region: &source.region, purpose: None };
    let is_changed = |column: &Column| {
        let decided = rulebook.field(stream, column, place).decision.treatment;
        column.treatment.is_some() || decided != Treatment::Allow
    };
    let changed = schema.columns().iter().find(|column| is_changed(column));
    let why = match (changed, rulebook.filters(stream).next()) {
        (None, None) => return Ok(()),
        (Some(column), _) => format!("policies change its field `{}` on its way", column.name),
        (None, Some((policy, _))) => format!("policy {policy} lets only some of its rows pass"),
    };
    let message = format!("{why}, so its rows cannot be compared with those that were delivered");
    Err(AdapterError::new(ErrorKind::Config, stream.as_str(), message))
}

/// Whether the policies of a source can be understood. Whether their keys are there shows when rows come.
///
/// # Errors
/// They cannot.
pub(crate) fn check(source: &DesiredSource) -> Result<(), AdapterError> {
    rulebook(source).map(drop)
}

fn rulebook(source: &DesiredSource) -> Result<Rulebook, AdapterError> {
    let named =
        source.policies.iter().cloned().map(|policy| NamedPolicy { name: policy.name, spec: policy.spec });
    Rulebook::new(named).map_err(|error| refused(&error))
}

fn refused(error: &dyn std::fmt::Display) -> AdapterError {
    AdapterError::new(ErrorKind::Config, "policy", error.to_string())
}
