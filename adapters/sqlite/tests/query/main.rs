//! Scheduled queries at a SQLite database: real files, and an application that goes on writing.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod clock;
mod harness;
mod laws;
mod marks;
mod schedule;
mod deletes;
mod random;
