//! How the fleet goes, from what the catalog wants and what the data path sees. Pure.

use jiff::Timestamp;
use towpath_catalog::{Resources, State};
use towpath_record::{AgentId, ResourceName};
use towpath_resource::api::SchemaHold;
use towpath_resource::api::fleet::{
    AgentStatus, BreakerState, FleetStatus, Lag, LogStatus, RouteStatus, SinkStatus, SiteStatus, SourceStatus,
};
use towpath_resource::observed::{Condition, Observed, ObservedSpool, SinkGuarantee, Trouble};
use towpath_resource::{
    AgentSpec, AnyManifest, Manifest, Resource, RouteSpec, SinkSpec, SiteSpec, SourceSpec, Spec,
};

use crate::control::export::Exports;

use super::plane::{AgentPresence, RouteHold, Snapshot};
use super::rates::{Measured, Rates};

/// How everything goes at one moment.
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    pub(super) snapshot: &'a Snapshot,
    pub(super) rates: &'a Rates,
    pub(super) exports: &'a Exports,
    pub(super) at: Timestamp,
}

/// How the fleet goes, as far as it is asked for.
pub(super) fn fleet(view: &View<'_>, shows: impl Fn(&AnyManifest) -> bool) -> FleetStatus {
    fn shown<'a, S: Spec>(
        all: &'a Resources<S>,
        shows: &'a impl Fn(&AnyManifest) -> bool,
    ) -> impl Iterator<Item = &'a Resource<S>>
    where
        AnyManifest: From<Manifest<S>>,
    {
        all.values().filter(|one| shows(&one.manifest().into()))
    }
    let state = view.state;
    FleetStatus {
        at: view.at,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: state.generation,
        agents: shown(&state.agents, &shows).map(|agent| view.agent(agent)).collect(),
        sources: shown(&state.sources, &shows).map(|source| view.source(source)).collect(),
        logs: view.logs(),
        routes: shown(&state.routes, &shows).map(|route| view.route(route)).collect(),
        sinks: shown(&state.sinks, &shows).map(|sink| view.sink(sink)).collect(),
    }
}

/// How something goes, and what is wrong unless all is well.
type Health = (Condition, Option<Trouble>);

const WELL: Health = (Condition::Running, None);

impl View<'_> {
    pub(super) fn site(&self, site: &Resource<SiteSpec>) -> SiteStatus {
        let linked = |agent: &&Resource<AgentSpec>| {
            self.snapshot.agents.get(&agent.id).is_some_and(|presence| presence.connected_since.is_some())
        };
        SiteStatus {
            agents: self.state.agents_at(site.name()).count() as u64,
            connected_agents: self.state.agents_at(site.name()).filter(linked).count() as u64,
        }
    }

    pub(super) fn agent(&self, agent: &Resource<AgentSpec>) -> AgentStatus {
        let presence = self.presence(agent.id);
        let observed = presence.observed.as_ref().map(|(_, observed)| observed);
        let (condition, trouble) = self.agent_health(agent, &presence);
        AgentStatus {
            name: agent.name().clone(),
            site: agent.spec.site.clone(),
            condition,
            trouble,
            connected: presence.connected_since.is_some(),
            connected_since: presence.connected_since,
            address: presence.address.clone(),
            observed_at: presence.observed.as_ref().map(|(at, _)| *at),
            version: observed.map(|observed| observed.version.clone()).filter(|version| !version.is_empty()),
            revoked: self.state.revoked.contains_key(&agent.id),
            certificate_until: self
                .state
                .certificates
                .get(&agent.id)
                .map(|certificate| certificate.not_after),
            desired_generation: self.state.desired_generation(agent.id),
            applied_generation: observed.map_or(0, |observed| observed.generation),
            spool: observed.map_or_else(ObservedSpool::default, |observed| observed.spool.clone()),
        }
    }

    fn agent_health(&self, agent: &Resource<AgentSpec>, presence: &AgentPresence) -> Health {
        let name = agent.name();
        if let Some(revocation) = self.state.revoked.get(&agent.id) {
            let remedy = "delete it, or enrol it anew under another name";
            return failed(format!("agent {name} is revoked"), remedy, Some(revocation.at));
        }
        if presence.connected_since.is_none() {
            return waiting(
                format!("agent {name} is not connected"),
                "check that towpath-agent runs on its machine and reaches this control plane over UDP and TCP",
                presence.observed.as_ref().map(|(at, _)| *at),
            );
        }
        let observed = presence.observed.as_ref().map(|(_, observed)| observed);
        if let Some(refused) = observed.and_then(|observed| observed.refused.as_ref()) {
            return (Condition::Failed, Some(refused.trouble.clone()));
        }
        if let Some(full) = observed.and_then(|observed| observed.spool.full.as_ref()) {
            let remedy = "free or add disk space, or see why the region's log does not take frames";
            return waiting(format!("the spool of agent {name} is full: {full}"), remedy, None);
        }
        WELL
    }

    pub(super) fn source(&self, source: &Resource<SourceSpec>) -> SourceStatus {
        let flow = self.snapshot.sources.get(&source.id).cloned().unwrap_or_default();
        let observed = self.observed(&source.spec.agent);
        let observed =
            observed.and_then(|observed| observed.sources.iter().find(|seen| seen.id == source.id));
        let said = observed.map(|seen| (seen.condition, seen.trouble.clone()));
        let (condition, trouble) = match &flow.trouble {
            Some(trouble) => (Condition::Waiting, Some(trouble.clone())),
            None => self.through_agent(&source.spec.agent, said),
        };
        let backlog = observed.map(|seen| seen.backlog.clone()).unwrap_or_default();
        let age = backlog.oldest_at.map_or(0.0, |oldest| seconds_between(oldest, self.at));
        SourceStatus {
            name: source.name().clone(),
            agent: source.spec.agent.clone(),
            condition,
            trouble,
            logged: self.rates.flow(&Measured::Source(source.id), flow.records, flow.bytes),
            lag: Lag { records: backlog.records, bytes: backlog.bytes, seconds: age },
            backlog,
            dead_letters: observed.map_or(0, |seen| seen.dead_letters),
            refused_frames: flow.refused_frames,
            last_record_at: observed.and_then(|seen| seen.last_record_at),
        }
    }

    fn logs(&self) -> Vec<LogStatus> {
        let status = |(region, flow): (&towpath_record::RegionName, &super::plane::LogFlow)| LogStatus {
            region: region.clone(),
            trouble: flow.trouble.clone(),
            first_offset: flow.first_offset,
            next_offset: flow.next_offset,
            disk_bytes: flow.disk_bytes,
            max_bytes: flow.max_bytes,
            logged: self.rates.flow(&Measured::Log(region.clone()), flow.records, flow.bytes),
            lost_frames: flow.lost_frames,
            schema_versions: flow.schema_versions,
        };
        self.snapshot.logs.iter().map(status).collect()
    }

    pub(super) fn route(&self, route: &Resource<RouteSpec>) -> RouteStatus {
        let flow = self.snapshot.routes.get(&route.id).cloned().unwrap_or_default();
        let sink = self.state.sinks.get(&route.spec.sink);
        let held = flow.held.as_ref().map(|hold| self.hold(hold));
        let (condition, trouble) = if route.spec.paused {
            (Condition::Waiting, None)
        } else if let Some(hold) = &held {
            stopped_before(route, hold)
        } else if flow.stopped {
            (Condition::Failed, flow.trouble)
        } else if flow.trouble.is_some() || flow.breaker == BreakerState::Open {
            (Condition::Waiting, flow.trouble)
        } else {
            sink.map_or(WELL, |sink| self.through_agent(&sink.spec.agent, Some(WELL)))
        };
        RouteStatus {
            name: route.name().clone(),
            sink: route.spec.sink.clone(),
            condition,
            trouble,
            paused: route.spec.paused,
            replay: self.state.replay_count(route.id),
            delivered: self.rates.flow(&Measured::Route(route.id), flow.records, flow.bytes),
            lag: flow.lag,
            breaker: flow.breaker,
            failures: flow.failures,
            next_try_at: flow.next_try_at,
            dead_letters: flow.dead_letters,
            held,
        }
    }

    fn hold(&self, hold: &RouteHold) -> SchemaHold {
        SchemaHold {
            stream: hold.stream.clone(),
            source: self.state.source(hold.source).map(|source| source.name().clone()),
            version: hold.version,
            taken: hold.taken,
            reason: hold.reason.clone(),
        }
    }

    pub(super) fn sink(&self, sink: &Resource<SinkSpec>) -> SinkStatus {
        let observed = self.observed(&sink.spec.agent);
        let observed = observed.and_then(|observed| observed.sinks.iter().find(|seen| seen.id == sink.id));
        let said = observed.map(|seen| (seen.condition, seen.trouble.clone()));
        let (condition, trouble) = self.through_agent(&sink.spec.agent, said);
        SinkStatus {
            name: sink.name().clone(),
            agent: sink.spec.agent.clone(),
            condition,
            trouble,
            guarantee: observed.map_or(SinkGuarantee::Unknown, |seen| seen.guarantee),
        }
    }

    /// What an agent says of one of its things, unless what is wrong with the agent itself goes before.
    fn through_agent(&self, name: &ResourceName, said: Option<Health>) -> Health {
        let Some(agent) = self.state.agents.get(name) else {
            return failed(
                format!("there is no agent {name}"),
                "apply the resource with another agent",
                None,
            );
        };
        let presence = self.presence(agent.id);
        let health = self.agent_health(agent, &presence);
        if presence.connected_since.is_none() || self.state.revoked.contains_key(&agent.id) {
            return health;
        }
        match said {
            Some((condition, trouble)) if condition != Condition::Unknown => (condition, trouble),
            _ if health.0 == Condition::Failed => health,
            _ => waiting(format!("agent {name} has not taken it over yet"), "wait a few seconds", None),
        }
    }

    fn presence(&self, agent: AgentId) -> AgentPresence {
        self.snapshot.agents.get(&agent).cloned().unwrap_or_default()
    }

    fn observed(&self, agent: &ResourceName) -> Option<&Observed> {
        let agent = self.state.agents.get(agent)?;
        self.snapshot.agents.get(&agent.id)?.observed.as_ref().map(|(_, observed)| observed)
    }
}

/// A route that waits for an admin to judge a version of a schema.
fn stopped_before(route: &Resource<RouteSpec>, hold: &SchemaHold) -> Health {
    let (name, SchemaHold { stream, version, taken, reason, .. }) = (route.name(), hold);
    let message = format!(
        "route {name} stopped before version {version} of the schema of stream {stream}, which breaks its rule: {reason}"
    );
    let remedy = format!(
        "look at it with `towpath schema diff {stream} {taken} {version}`, then accept it with `towpath schema accept {name}`, or change `schema` of the route"
    );
    failed(message, &remedy, None)
}

fn waiting(message: String, remedy: &str, since: Option<Timestamp>) -> Health {
    (Condition::Waiting, Some(Trouble { message, remedy: remedy.to_owned(), since }))
}

fn failed(message: String, remedy: &str, since: Option<Timestamp>) -> Health {
    (Condition::Failed, Some(Trouble { message, remedy: remedy.to_owned(), since }))
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64().max(0.0)
}
