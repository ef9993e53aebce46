//! The admins' command line: a client of the control plane's API.
//!
//! [`client::Client`] speaks the API; each command is a small function in its own file that asks the client and shows
//! the answer. What to say to a terminal and what to say to a program is decided in [`output`].

pub mod context;
pub mod provider;
pub mod client;
pub mod args;
pub mod output;
mod screen;
pub mod prompt;
pub mod human;
mod files;
mod commands;
pub mod demo;
pub mod error;

pub use commands::{COMPLETE_VARIABLE, markdown, run};
pub use error::CliError;
