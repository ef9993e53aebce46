//! What an agent is told to run. The agent keeps the last good one on its disk and works from it alone.
//!
//! Policies are written once for all sources of an agent, since a message to it is bounded. An agent that does not
//! understand one of them cannot read the whole, and so goes on with what it ran before: nothing that a policy says is
//! ever passed over in silence.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::{AgentId, RegionName, ResourceName, SinkId, SourceId};

use crate::adapter::AdapterName;
use crate::policy::PolicySpec;
use crate::source::{Capture, ReleaseWhen};

/// What an agent is told to run. Fields that a later control plane adds are passed over by an older agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Desired {
    /// The catalog's generation that made it so. Agents move to a higher one and report which they run.
    pub generation: u64,
    /// The agent it is meant for.
    pub agent: AgentId,
    /// The agent's name, for messages.
    pub agent_name: ResourceName,
    /// What the agent reads.
    pub sources: Vec<DesiredSource>,
    /// What the agent writes.
    pub sinks: Vec<DesiredSink>,
}

/// A system to read. Written only as a part of [`Desired`], which writes its policies.
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
    /// The policies that could cover a stream of it, in the order of their names.
    #[serde(skip)]
    pub policies: Arc<[DesiredPolicy]>,
}

/// A policy to keep to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredPolicy {
    /// Its name, for messages.
    pub name: ResourceName,
    /// What it says, without what people should know of it.
    pub spec: PolicySpec,
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

/// The form in which it is sent and kept: with the policies once, though every source has them.
#[derive(Serialize, Deserialize)]
struct Written {
    generation: u64,
    agent: AgentId,
    agent_name: ResourceName,
    #[serde(default)]
    sources: Vec<DesiredSource>,
    #[serde(default)]
    sinks: Vec<DesiredSink>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<DesiredPolicy>,
}

impl From<Written> for Desired {
    fn from(written: Written) -> Self {
        let Written { generation, agent, agent_name, mut sources, sinks, policies } = written;
        let policies: Arc<[DesiredPolicy]> = policies.into();
        for source in &mut sources {
            source.policies = policies.clone();
        }
        Self { generation, agent, agent_name, sources, sinks }
    }
}

impl From<Desired> for Written {
    fn from(desired: Desired) -> Self {
        let Desired { generation, agent, agent_name, sources, sinks } = desired;
        let mut policies: Vec<DesiredPolicy> = Vec::new();
        for policy in sources.iter().flat_map(|source| source.policies.iter()) {
            if policies.iter().all(|known| known.name != policy.name) {
                policies.push(policy.clone());
            }
        }
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        Self { generation, agent, agent_name, sources, sinks, policies }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn desired() -> Value {
        let policy = |name: &str| {
            json!({
                "name": name,
                "spec": { "streams": ["**"], "rules": [{ "classes": ["*"], "then": "drop" }] },
            })
        };
        let source = |number: u8| {
            json!({
                "id": SourceId::from_bytes([number; 16]),
                "name": format!("source-{number}"),
                "adapter": "file",
                "config": {},
                "region": "main",
            })
        };
        json!({
            "generation": 7,
            "agent": AgentId::from_bytes([1; 16]),
            "agent_name": "plant-1",
            "sources": [source(1), source(2)],
            "policies": [policy("customers"), policy("staff")],
        })
    }

    #[test]
    fn policies_are_written_once_and_every_source_has_them() {
        let read: Desired = serde_json::from_value(desired()).unwrap();
        for source in &read.sources {
            let names: Vec<_> = source.policies.iter().map(|policy| policy.name.as_str()).collect();
            assert_eq!(names, ["customers", "staff"]);
        }
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written.matches("customers").count(), 1);
        assert_eq!(serde_json::from_str::<Desired>(&written).unwrap(), read);
    }

    #[test]
    fn a_policy_that_is_not_understood_makes_the_whole_unreadable() {
        let wrong = |change: fn(&mut Value)| {
            let mut desired = desired();
            change(&mut desired["policies"][1]["spec"]);
            assert!(serde_json::from_value::<Desired>(desired).is_err());
        };
        wrong(|spec| spec["rules"][0]["then"] = json!("forget"));
        wrong(|spec| spec["rules"][0]["then"] = json!({ "summarise": {} }));
        wrong(|spec| spec["on_new_field"] = json!("ask"));
        wrong(|spec| spec["keep_for"] = json!("30d"));
    }

    #[test]
    fn without_policies_nothing_is_written_of_them() {
        let mut desired = desired();
        desired.as_object_mut().unwrap().remove("policies");
        let read: Desired = serde_json::from_value(desired).unwrap();
        assert!(read.sources.iter().all(|source| source.policies.is_empty()));
        assert!(!serde_json::to_string(&read).unwrap().contains("policies"));
    }
}
