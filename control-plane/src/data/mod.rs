//! The way of the data through a cell: frames come in, stand in the log, and go out along routes.

pub(crate) mod sessions;
pub(crate) mod questions;
pub(crate) mod compare;
mod inspect;
pub(crate) mod border;
pub(crate) mod refusals;
pub(crate) mod ingest;
pub(crate) mod rows;
pub(crate) mod breaker;
pub(crate) mod route;
pub(crate) mod gate;
pub(crate) mod deliver;
pub(crate) mod letters;
pub(crate) mod retention;
pub(crate) mod glance;
mod view;

/// What a lane's new epoch is at least: the time in milliseconds. A region log that was restored from an older copy
/// so grants no epoch for the second time.
fn epoch_of_now() -> u64 {
    jiff::Timestamp::now().as_millisecond().unsigned_abs()
}
