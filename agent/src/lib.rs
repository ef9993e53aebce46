//! The agent: reads and writes the systems beside it, and holds one outbound link to the control plane.

pub mod control;
