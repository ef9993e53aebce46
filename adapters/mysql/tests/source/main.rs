//! The MySQL source at a real server, run as an agent runs it: emissions become durable one by one, the run is cut
//! off anywhere, and releases come late or twice.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod harness;
mod laws;
mod query;
mod types;
mod changes;
mod large;
mod random;
mod ready;
