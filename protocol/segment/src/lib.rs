//! Append-only segment files with checksums and recovery: the one implementation under the agent's spool, the region
//! log and the catalog.
//!
//! A [`SegmentLog`] is a directory of segments that hold numbered records. One owner appends; any number of
//! [`Reader`]s follow, each with its own open file. [`GroupCommit`] gives the log to a thread, so that many appenders
//! share a sync. [`Journal`] keeps the latest value of each key. What the disk does is behind [`Storage`], so that
//! [`simulated`] can cut the power at every operation and [`power`] can show that nothing acknowledged is lost.
//!
//! # Limits
//! A record has at most [`MAX_RECORD_BYTES`] (64 MiB), a segment less than 4 GiB, and numbers begin at 1 or above and
//! have no gaps. Memory: 64 KiB per reader (and the record it returns); for the segment that grows, 16 bytes for each
//! 64 KiB of it; 40 bytes for each sealed segment.
//!
//! # Layout
//! Numbers are little-endian, checksums CRC32C. A directory holds, next to `lock`:
//!
//! ```text
//! 00000000000000000001.seg               a segment, named after the first index that may stand in it
//! 00000000000000000001.idx               its sparse index, once it is sealed; see `sparse.rs`
//! 00000000000000000001.seg.quarantined   a damaged segment that was put aside
//! 00000000000000000001.seg.reason        why
//!
//! segment:  magic "TOWPSEG\n" | version u32 | crc u32 of the other fields | first u64 | created_us u64 | records
//! record:   length u32 | crc u32 of the other fields and the payload | index u64 | unproven u32 | payload
//! ```
//!
//! `unproven` counts how many records before this one were not yet known to be durable when it was written. A record
//! thereby proves that all others before it were: damage among those is a loss, and not the torn end of a write.
//!
//! # Durability
//! A record is written by [`SegmentLog::append`] and durable after [`SegmentLog::sync`]. A segment is begun only when
//! everything before it is durable, and takes its first record only when its header and name are. After a failed write
//! or sync the log is poisoned: nothing is acknowledged until [`SegmentLog::reopen`] has gone back to what was durable.
//! A full disk is no such failure: what was half written is taken back and the log stays usable.
//!
//! # Recovery
//! Opening a log, in this order:
//!
//! 1. An interrupted quarantine is completed, or forgotten if it had not come to its first rename.
//! 2. A last segment without a sound header and without anything behind it was never born and is removed.
//! 3. Sealed segments with a sidecar that fits are taken as they are; their records are checked when they are read.
//!    Others are scanned, and get a sidecar.
//! 4. The last segment is scanned. From the first damage of which no later record proves that it was durable once, it
//!    is cut: [`Recovery::cut`].
//! 5. Any other damage is a loss. The intact records are copied into a fresh segment, the damaged one is put aside with
//!    its reason, and the missing indexes are listed in [`Recovery::lost`]. They are never given to other records.
//!    Readers report the range once as [`ReadError::Lost`] and go on behind it.
//! 6. What no later record proves to be durable is written again and synced, because after a failed sync a system may
//!    show bytes that the disk does not have.

pub mod error;
pub mod storage;
pub mod disk;
pub mod simulated;
mod layout;
mod cursor;
mod sparse;
mod scan;
mod quarantine;
mod recovery;
mod view;
mod inspect;
mod reader;
mod log;
pub mod batch;
mod group_commit;
mod journal;
pub mod power;
pub mod private;

pub use disk::DiskStorage;
pub use error::{AppendError, LostRange, OpenError, ReadError, StorageFault};
pub use group_commit::{Done, GroupCommit, GroupCommitConfig, OnTrouble};
pub use inspect::{Inspected, Inspection, inspect};
pub use journal::Journal;
pub use layout::{MAX_RECORD_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, VERSION};
pub use log::{Config, SegmentLog};
pub use quarantine::Quarantined;
pub use reader::{Reader, Record, Visibility};
pub use recovery::{Cut, Recovery};
pub use storage::{LockOutcome, Storage, StorageFile};
pub use view::{LogView, SegmentInfo};
