//! Realistic files from a seed, and to the row what must come out of them.
//!
//! Four feeds of an imagined ERP cover the formats: customers (CSV with semicolons in windows-1252, declared types),
//! orders (CSV with commas in UTF-8, inferred types), stock movements (JSON lines) and a journal (plain lines). Every row
//! carries its feed's running number, so a missing, doubled or altered row can be named, and a key whose rows
//! must stay in order.

pub mod feed;
pub mod row;
pub mod encode;
pub mod generator;
pub mod bulk;

pub use bulk::{Bulk, Shape};
pub use feed::{Feed, Kind};
pub use generator::{DropFile, Generator, Mix};
pub use row::Row;
