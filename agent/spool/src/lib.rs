//! The agent's spool: a durable queue of sealed frames for each lane, bounded by bytes and by free disk.
//!
//! # Layout
//! `<spool>/<source uuid>@<region>/` is the [`SegmentLog`](towpath_segment::SegmentLog) of one lane; each record is one
//! frame, byte for byte as it will travel. The frames of a lane follow one another without gaps, so a frame's record is
//! found from its sequence number by counting.
//!
//! # What it promises
//! * A frame whose receipt came is durable. Frames become durable in the order in which they were queued.
//! * Nothing is dropped: while the spool holds `max_bytes`, or the disk has less than `min_free_bytes`, or refuses,
//!   [`LaneQueue::enqueue`] waits and [`LaneQueue::waiting`] says why. It goes on by itself.
//! * Memory is bounded: frames in flight to the disk by [`IN_FLIGHT_BYTES`] for each lane, the rest is on the disk.
//! * A lane that lost frames to a damaged disk reports [`Damage`] and takes no more frames until [`LaneQueue::reset`], after
//!   which the source is read again from the last link that the region's log has.
//!
//! # After a crash
//! Frames that were shipped and trimmed may be there again, up to one segment of them: trimming removes whole
//! segments. The region's log takes them for repeats.

mod config;
mod error;
mod budget;
mod ledger;
mod lane;
mod reader;
mod spool;
mod check;

pub use check::{CheckReport, LaneCheck, check};
pub use config::SpoolConfig;
pub use error::{Damage, SpoolError, WaitReason};
pub use lane::{DurableReceipt, FrameSummary, IN_FLIGHT_BYTES, LaneQueue, LaneStats};
pub use reader::LaneReader;
pub use spool::{LaneRecovery, Spool};
