//! What the catalog promises, command by command and crash by crash.

mod fixture;
mod commands;
mod trust;
mod durability;
mod tampering;
