//! What agents say of themselves: the newest word of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_record::AgentId;
use towpath_resource::observed::Observed;

/// What is known of an agent.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whether its link is up.
    pub linked: bool,
    /// Where it dialled from, the last time.
    pub address: Option<SocketAddr>,
    /// When its link came up or went down.
    pub since: Option<Timestamp>,
    /// What it said of itself, the last time.
    pub observed: Observed,
    /// When it said so.
    pub observed_at: Option<Timestamp>,
}

/// The agents that were seen since the control plane was started.
#[derive(Clone, Default)]
pub struct Sightings(Arc<Mutex<BTreeMap<AgentId, Seen>>>);

impl Sightings {
    /// Everything that is known.
    pub fn all(&self) -> BTreeMap<AgentId, Seen> {
        self.0.lock().clone()
    }

    /// Where an agent dialled from, the last time.
    pub(crate) fn address(&self, agent: AgentId) -> Option<SocketAddr> {
        self.0.lock().get(&agent).and_then(|seen| seen.address)
    }

    pub(crate) fn change(&self, agent: AgentId, change: impl FnOnce(&mut Seen)) {
        change(self.0.lock().entry(agent).or_default());
    }
}
