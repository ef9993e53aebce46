//! Database servers that a simulation writes to, ends at any moment and starts again.

mod mariadb;
mod postgres;
mod rows;
mod writer;

use anyhow::Result;
use serde_json::Value;
use towpath_adapter_conformance::servers::{MariaDbServer, PostgresServer};

pub use mariadb::MariaDb;
pub use postgres::Postgres;
pub use rows::{Differences, Kind, Shape, Table, difference, sqlite_rows};
pub use writer::{Tally, Writer};

/// The variable from which agents take the servers' password.
pub const PASSWORD_VARIABLE: &str = "TOWPATH_TEST_PASSWORD";
/// The password.
pub const PASSWORD: &str = "towpath";

/// A connection to a server, in the words that all of them share.
pub enum Connection {
    /// To PostgreSQL.
    Postgres(Postgres),
    /// To MariaDB.
    MariaDb(MariaDb),
}

/// A server.
pub enum Engine {
    /// PostgreSQL, ready for logical replication.
    Postgres(PostgresServer),
    /// MariaDB, with a binary log of rows.
    MariaDb(MariaDbServer),
}

/// Where a database is.
#[derive(Clone, Debug)]
pub struct Address {
    dialect: Dialect,
    url: String,
}

/// What servers say differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// MariaDB's and MySQL's.
    MariaDb,
}

impl Engine {
    /// Starts a server. It has the databases `towpath`, which is written, and `copy`, into which sinks write.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(dialect: Dialect) -> Result<Self> {
        let engine = match dialect {
            Dialect::Postgres => {
                let settings = ["wal_level=logical", "logical_decoding_work_mem=64kB"];
                Self::Postgres(PostgresServer::start_with(&settings, &[])?)
            }
            Dialect::MariaDb => Self::MariaDb(MariaDbServer::start()?),
        };
        let first = match dialect {
            Dialect::Postgres => vec!["CREATE DATABASE towpath", "CREATE DATABASE copy"],
            Dialect::MariaDb => vec!["CREATE DATABASE copy CHARACTER SET utf8mb4"],
        };
        let home = if dialect == Dialect::Postgres { "postgres" } else { "towpath" };
        let mut connection = engine.address(home).connect().await?;
        for statement in first {
            connection.execute(statement).await?;
        }
        Ok(engine)
    }

    /// What it speaks.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::MariaDb(_) => Dialect::MariaDb,
        }
    }

    /// Ends it as kill -9 does.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::MariaDb(server) => server.kill(),
        }
    }

    /// Starts it again.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        match self {
            Self::Postgres(server) => server.restart(),
            Self::MariaDb(server) => server.restart(),
        }
    }

    /// Where one of its databases is.
    pub fn address(&self, database: &str) -> Address {
        let url = match self {
            Self::Postgres(server) => server.url(database),
            Self::MariaDb(server) => server.url(database),
        };
        Address { dialect: self.dialect(), url }
    }

    /// The adapter that reads and writes it.
    pub const fn adapter(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::MariaDb(_) => "mysql",
        }
    }

    /// The configuration by which an adapter reaches one of its databases.
    pub fn config(&self, database: &str, more: &Value) -> Value {
        let port = match self {
            Self::Postgres(server) => server.port(),
            Self::MariaDb(server) => server.port(),
        };
        let mut config = serde_json::json!({
            "host": "127.0.0.1", "port": port, "database": database, "user": "towpath",
            "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" },
        });
        let members = config.as_object_mut().expect("it is an object");
        members.extend(more.as_object().cloned().unwrap_or_default());
        config
    }
}

impl Address {
    /// Connects.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn connect(&self) -> Result<Connection> {
        Ok(match self.dialect {
            Dialect::Postgres => Connection::Postgres(Postgres::connect(&self.url).await?),
            Dialect::MariaDb => Connection::MariaDb(MariaDb::connect(&self.url).await?),
        })
    }

    /// What it speaks.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }
}

impl Connection {
    /// Runs a statement.
    ///
    /// # Errors
    /// The server refuses it or is gone.
    pub async fn execute(&mut self, statement: &str) -> Result<()> {
        match self {
            Self::Postgres(connection) => connection.execute(statement).await,
            Self::MariaDb(connection) => connection.execute(statement).await,
        }
    }

    /// The rows of a query, each value as the server writes it.
    ///
    /// # Errors
    /// The server refuses it or is gone.
    pub async fn query(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        match self {
            Self::Postgres(connection) => connection.query(query).await,
            Self::MariaDb(connection) => connection.query(query).await,
        }
    }
}
