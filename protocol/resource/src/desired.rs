//! What an agent is told to run. The agent keeps the last good one on its disk and works from it alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::{AgentId, RegionName, ResourceName, SinkId, SourceId};

use crate::adapter::AdapterName;
use crate::source::{Capture, ReleaseWhen};

/// What an agent is told to run. Fields that a later control plane adds are passed over by an older agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Desired {
    /// The catalog's generation that made it so. Agents move to a higher one and report which they run.
    pub generation: u64,
    /// The agent it is meant for.
    pub agent: AgentId,
    /// The agent's name, for messages.
    pub agent_name: ResourceName,
    /// What the agent reads.
    #[serde(default)]
    pub sources: Vec<DesiredSource>,
    /// What the agent writes.
    #[serde(default)]
    pub sinks: Vec<DesiredSink>,
}

/// A system to read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DesiredSource {
    /// Its identity.
    pub id: SourceId,
    /// Its name.
    pub name: ResourceName,
    /// The adapter that reads it.
    pub adapter: AdapterName,
    /// The adapter's configuration, with secrets as references.
    pub config: Value,
    /// How records are gathered into frames.
    #[serde(default)]
    pub capture: Capture,
    /// When the source may forget.
    #[serde(default)]
    pub release: ReleaseWhen,
    /// The region whose log its frames go to.
    pub region: RegionName,
}

/// A system to write.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DesiredSink {
    /// Its identity.
    pub id: SinkId,
    /// Its name.
    pub name: ResourceName,
    /// The adapter that writes it.
    pub adapter: AdapterName,
    /// The adapter's configuration, with secrets as references.
    pub config: Value,
}
