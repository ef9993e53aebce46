//! What the events add up to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_audit::EventHash;
use towpath_record::{AgentId, ResourceName, RouteId, SchemaHash, SinkId, SourceId, StreamName};
use towpath_resource::{
    AdminTokenId, AgentSpec, AnyResource, KeyId, Kind, Resource, RouteSpec, SessionId, SinkSpec, SiteSpec,
    SourceSpec, Spec, StartFrom, TokenId, UserId, kind_of, nearest, with_kinds,
};

use crate::error::UnknownResource;
use crate::keys::ApiKey;
use crate::references::References;
use crate::resources::Resources;
use crate::secret::SecretHash;
use crate::users::{Session, User};

/// A map whose clone shares everything with it, so that a new state costs what it changes.
pub type Map<K, V> = rpds::RedBlackTreeMapSync<K, V>;

macro_rules! state {
    ([] $($(#[$doc:meta])* $kind:ident $spec:ident $table:ident $one:literal $many:literal;)*) => {
        /// What the events add up to.
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct State {
            /// The number of the last event.
            pub seq: u64,
            /// The hash of the last event.
            pub head: EventHash,
            /// The number of the last event that changed a resource.
            pub generation: u64,
            $(
                #[doc = concat!("The ", $many, ".")]
                pub $table: Resources<towpath_resource::$spec>,
            )*
            /// Which resources refer to which.
            pub(crate) references: References,
            /// Enrolment tokens; those long expired are forgotten.
            pub tokens: Map<TokenId, Token>,
            /// Tokens of admins.
            pub admin_tokens: Map<AdminTokenId, AdminToken>,
            /// Keys of programs.
            pub keys: Map<KeyId, ApiKey>,
            /// People whom the control plane knows by a password.
            pub users: Map<UserId, User>,
            /// Sessions that logins opened; some may be over.
            pub sessions: Map<SessionId, Session>,
            /// The newest certificate of each agent.
            pub certificates: Map<AgentId, Certificate>,
            /// Agents that were cut off, deleted ones included.
            pub revoked: Map<AgentId, Revocation>,
            /// Routes that were replayed.
            pub replays: Map<RouteId, Replay>,
            /// Versions of schemas that were accepted for routes.
            pub accepted_schemas: Map<RouteId, BTreeSet<AcceptedSchema>>,
            /// The number of the last event that changed what each agent shall run.
            pub desired_generations: Map<AgentId, u64>,
            /// BLAKE3 of the certificate authority's certificate, hexadecimal.
            pub ca_fingerprint: Option<String>,
        }

        $(impl Table for towpath_resource::$spec {
            fn of(state: &State) -> &Resources<Self> {
                &state.$table
            }

            fn of_mut(state: &mut State) -> &mut Resources<Self> {
                &mut state.$table
            }
        })*
    };
}

with_kinds!({state} []);

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
    /// When it was taken back, if it was. It is remembered, so that no start takes the control plane for new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
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
    /// The resources of this kind.
    fn of(state: &State) -> &Resources<Self>;

    /// The same, to change.
    fn of_mut(state: &mut State) -> &mut Resources<Self>;
}

impl State {
    /// The names of the resources of a kind, in order.
    pub fn names(&self, kind: Kind) -> Vec<&ResourceName> {
        kind_of!(kind, S => S::of(self).names().collect())
    }

    /// The resources of a kind, in the order of their names.
    pub fn list(&self, kind: Kind) -> Vec<AnyResource> {
        kind_of!(kind, S => S::of(self).values().cloned().map(Into::into).collect())
    }

    /// A resource by kind and name.
    pub fn get(&self, kind: Kind, name: &ResourceName) -> Option<AnyResource> {
        kind_of!(kind, S => S::of(self).get(name).cloned().map(Into::into))
    }

    /// The generation that made a resource as it is, if it is there.
    pub fn generation_of(&self, kind: Kind, name: &ResourceName) -> Option<u64> {
        kind_of!(kind, S => S::of(self).get(name).map(|resource| resource.generation))
    }

    /// A resource that must be there.
    ///
    /// # Errors
    /// [`UnknownResource`] names it and what may have been meant.
    pub fn require<S: Table>(&self, name: &str) -> Result<&Resource<S>, UnknownResource> {
        let found = ResourceName::new(name).ok().and_then(|name| S::of(self).get(&name));
        found.ok_or_else(|| self.unknown(S::KIND, name))
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
        self.agents.by_id(id)
    }

    /// The source with this identity.
    pub fn source(&self, id: SourceId) -> Option<&Resource<SourceSpec>> {
        self.sources.by_id(id)
    }

    /// The sink with this identity.
    pub fn sink(&self, id: SinkId) -> Option<&Resource<SinkSpec>> {
        self.sinks.by_id(id)
    }

    /// The route with this identity.
    pub fn route(&self, id: RouteId) -> Option<&Resource<RouteSpec>> {
        self.routes.by_id(id)
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
            if token.hash.is(secret) && token.revoked_at.is_none() {
                found = Some((*id, token));
            }
        }
        found
    }

    /// The enrolment token with this secret.
    pub(crate) fn token(&self, secret: &SecretHash) -> Option<(TokenId, &Token)> {
        self.tokens.iter().find(|(_, token)| token.hash.is(secret)).map(|(id, token)| (*id, token))
    }

    /// The agents at a site, in the order of their names.
    pub fn agents_at(&self, site: &ResourceName) -> impl Iterator<Item = &Resource<AgentSpec>> {
        self.naming::<AgentSpec>(Kind::Site, site)
    }

    /// The sources that an agent reads, in the order of their names.
    pub fn sources_of(&self, agent: &ResourceName) -> impl Iterator<Item = &Resource<SourceSpec>> {
        self.naming::<SourceSpec>(Kind::Agent, agent)
    }

    /// The sinks that an agent writes, in the order of their names.
    pub fn sinks_of(&self, agent: &ResourceName) -> impl Iterator<Item = &Resource<SinkSpec>> {
        self.naming::<SinkSpec>(Kind::Agent, agent)
    }

    /// What refers to a resource, as in `source erp-files`.
    pub(crate) fn referrers(&self, kind: Kind, name: &ResourceName) -> Vec<String> {
        let keys = self.keys.values().filter(|key| key.grants.iter().any(|one| one.refers_to(kind, name)));
        let resources = self.references.to(kind, name).map(|(kind, name)| format!("{kind} {name}"));
        resources.chain(keys.map(|key| format!("key {}", key.name))).collect()
    }

    /// Keeps a resource, in place of the one of its name.
    pub(crate) fn keep<S: Table>(&mut self, resource: Resource<S>) {
        self.take_away::<S>(resource.name());
        self.references.add(&resource);
        S::of_mut(self).put(resource);
    }

    /// Keeps a resource no more.
    pub(crate) fn take_away<S: Table>(&mut self, name: &ResourceName) {
        if let Some(before) = S::of(self).get(name).cloned() {
            self.references.remove(&before);
            S::of_mut(self).remove(name);
        }
    }

    /// The resources of one kind that refer to another.
    fn naming<S: Table>(&self, kind: Kind, name: &ResourceName) -> impl Iterator<Item = &Resource<S>> {
        let those = self.references.to(kind, name).filter(|(kind, _)| *kind == S::KIND);
        those.filter_map(|(_, name)| S::of(self).get(name))
    }
}
