//! Rows as they may be written, for every treatment, type and filter.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod scene;
mod treatments;
mod filters;
mod readings;
mod held;
mod canary;
