//! The audit trail, as anyone can check it who has the events, the checkpoints and the public key.
//!
//! Events form a chain: each record begins with the hash of the record before it, so whoever knows the hash of one
//! knows whether any before it was changed. That hash is signed from time to time, as a checkpoint. Checkpoints are a
//! chain too. What is exported is these bytes as they were written, and the [`Verifier`] here is the one that the
//! control plane and the command line both use.
//!
//! ```text
//! record       BLAKE3 hash of the record before it (32 bytes; zeros for the first) | event, JSON
//! checkpoint   JSON {checkpoint, key, signature}; the signature is over `towpath checkpoint v1\n` and the JSON of the
//!              member `checkpoint`, byte for byte
//! export       JSON lines: {"event": …, "previous": hash} and checkpoints, in the order in which they came about
//! ```
//!
//! # What it proves, and what not
//! Whoever can write the files but not use the key cannot change, swap or leave out an event that a checkpoint vouches
//! for. Two things need a witness elsewhere: that the newest events *and* checkpoints were not cut off together, and
//! that nobody used the key itself. A checkpoint that was exported to another machine is that witness; the verifier
//! takes checkpoints from any number of sources and they must all agree.
//!
//! This crate has no clock, no runtime and no I/O.

mod hash;
mod record;
pub mod key;
mod checkpoint;
mod line;
mod finding;
mod verifier;

pub use checkpoint::{Checkpoint, CheckpointFault, SignedCheckpoint};
pub use finding::{Finding, Verification};
pub use hash::{EventHash, HashError};
pub use key::{AuditKey, KeyError, PublicKey};
pub use line::{Line, LineError, event_line};
pub use record::{HASH_BYTES, Record};
pub use verifier::Verifier;
