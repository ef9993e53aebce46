//! The command line against a server that answers what the test wants, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod server;
mod desk;
mod trust;
mod commands;
mod logins;
mod resources;
mod looks;
mod audit;
mod keys;
