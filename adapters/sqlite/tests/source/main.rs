//! A SQLite database as a source: real files, and an application that goes on writing.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod harness;
mod replica;
mod laws;
mod changes;
mod values;
mod shape;
mod polling;
mod trouble;
mod random;
mod reader;
