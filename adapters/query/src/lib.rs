//! Scheduled queries as a source, for every database that can run one.
//!
//! This crate holds everything but the database: the schedule, the high-water mark, the overlap, the position, and the
//! finding of rows that are gone. A database implements [`QueryDatabase`] and registers [`factory`] in one line. The
//! modules follow a run: what an admin chose, when it is due, the statement, its pages of values, which of them are
//! new, records, what is gone, and the position.

mod config;
mod schedule;
mod scheduler;
mod clock;
mod database;
mod statement;
mod value;
mod mark;
mod window;
mod records;
mod deletes;
mod position;
mod threads;
mod worker;
mod check;
mod source;

pub use clock::{Clock, SystemClock};
pub use config::{Batch, Deletes, Missed, Query, QueryConfig};
pub use database::{
    Dialect, End, Page, PageOutput, PageSize, Pager, QueryDatabase, Shape, Statement, Values,
};
pub use mark::Overlap;
pub use schedule::{Schedule, ScheduleConfig};
pub use source::{QuerySource, factory};
pub use value::{Row, Value};
