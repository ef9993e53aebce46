//! What can happen to the catalog.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_record::{AgentId, ResourceName, RouteId};
use towpath_resource::{
    AdminTokenId, AgentSpec, AnyResource, KeyId, Kind, Resource, RoleGrant, SessionId, StartFrom, TokenId,
    UserId,
};
use uuid::Uuid;

use crate::secret::SecretHash;
use crate::state::AcceptedSchema;
use crate::users::{PasswordHash, SessionEnd};

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// By whom, and from where.
    #[serde(flatten)]
    pub cause: Cause,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Who made something happen, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// The request, if it came from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Where a request came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The interface that took it.
    pub interface: Interface,
    /// The request's id, which its answer and log lines bear too.
    pub request: Uuid,
}

/// An interface of the control plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// REST over HTTPS.
    Rest,
    /// gRPC.
    Grpc,
    /// GraphQL.
    Graphql,
    /// The link of agents.
    Link,
    /// Enrolment of agents.
    Enrolment,
}

/// Who made something happen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// The control plane itself.
    System,
    /// Someone whom the control plane does not know.
    Stranger,
    /// The first admin, known by the token that the first start printed.
    Admin {
        /// The token.
        token: AdminTokenId,
        /// The name it was given.
        name: String,
    },
    /// A program, known by its key.
    Key {
        /// The key.
        key: KeyId,
        /// The name it was given.
        name: ResourceName,
    },
    /// A person, known by a password.
    User {
        /// The person.
        user: UserId,
        /// The name.
        name: ResourceName,
    },
    /// A person or machine, known by an identity provider.
    Identity {
        /// The provider.
        provider: ResourceName,
        /// How the provider names it.
        subject: String,
        /// What people call it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// An agent.
    Agent {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: ResourceName,
    },
}

impl fmt::Display for Actor {
    /// As people name it: `user ada`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the control plane"),
            Self::Stranger => f.write_str("a stranger"),
            Self::Admin { name, .. } => write!(f, "admin {name}"),
            Self::Key { name, .. } => write!(f, "key {name}"),
            Self::User { name, .. } => write!(f, "user {name}"),
            Self::Identity { provider, subject, name } => {
                write!(f, "identity {} of {provider}", name.as_ref().unwrap_or(subject))
            }
            Self::Agent { name, .. } => write!(f, "agent {name}"),
        }
    }
}

impl From<Actor> for Cause {
    /// Without a request from outside.
    fn from(actor: Actor) -> Self {
        Self { actor, origin: None }
    }
}

/// What happened. Old events are read for ever: a variant whose form changes gets a new version in `forms`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The control plane made its certificate authority.
    CertificateAuthorityCreated {
        /// BLAKE3 of its certificate, hexadecimal.
        fingerprint: String,
    },
    /// A token for admins was made.
    AdminTokenCreated {
        /// The token.
        id: AdminTokenId,
        /// The admin's name.
        name: String,
        /// The hash of the secret.
        hash: SecretHash,
    },
    /// A token for admins was taken back.
    AdminTokenRevoked {
        /// The token.
        id: AdminTokenId,
        /// The admin's name.
        name: String,
    },
    /// A key was made.
    KeyCreated {
        /// The key.
        id: KeyId,
        /// Its name.
        name: ResourceName,
        /// The hash of the secret.
        hash: SecretHash,
        /// What it may do.
        grants: Vec<RoleGrant>,
        /// When it can no longer be used. Nothing: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A key got a new secret.
    KeyRotated {
        /// The key.
        id: KeyId,
        /// Its name.
        name: ResourceName,
        /// The hash of the new secret.
        hash: SecretHash,
        /// Until when the secret before is taken.
        previous_until: Timestamp,
        /// When the key can no longer be used. Nothing: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A key was taken back.
    KeyRevoked {
        /// The key.
        id: KeyId,
        /// Its name.
        name: ResourceName,
    },
    /// A user was made.
    UserCreated {
        /// The user.
        id: UserId,
        /// The name.
        name: ResourceName,
        /// The hash of the password.
        hash: PasswordHash,
    },
    /// A user got another password, and all sessions of the user ended.
    UserPasswordSet {
        /// The user.
        id: UserId,
        /// The name.
        name: ResourceName,
        /// The hash of the password.
        hash: PasswordHash,
    },
    /// A user was deleted, and all sessions of the user ended.
    UserDeleted {
        /// The user.
        id: UserId,
        /// The name.
        name: ResourceName,
    },
    /// A login opened a session. Of too many sessions of one user, the oldest ended.
    SessionOpened {
        /// The session.
        id: SessionId,
        /// The user.
        user: UserId,
        /// The user's name.
        name: ResourceName,
        /// When it ends by itself.
        expires_at: Timestamp,
    },
    /// A session was closed before its time.
    SessionClosed {
        /// The session.
        id: SessionId,
        /// The user.
        user: UserId,
        /// The user's name.
        name: ResourceName,
        /// Why.
        why: SessionEnd,
    },
    /// A resource was created or changed.
    ResourceApplied {
        /// The resource as it is now.
        resource: AnyResource,
    },
    /// A resource was deleted.
    ResourceDeleted {
        /// The resource as it was.
        resource: AnyResource,
    },
    /// An enrolment token was made.
    TokenCreated {
        /// The token.
        id: TokenId,
        /// The hash of the secret.
        hash: SecretHash,
        /// The site whose agent may use it.
        site: ResourceName,
        /// When it can no longer be used.
        expires_at: Timestamp,
    },
    /// An enrolment token was taken back before it was used.
    TokenRevoked {
        /// The token.
        id: TokenId,
    },
    /// An agent used its token up and came into being.
    AgentEnrolled {
        /// The token.
        token: TokenId,
        /// The agent.
        agent: Resource<AgentSpec>,
        /// The version of its program.
        version: String,
    },
    /// An agent was given a certificate.
    CertificateIssued {
        /// The agent.
        agent: AgentId,
        /// The certificate's number, hexadecimal.
        serial: String,
        /// When it ends.
        not_after: Timestamp,
    },
    /// An agent was cut off for good.
    AgentRevoked {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: ResourceName,
    },
    /// A route was sent back to deliver again.
    RouteReplayed {
        /// The route.
        route: RouteId,
        /// Its name.
        name: ResourceName,
        /// Where it begins again.
        from: StartFrom,
        /// How often it was replayed now.
        replay: u64,
    },
    /// A version of a stream's schema was accepted for a route, though it breaks.
    SchemaAccepted {
        /// The route.
        route: RouteId,
        /// Its name.
        name: ResourceName,
        /// What was accepted.
        accepted: AcceptedSchema,
    },
    /// A dead letter was sent on its way again.
    DeadLetterReplayed {
        /// The dead letter, as the data path names it.
        letter: String,
    },
    /// Someone was denied something. Many alike within a minute are one event.
    AccessDenied {
        /// What they lack: a permission such as `route:write`, or `authentication` for someone who is not known.
        lacking: String,
        /// On what, if that was known: `source erp-files`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
        /// How often.
        count: u64,
    },
}

impl EventKind {
    /// The kind and name of the resource it is about, if it is about one.
    pub fn subject(&self) -> Option<(Kind, &ResourceName)> {
        match self {
            Self::ResourceApplied { resource } | Self::ResourceDeleted { resource } => {
                Some((resource.kind(), resource.name()))
            }
            Self::TokenCreated { site, .. } => Some((Kind::Site, site)),
            Self::AgentEnrolled { agent, .. } => Some((Kind::Agent, agent.name())),
            Self::AgentRevoked { name, .. } => Some((Kind::Agent, name)),
            Self::RouteReplayed { name, .. } | Self::SchemaAccepted { name, .. } => Some((Kind::Route, name)),
            Self::CertificateAuthorityCreated { .. }
            | Self::AdminTokenCreated { .. }
            | Self::AdminTokenRevoked { .. }
            | Self::KeyCreated { .. }
            | Self::KeyRotated { .. }
            | Self::KeyRevoked { .. }
            | Self::UserCreated { .. }
            | Self::UserPasswordSet { .. }
            | Self::UserDeleted { .. }
            | Self::SessionOpened { .. }
            | Self::SessionClosed { .. }
            | Self::TokenRevoked { .. }
            | Self::CertificateIssued { .. }
            | Self::DeadLetterReplayed { .. }
            | Self::AccessDenied { .. } => None,
        }
    }

    /// Its name, as the trail has it: `resource_applied`.
    pub fn name(&self) -> String {
        let json = serde_json::to_value(self).expect("an event is always JSON");
        json["event"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is something that was denied, and not done.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::AccessDenied { .. })
    }
}
