//! The link's cell side: accepts agents over QUIC and drives one [`CellSession`] for each. Transport only: what a
//! session's events mean is the business of its [`Owner`].
//!
//! [`CellSession`]: towpath_session::CellSession

pub(crate) mod endpoint;
pub(crate) mod reset;
pub(crate) mod connection;
mod control_stream;
mod lane_stream;
mod route_stream;
#[cfg(test)]
mod turning_away;

pub(crate) use connection::{Owner, SessionHandle};
