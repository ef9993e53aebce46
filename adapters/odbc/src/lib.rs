//! Scheduled queries through ODBC as a source: any database that has a driver.
//!
//! The driver manager of the system is linked (unixODBC, or the one of Windows). Its calls block, so each statement has
//! a thread; the connection lives and ends there. Statements are read row by row and value by value, so that no value
//! is ever cut to a buffer's size.

mod connection;
mod types;
mod read;

pub use connection::{Connection, OdbcQueries};

use towpath_adapter_api::Adapter;

/// ODBC as a source of queries.
pub fn adapter() -> Adapter {
    Adapter { kind: "odbc", source: Some(towpath_adapter_query::factory::<OdbcQueries>()), sink: None }
}
