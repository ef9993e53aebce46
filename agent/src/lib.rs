//! The agent: reads and writes the systems beside it, and holds one outbound link to the control plane.
//!
//! [`data`](self) is the way of the data, [`link`] the way to the control plane, [`control`] how the agent becomes
//! and stays what the control plane wants. [`run`](mod@run) puts them together.

mod data;
pub mod link;
pub mod control;
pub mod telemetry;
pub mod log_ring;
pub mod run;
pub mod doctor;
