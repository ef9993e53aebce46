//! Capture: batches what a source emits, per stream, and seals it into frames of the lane's chain.

mod batcher;
mod chain;

pub(crate) use batcher::{Batcher, Limits, Parcel};
pub(crate) use chain::Chain;
