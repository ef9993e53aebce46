//! What each agent shall run, as it follows from the resources.

use std::sync::Arc;

use towpath_record::{AgentId, RegionName};
use towpath_resource::PolicySpec;
use towpath_resource::desired::{Desired, DesiredPolicy, DesiredSink, DesiredSource};

use crate::state::State;

impl State {
    /// The generation of what this agent shall run; 0 for an agent that is not there.
    pub fn desired_generation(&self, agent: AgentId) -> u64 {
        self.desired_generations.get(&agent).copied().unwrap_or(0)
    }

    /// What this agent shall run; nothing for one that is not there.
    pub fn desired(&self, id: AgentId) -> Option<Desired> {
        let agent = self.agent(id)?;
        let region =
            self.sites.get(&agent.spec.site).map_or_else(RegionName::main, |site| site.spec.region.clone());
        let policies = self.desired_policies();
        let (sources, sinks) = (self.sources_of(agent.name()), self.sinks_of(agent.name()));
        Some(Desired {
            generation: self.desired_generation(id),
            agent: id,
            agent_name: agent.name().clone(),
            sources: sources
                .map(|source| DesiredSource {
                    id: source.id,
                    name: source.name().clone(),
                    adapter: source.spec.adapter.clone(),
                    config: source.spec.config.clone(),
                    capture: source.spec.capture.clone(),
                    release: source.spec.release,
                    region: region.clone(),
                    policies: policies.clone(),
                })
                .collect(),
            sinks: sinks
                .map(|sink| DesiredSink {
                    id: sink.id,
                    name: sink.name().clone(),
                    adapter: sink.spec.adapter.clone(),
                    config: sink.spec.config.clone(),
                })
                .collect(),
        })
    }
    /// All policies: which streams a source has is known only when it is read.
    fn desired_policies(&self) -> Arc<[DesiredPolicy]> {
        let policies = self.policies.values().map(|policy| DesiredPolicy {
            name: policy.name().clone(),
            // Lanes begin anew when this changes, for which a description is no reason.
            spec: PolicySpec { description: String::new(), ..policy.spec.clone() },
        });
        policies.collect()
    }
}
