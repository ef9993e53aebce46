//! A connection to MariaDB.

use anyhow::Result;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

/// A connection.
pub struct MariaDb(Conn);

impl MariaDb {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self(Conn::from_url(url).await?))
    }

    pub(super) async fn execute(&mut self, statement: &str) -> Result<()> {
        Ok(self.0.query_drop(statement).await?)
    }

    pub(super) async fn query(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        let rows: Vec<Row> = self.0.query(query).await?;
        let text = |value: Value| match value {
            // The text protocol sends every value as text.
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Value::NULL => None,
            other => Some(other.as_sql(true)),
        };
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
    }
}
