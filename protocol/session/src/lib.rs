//! The link as two state machines that do no I/O: [`AgentSession`] and [`CellSession`], one of each for every
//! connection.
//!
//! A shell owns the connection and the clock. It tells a machine what happened (`handle_*`, and verbs for what
//! its owner wants), then drains what the machine wants said ([`AgentSession::poll_transmit`]), what its owner
//! must know or do ([`AgentSession::poll_event`]), and when to wake it ([`AgentSession::poll_timeout`]). The
//! order of draining does not matter; draining until nothing is left does.
//!
//! # What the machines promise
//! * An agent forgets a frame only when the log holds that very frame: an acknowledgement carries the log's own
//!   last link, and only a frame with the same checksum at the same place is believed to be in the log. As links
//!   form a chain, so are all frames before it.
//! * After any loss of a connection a lane goes on behind the last durable frame, or is declared broken with the
//!   reason ([`Inconsistency`]). Then its owner discards what it holds and asks for a new epoch, which fences
//!   every frame of the old one that may still be under way.
//! * No more is ever held for a peer than the window it was granted. A peer that exceeds it, or says what it may
//!   not say, is named by a [`Violation`] and cut off.
//! * A schema is said once on a connection, before the first frame that needs it is passed on.
//!
//! Frames pass through untouched: the machines know them by the [`Frame`] trait only. The [`model`] module tries
//! all this with a network, disks and processes that fail.

pub mod limits;
pub mod frame;
pub mod chain;
pub mod backoff;
pub mod closing;
pub mod violation;
mod timers;
mod schemas;
mod outlet;
mod inlet;
pub mod agent;
pub mod cell;
pub mod model;

pub use agent::{AgentConfig, AgentEvent, AgentSession, AgentTransmit, Cast, LaneGrant, RouteBinding};
pub use backoff::{Backoff, BackoffConfig};
pub use cell::{CastOrder, CellConfig, CellEvent, CellSession, CellTransmit, LaneOpening, Rejections};
pub use chain::{Chain, Inconsistency, ORIGIN};
pub use closing::{Closed, Party, Retry};
pub use frame::Frame;
pub use towpath_proto::link::{GoodbyeCode, LaneFault};
pub use violation::Violation;
