//! What one record is, everywhere: ids, limits, schemas, positions and the frame codec.
//!
//! A [`SealedFrame`] is the unit of everything in Towpath: what an agent spools, what the link sends, what
//! the region log stores, acknowledges and replays. Its bytes are the same in all of those places.
//! `docs/frame.md` draws its layout. This crate has no clock, no runtime and no I/O.

pub mod amount;
pub mod id;
pub mod limits;
pub mod column;
pub mod schema;
pub mod compatibility;
pub mod cast;
pub mod unchanged;
pub mod digest;
pub mod position;
pub mod frame;
pub mod dead_letter;

pub use amount::{AmountError, ByteSize, TimeSpan};
pub use cast::{CastError, CastPlan, CastRows};
pub use column::{Column, ColumnType};
pub use compatibility::{Change, Compatibility};
pub use frame::{DecodeError, FrameDraft, FrameError, FrameHeader, FrameKind, SealError, SealedFrame};
pub use id::{
    AgentId, LaneId, LogId, NameError, RegionName, ResourceName, RouteId, SinkId, SiteId, SourceId,
    StreamName,
};
pub use position::{Link, LogOffset, Mark, Position};
pub use schema::{Op, SchemaError, SchemaHash, StreamSchema};
