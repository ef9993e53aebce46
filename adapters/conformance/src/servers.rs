//! Real servers for tests, private to one test and gone with it.

mod user;
pub mod postgres;
pub mod mariadb;

pub use mariadb::MariaDbServer;
pub use postgres::PostgresServer;
