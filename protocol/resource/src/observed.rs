//! What an agent says of itself. Every field has a default, so that agents and control planes of different age
//! understand each other.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::{RouteId, SinkId, SourceId};

/// What an agent says of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// The generation of desired state that it runs; 0 for none yet.
    pub generation: u64,
    /// The newer generation that it was given and could not run, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedGeneration>,
    /// The agent's version.
    pub version: String,
    /// The machine it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// What it could read and write.
    pub adapters: Vec<ObservedAdapter>,
    /// What it reads.
    pub sources: Vec<ObservedSource>,
    /// What it writes.
    pub sinks: Vec<ObservedSink>,
    /// Its spool.
    pub spool: ObservedSpool,
}

/// A generation that an agent could not run. It went back to the last good one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RefusedGeneration {
    /// The generation.
    pub generation: u64,
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// An adapter that an agent was built with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ObservedAdapter {
    /// The word by which resources name it.
    pub name: String,
    /// The JSON Schema of a source's configuration, where it can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_config: Option<Value>,
    /// The JSON Schema of a sink's configuration, where it can write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink_config: Option<Value>,
}

/// How something goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It works.
    Running,
    /// It waits for something that comes by itself: space, a connection, the next try.
    Waiting,
    /// It waits for an admin.
    Failed,
    /// Nothing is known yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What is wrong, and what would help.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trouble {
    /// What is wrong, naming the resource and the cause.
    pub message: String,
    /// What would help.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A source as its agent sees it. Counts are since the agent was started.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ObservedSource {
    /// The source.
    pub id: SourceId,
    /// How it goes.
    #[serde(default)]
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Rows captured.
    #[serde(default)]
    pub records: u64,
    /// Bytes of frames sealed.
    #[serde(default)]
    pub bytes: u64,
    /// Rows that could not become records.
    #[serde(default)]
    pub dead_letters: u64,
    /// When the last row was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record_at: Option<Timestamp>,
    /// What waits in the spool for the region's log.
    #[serde(default)]
    pub backlog: Backlog,
}

/// What waits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Backlog {
    /// Frames.
    pub frames: u64,
    /// Rows.
    pub records: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// When the oldest of it was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
}

/// A sink as its agent sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ObservedSink {
    /// The sink.
    pub id: SinkId,
    /// How it goes.
    #[serde(default)]
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What a user may rely on, as the adapter states it.
    #[serde(default)]
    pub guarantee: SinkGuarantee,
    /// The routes that lead to it.
    #[serde(default)]
    pub routes: Vec<ObservedRoute>,
}

/// What a user may rely on at a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkGuarantee {
    /// Every row lands exactly once: rows and checkpoint are one atomic act.
    ExactlyOnce,
    /// Every row lands; after a crash some may land again.
    AtLeastOnce,
    /// The agent has not said yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A route as the sink's agent sees it. Counts are since the agent was started.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ObservedRoute {
    /// The route.
    pub id: RouteId,
    /// How it goes.
    #[serde(default)]
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Rows that are durable in the sink.
    #[serde(default)]
    pub records: u64,
    /// Bytes of frames that are durable in the sink.
    #[serde(default)]
    pub bytes: u64,
    /// Rows that the sink refused for good.
    #[serde(default)]
    pub rejected: u64,
    /// When the sink last committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_at: Option<Timestamp>,
}

/// An agent's spool.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObservedSpool {
    /// Bytes it takes on disk.
    pub bytes: u64,
    /// Bytes it may take.
    pub max_bytes: u64,
    /// Bytes free on its file system.
    pub free_disk_bytes: u64,
    /// Why sources wait for it, when they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<String>,
    /// Segments that were damaged and set aside since the agent was started.
    pub quarantined: u64,
}
