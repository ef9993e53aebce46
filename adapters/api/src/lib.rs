//! The contract between an agent and the systems it reads from and writes to.
//!
//! An adapter is a crate that implements [`Source`], [`Sink`] or both, and registers them in one line as an
//! [`Adapter`]. The agent's core owns everything between: batching, sealing, spooling, shipping, retrying.
//! What the core promises a source and a sink, and what it demands of them, is written on the two traits;
//! `adapters/conformance` tests it for every adapter in the [`Registry`].

pub mod source;
pub mod precedence;
pub mod sink;
pub mod mode;
pub mod merge;
pub mod table;
pub mod text;
pub mod check;
pub mod cache;
pub mod error;
pub mod config;
pub mod secret;
pub mod server;
pub mod os;
pub mod registry;

pub use cache::{Cache, CacheError, MemoryCache};
pub use check::{Checking, Finding, Verdict};
pub use error::{AdapterError, ErrorKind, Reaction};
pub use mode::{Mode, OnConflict};
pub use precedence::{Claim, Precedence, Preferred, Turn};
pub use registry::{Adapter, MakeReader, Registry, SinkFactory, SourceFactory};
pub use secret::Secret;
pub use server::{ServerAddress, Tls, TlsMode};
pub use sink::{Checkpoint, CommitReason, Delivery, Durability, Guarantee, Rejection, RouteKey, Sink};
pub use source::{
    Emission, Output, Release, Releaser, Releases, Resume, Rows, Source, SourceContext, SourceDriver, Stopped,
};
pub use table::{BatchOutput, Reading, TableReader, WhichRows};
