//! The agent's end of the link: dials the control plane, drives one [`AgentSession`] for each connection, and
//! dials again when the connection is lost.
//!
//! [`start`] returns a [`LinkHandle`], which outlives connections: a lane that is opened once is opened again on
//! every connection, behind the last frame that the region's log has. What the control plane wants comes as
//! [`LinkEvent`]s; what becomes of a lane comes to its [`LaneHandle`], and a route's frames to its
//! [`RouteHandle`]. What the control plane asks beside that comes as [`Asked`].
//!
//! [`AgentSession`]: towpath_session::AgentSession

mod dial;
mod frames;
mod lane;
mod route;
mod question;
mod control_stream;
mod lane_stream;
mod route_stream;
mod connection;
mod supervisor;

pub use dial::{DialError, Dialer};
pub use frames::{FramesError, LaneFrames, SchemaSource, SpooledFrames};
pub use lane::{LaneEvent, LaneHandle};
pub use question::{Asked, Reply};
pub use route::{Disconnected, RouteCast, RouteFrame, RouteHandle, RouteReporter};
pub use supervisor::{LinkConfig, LinkEvent, LinkHandle, start};

#[cfg(test)]
mod tests;
