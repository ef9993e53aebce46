//! Real servers for tests, private to one test and gone with it.

pub mod postgres;

pub use postgres::PostgresServer;
