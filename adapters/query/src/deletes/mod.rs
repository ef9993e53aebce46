//! Rows that are gone: every key that was read is known, and compared with every key that is there.
//!
//! Both sides are sorted by a hash of the key, in bounded memory, and walked side by side.

mod sorter;
mod known;
mod compare;

pub(crate) use compare::{Comparison, KeyListing};
pub(crate) use known::{Known, Life};
