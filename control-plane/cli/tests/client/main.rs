//! The command line against a server that answers what the test wants, over real TLS.

mod server;
mod trust;
mod commands;
