//! The catalog: everything an admin said and the system decided, as a chain of events.
//!
//! # Layout
//! ```text
//! events/               a segment log; record N is event N, from 1
//!   record              BLAKE3 hash of the record before it (32 bytes; zeros for the first) | event, JSON
//! checkpoints/          a segment log; record N is checkpoint N: the hash of the newest event, signed
//! snapshots/            the state at the oldest event that is kept, once retention removed older ones
//! projection/           sled: the state after some event; can be lost at any time
//! projection.broken-N   a projection that could not be read; kept for inspection
//! ```
//!
//! # Rules
//! * A command is checked against the state, its event appended and synced, and only then shown to readers and answered.
//!   Commands that come at once share a sync; `commit.rs` says how.
//! * The events are the truth. The state in memory is what they add up to; the projection is a copy of it that saves
//!   replaying them all at the next start. It is used only if its last event is, hash for hash, the one in the log.
//! * Events are never changed. Each hashes the one before it, and from time to time that hash is signed, so
//!   [`Catalog::verify`] finds whatever was. What may be removed is said by a signed anchor.
//! * Secrets enter as hashes only.

pub mod secret;
pub mod event;
mod forms;
mod chain;
mod event_log;
mod checkpoints;
mod resources;
mod references;
mod admin_tokens;
pub mod keys;
pub mod users;
pub mod state;
mod transition;
mod projection;
mod snapshot;
mod opening;
mod desired;
pub mod error;
mod terms;
mod policies;
mod plan;
mod commit;
mod catalog;
mod trail;
mod denials;
mod history;
mod query;
mod retention;
mod verify;

pub use catalog::{Catalog, CatalogConfig, Clock, Opened};
pub use chain::ChainFault;
pub use denials::Denial;
pub use error::{
    ApplyError, CatalogError, DeleteError, EnrolError, OpenError, RetentionError, TargetError,
    UnknownResource,
};
pub use event::{Actor, Cause, Event, EventKind, Interface, Origin};
pub use history::{Version, versions};
pub use keys::{ApiKey, KeyError, NewKey};
pub use plan::{Applied, Enrolled, Outcome};
pub use query::{Order, Page, Query};
pub use resources::Resources;
pub use retention::Removed;
pub use secret::SecretHash;
pub use snapshot::SnapshotFault;
pub use state::{
    AcceptedSchema, AdminToken, Certificate, Map, Replay, Revocation, State, Table, Token, TokenUse,
};
pub use terms::{Expected, Found, Stale, Terms};
pub use trail::{Exported, Mark};
pub use users::{PasswordHash, Session, SessionEnd, User, UserError};
