//! What an admin says about a data source, and the thread that talks to it.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use towpath_adapter_api::{AdapterError, ErrorKind, Secret};
use towpath_adapter_query::{Dialect, End, PageOutput, QueryDatabase, Statement, Values};

use crate::read;

const OF: &str = "odbc source configuration";

/// A data source.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The connection string, `Driver={PostgreSQL Unicode};Server=db;Database=erp;Uid=reader;Pwd=…`, or `DSN=erp;…`. Give
    /// the password as a reference, such as `${env:ERP_PASSWORD}`. Required.
    string: Secret,
    /// What the data source is called in messages. Default: `ODBC`.
    #[serde(default)]
    name: Option<String>,
    /// What a name is put between in a statement. Default: `double`, the SQL standard's.
    #[serde(default)]
    quotes: Quotes,
}

/// What a name is put between.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Quotes {
    /// `"name"`: most databases, SQL Server among them.
    #[default]
    Double,
    /// `[name]`: Access and older SQL Servers.
    Brackets,
    /// Backticks: MySQL and its kin.
    Backticks,
}

/// A data source that is queried.
pub struct OdbcQueries {
    string: Secret,
    address: String,
    quotes: Quotes,
    timeout: Duration,
}

#[async_trait]
impl QueryDatabase for OdbcQueries {
    type Connection = Connection;

    fn new(connection: Connection, timeout: Duration) -> Result<Self, AdapterError> {
        let Connection { string, name, quotes } = connection;
        if !string.expose().contains('=') {
            let message = "`string` is no connection string such as DSN=erp;Uid=reader";
            return Err(AdapterError::new(ErrorKind::Config, OF, message));
        }
        Ok(Self { string, address: name.unwrap_or_else(|| "ODBC".to_owned()), quotes, timeout })
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn dialect(&self) -> Dialect {
        let quotes = match self.quotes {
            Quotes::Double => ('"', '"'),
            Quotes::Brackets => ('[', ']'),
            Quotes::Backticks => ('`', '`'),
        };
        Dialect { quotes, values: Values::QuestionMarks }
    }

    async fn read(&self, statement: Statement, output: PageOutput) -> Result<End, AdapterError> {
        let (string, timeout, address) = (self.string.clone(), self.timeout, self.address.clone());
        // If nobody waits any more, the thread ends with its next page, or when the driver's timeout ends it.
        let work = move || read::run(string.expose(), timeout, &statement, &output);
        let ended = tokio::task::spawn_blocking(work).await.map_err(|error| {
            let message = "the thread that spoke to the driver failed; this is a defect, please report it";
            AdapterError::new(ErrorKind::Unavailable, &*self.address, message).caused_by(error)
        })?;
        ended.map_err(|error| read::at(&address, error))
    }
}
