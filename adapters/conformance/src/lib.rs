//! The suite that every registered adapter passes.
//!
//! A suite is a list of laws. Each law is an async function that drives an adapter through the registry, as
//! the agent does, and says in its error what was broken. An adapter that cannot keep a law carries a
//! [`Waiver`] with the reason; a waiver for a law that holds is itself a failure, so that none outlives its
//! cause.
//!
//! Random input is seeded. A failure names the seed; `TOWPATH_SEED` runs it again.

mod seed;
mod waiver;
pub mod cell;
pub mod column;
pub mod registry;
pub mod sink;
pub mod source;
pub mod servers;

pub use cell::{Cell, Row};
pub use registry::registry_suite;
pub use sink::{SinkSubject, SinkTarget, sink_suite};
pub use source::{SourceRun, SourceStart, SourceSubject, SourceSystem, shown, source_suite};
pub use waiver::Waiver;
