//! Why something becomes of a field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{RegionName, ResourceName, StreamName};

use crate::class::Class;

/// Which field is explained, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainOrder {
    /// The stream.
    pub stream: String,
    /// The field.
    pub field: String,
    /// The region. Default: every region that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The purpose, as a route declares it. Default: none, as where a log stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// What becomes of a field of a stream, region by region, and why.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PolicyExplanation {
    /// The stream.
    pub stream: StreamName,
    /// The field.
    pub field: String,
    /// The policies that cover the stream. Where there is none, everything passes.
    pub policies: Vec<ResourceName>,
    /// The field as it stands in the stream's newest schema, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<FoundField>,
    /// Its classes.
    #[schemars(with = "Vec<String>")]
    pub classes: Vec<Class>,
    /// Who said which of them. Where nobody did, the field is new to the policies.
    pub origins: Vec<ClassOrigin>,
    /// What becomes of it, region by region.
    pub places: Vec<FieldAtPlace>,
}

/// A field as it stands in the region's log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FoundField {
    /// The version of the stream's schema.
    pub version: u32,
    /// The source that brings it, if that is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// The type of its values there.
    #[serde(rename = "type")]
    pub column_type: String,
    /// What was made of its values before they came, such as `mask domain`. None if they are as the source gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment: Option<String>,
}

/// Who said which classes a field has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClassOrigin {
    /// The policy. None if the source said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ResourceName>,
    /// The number of the classification in the policy, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<u32>,
    /// The classes. None says that it needs no protection.
    #[schemars(with = "Vec<String>")]
    pub classes: Vec<Class>,
}

/// What becomes of a field at a place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FieldAtPlace {
    /// The region of the log or sink.
    pub region: RegionName,
    /// The purpose that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// What becomes of it, such as `allow`, `drop` or `mask domain`.
    pub treatment: String,
    /// Why.
    pub reason: String,
    /// The type of its values there. None where it does not stand there, or where the type at the source is not known.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub column_type: Option<String>,
    /// Every rule of the policies that cover the stream, and what was made of it.
    pub rules: Vec<ConsideredRule>,
}

/// A rule that was looked at, and what was made of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConsideredRule {
    /// The policy.
    pub policy: ResourceName,
    /// The number of the rule in it, from 1.
    pub rule: u32,
    /// What it would make of the field.
    pub then: String,
    /// Whether it counts.
    pub counts: bool,
    /// Why, or why not.
    pub because: String,
}
