//! What the events add up to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_record::{AgentId, ResourceName, RouteId, SchemaHash, SinkId, SourceId, StreamName};
use towpath_resource::nearest;
use towpath_resource::{
    AdminTokenId, AgentSpec, AnyResource, Kind, Resource, RouteSpec, SinkSpec, SiteSpec, SourceSpec, Spec,
    StartFrom, TokenId,
};

use crate::chain::EventHash;
use crate::error::UnknownResource;
use crate::secret::SecretHash;

/// What the events add up to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    /// The number of the last event.
    pub seq: u64,
    /// The hash of the last event.
    pub head: EventHash,
    /// The number of the last event that changed a resource.
    pub generation: u64,
    /// The sites.
    pub sites: BTreeMap<ResourceName, Resource<SiteSpec>>,
    /// The agents.
    pub agents: BTreeMap<ResourceName, Resource<AgentSpec>>,
    /// The sources.
    pub sources: BTreeMap<ResourceName, Resource<SourceSpec>>,
    /// The sinks.
    pub sinks: BTreeMap<ResourceName, Resource<SinkSpec>>,
    /// The routes.
    pub routes: BTreeMap<ResourceName, Resource<RouteSpec>>,
    /// Enrolment tokens; those long expired are forgotten.
    pub tokens: BTreeMap<TokenId, Token>,
    /// Tokens of admins.
    pub admin_tokens: BTreeMap<AdminTokenId, AdminToken>,
    /// The newest certificate of each agent.
    pub certificates: BTreeMap<AgentId, Certificate>,
    /// Agents that were cut off, deleted ones included.
    pub revoked: BTreeMap<AgentId, Revocation>,
    /// Routes that were replayed.
    pub replays: BTreeMap<RouteId, Replay>,
    /// Versions of schemas that were accepted for routes.
    pub accepted_schemas: BTreeMap<RouteId, BTreeSet<AcceptedSchema>>,
    /// The number of the last event that changed what each agent shall run.
    pub desired_generations: BTreeMap<AgentId, u64>,
    /// BLAKE3 of the certificate authority's certificate, hexadecimal.
    pub ca_fingerprint: Option<String>,
}

/// An enrolment token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The hash of the secret.
    pub hash: SecretHash,
    /// The site whose agent may use it.
    pub site: ResourceName,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it can no longer be used.
    pub expires_at: Timestamp,
    /// Who used it, once it was.
    pub used: Option<TokenUse>,
}

/// The use of an enrolment token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenUse {
    /// The agent that came into being.
    pub agent: AgentId,
    /// Its name.
    pub name: ResourceName,
    /// When.
    pub at: Timestamp,
}

/// A token with which an admin uses the API.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdminToken {
    /// The admin's name.
    pub name: String,
    /// The hash of the secret.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A certificate that an agent was given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// Its number, hexadecimal.
    pub serial: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// That an agent was cut off.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocation {
    /// The agent's name.
    pub name: ResourceName,
    /// When.
    pub at: Timestamp,
}

/// How a route was replayed last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// How often it was replayed.
    pub count: u64,
    /// Where it began again.
    pub from: StartFrom,
    /// When.
    pub at: Timestamp,
}

/// A version of a stream's schema that an admin accepted for a route, though it breaks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct AcceptedSchema {
    /// The source.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// The number of the version in the region's log.
    pub version: u32,
    /// The schema, which is what counts.
    pub schema: SchemaHash,
}

/// A kind of which the catalog keeps resources.
pub trait Table: Spec {
    /// The resources of this kind by name.
    fn of(state: &State) -> &BTreeMap<ResourceName, Resource<Self>>;

    /// The same, to change.
    fn of_mut(state: &mut State) -> &mut BTreeMap<ResourceName, Resource<Self>>;
}

macro_rules! tables {
    ($($spec:ident $field:ident;)*) => {$(
        impl Table for $spec {
            fn of(state: &State) -> &BTreeMap<ResourceName, Resource<Self>> {
                &state.$field
            }

            fn of_mut(state: &mut State) -> &mut BTreeMap<ResourceName, Resource<Self>> {
                &mut state.$field
            }
        }
    )*};
}

tables! {
    SiteSpec sites;
    AgentSpec agents;
    SourceSpec sources;
    SinkSpec sinks;
    RouteSpec routes;
}

impl State {
    /// The names of the resources of a kind, in order.
    pub fn names(&self, kind: Kind) -> Vec<&ResourceName> {
        match kind {
            Kind::Site => self.sites.keys().collect(),
            Kind::Agent => self.agents.keys().collect(),
            Kind::Source => self.sources.keys().collect(),
            Kind::Sink => self.sinks.keys().collect(),
            Kind::Route => self.routes.keys().collect(),
        }
    }

    /// The resources of a kind, in the order of their names.
    pub fn list(&self, kind: Kind) -> Vec<AnyResource> {
        self.names(kind).into_iter().filter_map(|name| self.get(kind, name)).collect()
    }

    /// A resource by kind and name.
    pub fn get(&self, kind: Kind, name: &ResourceName) -> Option<AnyResource> {
        match kind {
            Kind::Site => self.sites.get(name).cloned().map(Into::into),
            Kind::Agent => self.agents.get(name).cloned().map(Into::into),
            Kind::Source => self.sources.get(name).cloned().map(Into::into),
            Kind::Sink => self.sinks.get(name).cloned().map(Into::into),
            Kind::Route => self.routes.get(name).cloned().map(Into::into),
        }
    }

    /// A resource that must be there.
    ///
    /// # Errors
    /// [`UnknownResource`] names it and what may have been meant.
    pub fn require<S: Table>(&self, name: &str) -> Result<&Resource<S>, UnknownResource> {
        let found = S::of(self).iter().find(|(known, _)| known.as_str() == name);
        found.map(|(_, resource)| resource).ok_or_else(|| self.unknown(S::KIND, name))
    }

    /// The same, for a kind that is not known before.
    ///
    /// # Errors
    /// As [`State::require`].
    pub fn require_any(&self, kind: Kind, name: &str) -> Result<AnyResource, UnknownResource> {
        let found = ResourceName::new(name).ok().and_then(|name| self.get(kind, &name));
        found.ok_or_else(|| self.unknown(kind, name))
    }

    pub(crate) fn unknown(&self, kind: Kind, name: &str) -> UnknownResource {
        let names = self.names(kind);
        let near = nearest(name, names.iter().map(|known| known.as_str()));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        UnknownResource { kind, name: name.to_owned(), hint }
    }

    /// The agent with this identity.
    pub fn agent(&self, id: AgentId) -> Option<&Resource<AgentSpec>> {
        self.agents.values().find(|agent| agent.id == id)
    }

    /// The source with this identity.
    pub fn source(&self, id: SourceId) -> Option<&Resource<SourceSpec>> {
        self.sources.values().find(|source| source.id == id)
    }

    /// The sink with this identity.
    pub fn sink(&self, id: SinkId) -> Option<&Resource<SinkSpec>> {
        self.sinks.values().find(|sink| sink.id == id)
    }

    /// The route with this identity.
    pub fn route(&self, id: RouteId) -> Option<&Resource<RouteSpec>> {
        self.routes.values().find(|route| route.id == id)
    }

    /// The site an agent stands at.
    pub fn site_of(&self, agent: &ResourceName) -> Option<&Resource<SiteSpec>> {
        self.sites.get(&self.agents.get(agent)?.spec.site)
    }

    /// How often a route was replayed.
    pub fn replay_count(&self, route: RouteId) -> u64 {
        self.replays.get(&route).map_or(0, |replay| replay.count)
    }

    /// Where a route begins: where it was last replayed from, or where it was created to begin.
    pub fn start_of(&self, route: &Resource<RouteSpec>) -> StartFrom {
        self.replays.get(&route.id).map_or(route.spec.from, |replay| replay.from)
    }

    /// Whether this agent may use its certificate: it is there and was not cut off.
    pub fn admits(&self, agent: AgentId) -> bool {
        !self.revoked.contains_key(&agent) && self.agent(agent).is_some()
    }

    /// The admin who holds this secret. Every token is compared, so that the time tells nothing.
    pub fn admin(&self, secret: &SecretHash) -> Option<(AdminTokenId, &AdminToken)> {
        let mut found = None;
        for (id, token) in &self.admin_tokens {
            if token.hash.is(secret) {
                found = Some((*id, token));
            }
        }
        found
    }

    /// The enrolment token with this secret.
    pub(crate) fn token(&self, secret: &SecretHash) -> Option<(TokenId, &Token)> {
        self.tokens.iter().find(|(_, token)| token.hash.is(secret)).map(|(id, token)| (*id, token))
    }

    /// What refers to a resource, as in `source erp-files`.
    pub(crate) fn referrers(&self, kind: Kind, name: &ResourceName) -> Vec<String> {
        let mut found = Vec::new();
        collect_referrers::<AgentSpec>(self, kind, name, &mut found);
        collect_referrers::<SourceSpec>(self, kind, name, &mut found);
        collect_referrers::<SinkSpec>(self, kind, name, &mut found);
        collect_referrers::<RouteSpec>(self, kind, name, &mut found);
        found
    }
}

fn collect_referrers<S: Table>(state: &State, kind: Kind, name: &ResourceName, found: &mut Vec<String>) {
    let refers = |spec: &S| spec.references().iter().any(|r| r.kind == kind && r.name == *name);
    let referring = S::of(state).values().filter(|resource| refers(&resource.spec));
    found.extend(referring.map(|resource| format!("{} {}", S::KIND, resource.name())));
}
