//! The schemas of streams: their versions, what changed between them, and what routes make of it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{Change, Column, LogOffset, ResourceName, SchemaHash, StreamName};

/// The schema of a source's stream, and how it came to be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamSchemas {
    /// The stream.
    pub stream: StreamName,
    /// The source that brings it, if that is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// How many versions there are.
    pub versions: u32,
    /// The newest.
    pub latest: VersionStatus,
    /// The routes that stopped before one of them.
    pub held_routes: Vec<ResourceName>,
}

/// A version of a stream's schema.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VersionStatus {
    /// Its number, from 1.
    pub version: u32,
    /// The hash by which frames name it.
    #[schemars(with = "String")]
    pub schema: SchemaHash,
    /// The first frame that named it.
    pub first_offset: LogOffset,
    /// When that frame came to the region's log.
    pub first_seen_at: Timestamp,
    /// What is different from the version before it.
    pub changes: Vec<Change>,
}

/// One version, with its columns and those before and after it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchemaDescription {
    /// The stream.
    pub stream: StreamName,
    /// The source that brings it, if that is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// The version that is described.
    pub version: u32,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The columns by which its rows are told apart; none for a stream that only grows.
    pub key: Vec<String>,
    /// Every version, oldest first.
    pub history: Vec<VersionStatus>,
}

/// What is different between two versions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchemaDiff {
    /// The stream.
    pub stream: StreamName,
    /// The source that brings it, if that is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// The one version.
    pub from: u32,
    /// The other.
    pub to: u32,
    /// Whether the other reads rows of the one.
    pub backward: bool,
    /// Whether the one reads rows of the other.
    pub forward: bool,
    /// What is different, column by column.
    pub changes: Vec<Change>,
}

/// Accepts a version of a schema for a route, though it breaks. Whatever is left out is what the route stopped before.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcceptOrder {
    /// The stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
    /// The source that brings it. Needed only where several do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// A version was accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchemaAccepted {
    /// The route.
    pub route: ResourceName,
    /// The stream.
    pub stream: StreamName,
    /// The version.
    pub version: u32,
    /// Whether it was not accepted before.
    pub is_new: bool,
}

/// Before which version a route stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchemaHold {
    /// The stream.
    pub stream: StreamName,
    /// The source that brings it, if that is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResourceName>,
    /// The version that breaks the route's rule.
    pub version: u32,
    /// The version that the route took last.
    pub taken: u32,
    /// What breaks.
    pub reason: String,
}
