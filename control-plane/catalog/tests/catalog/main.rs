//! What the catalog promises, command by command and crash by crash.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod fixture;
mod commands;
mod trust;
mod durability;
mod gated;
mod together;
mod tampering;
mod trail;
mod questions;
