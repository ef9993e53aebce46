//! Everything an admin says is a resource: each kind is defined here once, with its fields, defaults, rules and
//! JSON Schema, from which the API, the command line, the agents and the documentation follow.
//!
//! An admin writes a [`Manifest`]; the catalog keeps it as a [`Resource`], with an identity and a generation. From the
//! resources follows what each agent is told to run ([`desired::Desired`]); what it says of itself comes back as
//! [`observed::Observed`]. What admins and the control plane say to each other beside resources is in [`api`]. This crate has no clock, no runtime and no I/O.

pub mod kinds;
pub mod kind;
pub mod fault;
mod nearest;
pub mod id;
pub mod adapter;
pub mod pattern;
mod secret;
pub mod spec;
pub mod hint;
pub mod site;
pub mod agent;
pub mod source;
pub mod sink;
pub mod route;
pub mod class;
pub mod treatment;
pub mod policy;
pub mod permission;
pub mod scope;
pub mod role;
pub mod role_binding;
pub mod role_grant;
pub mod identity_provider;
pub mod audit_export;
pub mod manifest;
mod read;
pub mod document;
pub mod resource;
pub mod change;
pub mod schema;
pub mod form;
pub mod desired;
pub mod observed;
pub mod api;

pub use adapter::AdapterName;
pub use agent::AgentSpec;
pub use audit_export::{AuditExportSpec, ExportTarget, SyslogTransport};
pub use change::{FieldChange, field_changes};
pub use class::{Class, ClassPattern, KNOWN_CLASSES};
pub use document::{Document, SyntaxError, parse_documents};
pub use fault::{Fault, Faults, Invalid, Place};
pub use id::{
    AdminTokenId, AuditExportId, IdentityProviderId, KeyId, PolicyId, RoleBindingId, RoleId, SessionId,
    TokenId, UserId,
};
pub use identity_provider::IdentityProviderSpec;
pub use kind::Kind;
pub use manifest::{API_VERSION, AnyManifest, Manifest, Metadata};
pub use nearest::nearest;
pub use pattern::StreamPattern;
pub use permission::{Action, Object, Permission, Permissions};
pub use policy::{Classification, OnNewField, PolicySpec, Rule, is_purpose, no_purpose};
pub use read::manifest_from_json;
pub use resource::{AnyResource, Resource};
pub use role::{BuiltInRole, RoleSpec};
pub use role_binding::{RoleBindingSpec, Subject};
pub use role_grant::RoleGrant;
pub use route::{Breaker, OnBreaking, OnReject, Retry, RouteSpec, SchemaRule, StartFrom, StartFromError};
pub use scope::Scope;
pub use secret::{NoReference, SecretReference};
pub use sink::SinkSpec;
pub use site::SiteSpec;
pub use source::{Capture, ReleaseWhen, SourceSpec};
pub use spec::{Lookup, Reference, Spec, check_reference, check_references};
pub use treatment::{Bucket, Encrypt, Hash, Mask, Tokenise, Treatment};
