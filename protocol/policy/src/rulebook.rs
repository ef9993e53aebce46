//! The policies in force, ready to be asked.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use towpath_record::{ResourceName, StreamName};
use towpath_resource::{OnNewField, PolicySpec};

use crate::filter::{Filter, FilterFault};

/// A policy by its name.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedPolicy {
    /// The name.
    pub name: ResourceName,
    /// What it says.
    pub spec: PolicySpec,
}

/// The policies in force. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Rulebook(pub(crate) Arc<[Compiled]>);

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) policy: NamedPolicy,
    /// For each classification, the patterns of its fields.
    pub(crate) fields: Vec<Vec<GlobMatcher>>,
    filter: Option<Arc<Filter>>,
}

/// A part of a policy that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulebookError {
    /// A pattern of fields.
    #[error("policy {policy}: `{pattern}` is no pattern of fields: {reason}")]
    Fields {
        /// The policy.
        policy: ResourceName,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The filter of rows.
    #[error("policy {policy}: the filter cannot be used: {fault}")]
    Filter {
        /// The policy.
        policy: ResourceName,
        /// What is wrong with it.
        fault: FilterFault,
    },
}

impl Rulebook {
    /// Makes policies ready.
    ///
    /// # Errors
    /// A pattern of fields or a filter cannot be understood.
    pub fn new(policies: impl IntoIterator<Item = NamedPolicy>) -> Result<Self, RulebookError> {
        policies.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Whether any policy covers the stream. What none covers is free.
    pub fn covers(&self, stream: &StreamName) -> bool {
        self.covering(stream).next().is_some()
    }

    /// The policies that cover the stream.
    pub(crate) fn covering<'a>(&'a self, stream: &'a StreamName) -> impl Iterator<Item = &'a Compiled> {
        self.0.iter().filter(|one| one.policy.spec.covers(stream))
    }

    /// The rows that pass: every policy's filter must let a row through.
    pub fn filters<'a>(
        &'a self,
        stream: &'a StreamName,
    ) -> impl Iterator<Item = (&'a ResourceName, &'a Arc<Filter>)> {
        self.covering(stream).filter_map(|one| Some((&one.policy.name, one.filter.as_ref()?)))
    }

    /// What becomes of a field of this stream that nobody knows: of several policies the strictest counts.
    pub fn on_new_field(&self, stream: &StreamName) -> OnNewField {
        self.covering(stream).map(|one| one.policy.spec.on_new_field).max().unwrap_or(OnNewField::Allow)
    }
}

fn compile(policy: NamedPolicy) -> Result<Compiled, RulebookError> {
    let matcher = |pattern: &String| {
        GlobBuilder::new(pattern).case_insensitive(true).build().map(|glob| glob.compile_matcher()).map_err(
            |error| RulebookError::Fields {
                policy: policy.name.clone(),
                pattern: pattern.clone(),
                reason: error.kind().to_string(),
            },
        )
    };
    let of_one = |patterns: &Vec<String>| patterns.iter().map(matcher).collect::<Result<Vec<_>, _>>();
    let fields = policy.spec.classify.iter().map(|one| of_one(&one.fields)).collect::<Result<_, _>>()?;
    let filter = policy.spec.filter.as_deref().map(Filter::parse).transpose();
    let filter = filter.map_err(|fault| RulebookError::Filter { policy: policy.name.clone(), fault })?;
    Ok(Compiled { policy, fields, filter: filter.map(Arc::new) })
}
