//! What stands in a sink, read by means that are not Towpath's.

pub mod sqlite;
pub mod files;

pub use files::FileReader;
pub use sqlite::SqliteReader;
