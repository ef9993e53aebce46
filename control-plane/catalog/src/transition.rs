//! How an event changes the state. Total: an event that is in the log is a fact, and whatever the state, it is taken in.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use towpath_audit::EventHash;
use towpath_record::{AgentId, ResourceName, RouteId};
use towpath_resource::{
    AdminTokenId, AnyResource, KeyId, Kind, Resource, SessionId, TokenId, UserId, each_kind,
};

use crate::event::{Event, EventKind};
use crate::state::{AdminToken, Certificate, Replay, Revocation, State, Table, Token, TokenUse};

/// How long an expired token is remembered, so that whoever presents it learns why it is refused.
const TOKEN_MEMORY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One piece of the state, the unit of the projection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    Resource(Kind, ResourceName),
    Token(TokenId),
    AdminToken(AdminTokenId),
    OfApi(KeyId),
    User(UserId),
    Session(SessionId),
    Certificate(AgentId),
    Revocation(AgentId),
    Replay(RouteId),
    AcceptedSchemas(RouteId),
    DesiredGeneration(AgentId),
    CertificateAuthority,
}

impl State {
    /// Takes an event in. Returns the pieces of state that it touched.
    pub(crate) fn take(&mut self, event: &Event, hash: EventHash) -> Vec<Key> {
        let mut touched = Vec::new();
        match &event.kind {
            EventKind::CertificateAuthorityCreated { fingerprint } => {
                self.ca_fingerprint = Some(fingerprint.clone());
                touched.push(Key::CertificateAuthority);
            }
            EventKind::AdminTokenCreated { id, name, hash } => {
                let (name, hash) = (name.clone(), *hash);
                let token = AdminToken { name, hash, created_at: event.at, revoked_at: None };
                self.admin_tokens.insert_mut(*id, token);
                touched.push(Key::AdminToken(*id));
            }
            EventKind::AdminTokenRevoked { id, .. } => self.revoke_admin(*id, event.at, &mut touched),
            EventKind::KeyCreated { .. } | EventKind::KeyRotated { .. } | EventKind::KeyRevoked { .. } => {
                self.take_key(event, &mut touched);
            }
            EventKind::UserCreated { .. }
            | EventKind::UserPasswordSet { .. }
            | EventKind::UserDeleted { .. }
            | EventKind::SessionOpened { .. }
            | EventKind::SessionClosed { .. } => self.take_user(event, &mut touched),
            EventKind::ResourceApplied { resource } => self.put(event, resource, &mut touched),
            EventKind::ResourceDeleted { resource } => self.remove(event, resource, &mut touched),
            EventKind::TokenCreated { id, hash, site, expires_at } => {
                self.forget_old_tokens(event.at, &mut touched);
                let site = site.clone();
                let token =
                    Token { hash: *hash, site, created_at: event.at, expires_at: *expires_at, used: None };
                self.tokens.insert_mut(*id, token);
                touched.push(Key::Token(*id));
            }
            EventKind::TokenRevoked { id } => {
                self.tokens.remove_mut(id);
                touched.push(Key::Token(*id));
            }
            EventKind::AgentEnrolled { token, agent, .. } => {
                if let Some(known) = self.tokens.get(token) {
                    let used = TokenUse { agent: agent.id, name: agent.name().clone(), at: event.at };
                    self.tokens.insert_mut(*token, Token { used: Some(used), ..known.clone() });
                }
                touched.push(Key::Token(*token));
                self.put(event, &AnyResource::from(agent.clone()), &mut touched);
            }
            EventKind::CertificateIssued { agent, serial, not_after } => {
                let certificate =
                    Certificate { serial: serial.clone(), issued_at: event.at, not_after: *not_after };
                self.certificates.insert_mut(*agent, certificate);
                touched.push(Key::Certificate(*agent));
            }
            EventKind::AgentRevoked { agent, name } => self.revoke(*agent, name, event.at, &mut touched),
            EventKind::RouteReplayed { route, from, replay, .. } => {
                self.replays.insert_mut(*route, Replay { count: *replay, from: *from, at: event.at });
                touched.push(Key::Replay(*route));
            }
            EventKind::SchemaAccepted { route, accepted, .. } => {
                let mut all = self.accepted_schemas.get(route).cloned().unwrap_or_default();
                all.insert(accepted.clone());
                self.accepted_schemas.insert_mut(*route, all);
                touched.push(Key::AcceptedSchemas(*route));
            }
            EventKind::DeadLetterReplayed { .. } | EventKind::AccessDenied { .. } => {}
        }
        self.seq = event.seq;
        self.head = hash;
        touched
    }

    fn revoke_admin(&mut self, id: AdminTokenId, at: Timestamp, touched: &mut Vec<Key>) {
        if let Some(known) = self.admin_tokens.get(&id) {
            let revoked_at = Some(at);
            self.admin_tokens.insert_mut(id, AdminToken { revoked_at, ..known.clone() });
        }
        touched.push(Key::AdminToken(id));
    }

    fn put(&mut self, event: &Event, resource: &AnyResource, touched: &mut Vec<Key>) {
        let before = self.get(resource.kind(), resource.name());
        each_kind!(resource, AnyResource::resource => insert(self, resource));
        touched.push(Key::Resource(resource.kind(), resource.name().clone()));
        self.generation = event.seq;
        if let Some(before) = &before {
            self.mark_agents(event.seq, before, touched);
        }
        self.mark_agents(event.seq, resource, touched);
    }

    fn remove(&mut self, event: &Event, resource: &AnyResource, touched: &mut Vec<Key>) {
        self.mark_agents(event.seq, resource, touched);
        each_kind!(resource, AnyResource::resource => delete(self, resource));
        touched.push(Key::Resource(resource.kind(), resource.name().clone()));
        self.generation = event.seq;
        match resource {
            AnyResource::Site(site) => {
                let of_site = |token: &Token| token.site == *site.name() && token.used.is_none();
                let gone: Vec<_> =
                    self.tokens.iter().filter(|(_, token)| of_site(token)).map(|(id, _)| *id).collect();
                self.forget_tokens(&gone, touched);
            }
            AnyResource::Agent(agent) => {
                self.revoke(agent.id, agent.name(), event.at, touched);
                self.certificates.remove_mut(&agent.id);
                self.desired_generations.remove_mut(&agent.id);
                touched.extend([Key::Certificate(agent.id), Key::DesiredGeneration(agent.id)]);
            }
            AnyResource::Route(route) => {
                self.replays.remove_mut(&route.id);
                self.accepted_schemas.remove_mut(&route.id);
                touched.extend([Key::Replay(route.id), Key::AcceptedSchemas(route.id)]);
            }
            _ => {}
        }
    }

    fn revoke(&mut self, agent: AgentId, name: &ResourceName, at: Timestamp, touched: &mut Vec<Key>) {
        if !self.revoked.contains_key(&agent) {
            self.revoked.insert_mut(agent, Revocation { name: name.clone(), at });
        }
        touched.push(Key::Revocation(agent));
    }

    /// Notes that the agents which this resource concerns have something new to run.
    fn mark_agents(&mut self, seq: u64, resource: &AnyResource, touched: &mut Vec<Key>) {
        let ids: Vec<AgentId> = match resource {
            AnyResource::Site(site) => self.agents_at(site.name()).map(|agent| agent.id).collect(),
            AnyResource::Agent(agent) => vec![agent.id],
            AnyResource::Source(source) => {
                self.agents.get(&source.spec.agent).map(|a| a.id).into_iter().collect()
            }
            AnyResource::Sink(sink) => self.agents.get(&sink.spec.agent).map(|a| a.id).into_iter().collect(),
            AnyResource::Policy(_) => self.readers(),
            _ => Vec::new(),
        };
        for id in ids {
            self.desired_generations.insert_mut(id, seq);
            touched.push(Key::DesiredGeneration(id));
        }
    }

    /// The agents that read sources.
    fn readers(&self) -> Vec<AgentId> {
        let names: BTreeSet<_> = self.sources.values().map(|source| &source.spec.agent).collect();
        names.into_iter().filter_map(|name| self.agents.get(name)).map(|agent| agent.id).collect()
    }

    fn forget_old_tokens(&mut self, now: Timestamp, touched: &mut Vec<Key>) {
        let old = |token: &Token| token.expires_at.saturating_add(TOKEN_MEMORY).is_ok_and(|end| end < now);
        let gone: Vec<_> = self.tokens.iter().filter(|(_, token)| old(token)).map(|(id, _)| *id).collect();
        self.forget_tokens(&gone, touched);
    }

    fn forget_tokens(&mut self, gone: &[TokenId], touched: &mut Vec<Key>) {
        for id in gone {
            self.tokens.remove_mut(id);
            touched.push(Key::Token(*id));
        }
    }
}

fn insert<S: Table>(state: &mut State, resource: &Resource<S>) {
    state.keep(resource.clone());
}

fn delete<S: Table>(state: &mut State, resource: &Resource<S>) {
    state.take_away::<S>(resource.name());
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(kind, name) => write!(f, "{kind}/{name}"),
            Self::Token(id) => write!(f, "token/{id}"),
            Self::AdminToken(id) => write!(f, "admin-token/{id}"),
            Self::OfApi(id) => write!(f, "key/{id}"),
            Self::User(id) => write!(f, "user/{id}"),
            Self::Session(id) => write!(f, "session/{id}"),
            Self::Certificate(id) => write!(f, "certificate/{id}"),
            Self::Revocation(id) => write!(f, "revocation/{id}"),
            Self::Replay(id) => write!(f, "replay/{id}"),
            Self::AcceptedSchemas(id) => write!(f, "accepted-schemas/{id}"),
            Self::DesiredGeneration(id) => write!(f, "desired-generation/{id}"),
            Self::CertificateAuthority => f.write_str("certificate-authority/"),
        }
    }
}
