//! A route from end to end, and its replay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{ResourceName, StreamName};

use super::fleet::{RouteStatus, SinkStatus, SourceStatus};
use crate::observed::SinkGuarantee;
use crate::pattern::StreamPattern;
use crate::route::StartFrom;

/// A route from end to end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RouteDescription {
    /// Its name.
    pub name: ResourceName,
    /// The patterns by which it takes streams.
    pub patterns: Vec<StreamPattern>,
    /// The streams it takes that exist now.
    pub streams: Vec<FedStream>,
    /// The sources that feed those streams.
    pub sources: Vec<SourceStatus>,
    /// Where it leads.
    pub sink: SinkStatus,
    /// What a user may rely on from end to end.
    pub guarantee: SinkGuarantee,
    /// The guarantee in words, stage by stage.
    pub guarantee_text: Vec<String>,
    /// How it goes.
    pub status: RouteStatus,
}

/// A stream that a route takes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FedStream {
    /// The stream.
    pub stream: StreamName,
    /// Records in the region's log since it was created.
    pub records: u64,
    /// What feeds it.
    pub feeders: Vec<Feeder>,
}

/// A source that feeds a stream.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Feeder {
    /// The source.
    pub source: ResourceName,
    /// The agent that reads it.
    pub agent: ResourceName,
}

/// Sends a route back to deliver again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayOrder {
    /// Where it begins again.
    pub from: StartFrom,
}

/// A route was sent back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// The route.
    pub route: ResourceName,
    /// Where it begins again.
    pub from: StartFrom,
    /// How often it was replayed now.
    pub replay: u64,
}
