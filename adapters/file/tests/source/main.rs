//! A drop folder as a source, run as an agent runs it: emissions become durable one by one, the run is cut off
//! anywhere, and releases come once, twice or late.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod harness;
mod resume;
mod lifecycle;
mod hostile;
mod tail;
mod types;
mod limits;
mod laws;
mod speed;
