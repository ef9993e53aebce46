//! How the fleet goes: every stage of the way of the data, with rates and lags.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{LogOffset, RegionName, ResourceName};

use super::schema::SchemaHold;
use crate::observed::{Backlog, Condition, ObservedSpool, SinkGuarantee, Trouble};

/// How the fleet goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// When this was so.
    pub at: Timestamp,
    /// The control plane's version.
    pub version: String,
    /// The catalog's generation.
    pub generation: u64,
    /// The agents.
    pub agents: Vec<AgentStatus>,
    /// What is read.
    pub sources: Vec<SourceStatus>,
    /// What is kept.
    pub logs: Vec<LogStatus>,
    /// What is on its way to sinks.
    pub routes: Vec<RouteStatus>,
    /// What is written.
    pub sinks: Vec<SinkStatus>,
}

/// How a site goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SiteStatus {
    /// How many agents stand there.
    pub agents: u64,
    /// How many of them are connected now.
    pub connected_agents: u64,
}

/// How an agent goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AgentStatus {
    /// Its name.
    pub name: ResourceName,
    /// Its site.
    pub site: ResourceName,
    /// How it goes.
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Whether it is connected now.
    pub connected: bool,
    /// Since when it is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<Timestamp>,
    /// Where it connects from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it last said how it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it was cut off.
    pub revoked: bool,
    /// When its certificate ends, unless it renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_until: Option<Timestamp>,
    /// The generation it shall run.
    pub desired_generation: u64,
    /// The generation it runs.
    pub applied_generation: u64,
    /// Its spool.
    pub spool: ObservedSpool,
}

/// How much has flowed, and how fast.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Records.
    pub records: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Records in a second, of late.
    pub records_per_second: f64,
    /// Bytes in a second, of late.
    pub bytes_per_second: f64,
}

/// How far something is behind.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// In records.
    pub records: u64,
    /// In bytes of frames.
    pub bytes: u64,
    /// In seconds: the age of the oldest record that waits.
    pub seconds: f64,
}

/// How a source goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatus {
    /// Its name.
    pub name: ResourceName,
    /// The agent that reads it.
    pub agent: ResourceName,
    /// How it goes.
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What is durable in the region's log.
    pub logged: Flow,
    /// How far the region's log is behind the agent's spool.
    pub lag: Lag,
    /// What waits in the agent's spool.
    pub backlog: Backlog,
    /// Rows that could not become records, since the agent was started.
    pub dead_letters: u64,
    /// Frames that the region's log refused because policies forbid what they hold, since the control plane was started.
    #[serde(default)]
    pub refused_frames: u64,
    /// When the last row was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record_at: Option<Timestamp>,
}

/// How a region's log goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogStatus {
    /// Its region.
    pub region: RegionName,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The oldest frame it retains.
    pub first_offset: LogOffset,
    /// The number of its next frame.
    pub next_offset: LogOffset,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes it may take on disk, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// What has become durable in it.
    pub logged: Flow,
    /// Frames that it has acknowledged and lost, as agents proved since it was opened.
    pub lost_frames: u64,
    /// Versions of streams' schemas.
    #[serde(default)]
    pub schema_versions: u64,
}

/// How a route goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RouteStatus {
    /// Its name.
    pub name: ResourceName,
    /// The sink it leads to.
    pub sink: ResourceName,
    /// How it goes.
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Whether an admin paused it.
    pub paused: bool,
    /// How often it was replayed.
    pub replay: u64,
    /// What is durable in the sink.
    pub delivered: Flow,
    /// How far the sink is behind the region's log.
    pub lag: Lag,
    /// The circuit breaker.
    pub breaker: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// When delivery is tried again, while it pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// Rows that the sink refused and that wait as dead letters.
    pub dead_letters: u64,
    /// The version of a schema before which it stopped, until an admin accepts it or changes the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<SchemaHold>,
}

/// What a circuit breaker lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything.
    #[default]
    Closed,
    /// Nothing, for a while.
    Open,
    /// One try.
    HalfOpen,
}

/// How a sink goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SinkStatus {
    /// Its name.
    pub name: ResourceName,
    /// The agent that writes it.
    pub agent: ResourceName,
    /// How it goes.
    pub condition: Condition,
    /// What is wrong, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What a user may rely on.
    pub guarantee: SinkGuarantee,
}

impl BreakerState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half open",
        }
    }
}
