//! The region's append-only event log.
//!
//! ```text
//! <dir>/log.json     the region that the log is of
//! <dir>/terms        the log's identities, one for each opening
//! <dir>/frames/      segments: one record per frame, its index is the frame's offset in the log
//! <dir>/book/        journal: what must outlive the frames that said it
//!                      schema/<hash>            a schema, durable before the first frame that names it
//!                      version/<source>/<stream>/<n>  a version of a stream's schema, and where it began
//!                      lane/<lane>              granted epoch, last link and position at the last checkpoint
//!                      mark/<lane>/<offset>/<n> marks of frames that retention removed
//!                      stream/<stream>          totals at the last checkpoint
//!                      trimmed/<stream>         totals of what retention removed
//!                      dead-letters             where frames of dead letters stand
//!                      checkpoint               every frame before this offset is in the entries above
//! ```
//!
//! A record is the time of its append (8 bytes, little-endian, microseconds since 1970-01-01 UTC) and the frame as
//! it came. One thread writes: it judges each frame by the chain rule ([`chain`]), appends what is next in its
//! lane, makes a group of frames durable with one sync, and only then answers. On opening, the frames after the
//! checkpoint are read again to bring the book up to date, so that the book may lag behind and never leads.

pub mod chain;
mod book;
mod error;
mod schemas;
mod stats;
mod terms;
mod writer;
mod reader;
mod retention;
mod log;
pub mod deliveries;

pub use chain::{LaneState, Verdict};
pub use error::{AppendError, LogError, ReadError};
pub use log::{LogConfig, LogStatus, Recovered, RegionLog};
pub use reader::{Entry, LogReader};
pub use retention::{Retained, Retention};
pub use schemas::{SchemaVersion, SchemaVersions};
pub use stats::{SourceTotals, StreamTotals, Totals};
pub use writer::Outcome;
