//! Apply: puts delivered frames into a sink, each row once, in the order of the region's log.

mod progress;
mod casts;
mod worker;

pub(crate) use worker::{Applied, ApplyError, Worker};
