//! The PostgreSQL source at a real server, run as an agent runs it: emissions become durable one by one, the run is
//! cut off anywhere, and releases come late or twice.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod harness;
mod laws;
mod types;
mod changes;
mod random;
mod ready;
mod check;
mod reader;
mod lag;
mod late;
mod tls;
