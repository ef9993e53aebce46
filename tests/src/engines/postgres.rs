//! A connection to PostgreSQL.

use anyhow::Result;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::task::AbortOnDropHandle;

/// A connection.
pub struct Postgres {
    client: Client,
    _connection: AbortOnDropHandle<()>,
}

impl Postgres {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(async move {
            // Whoever uses the client learns of the loss.
            let _ = connection.await;
        });
        Ok(Self { client, _connection: AbortOnDropHandle::new(connection) })
    }

    pub(super) async fn execute(&mut self, statement: &str) -> Result<()> {
        Ok(self.client.batch_execute(statement).await?)
    }

    pub(super) async fn query(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.client.simple_query(query).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}
