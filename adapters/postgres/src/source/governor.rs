//! Watches how much of its log the server keeps for the slot, so that a source that cannot go on does not fill the
//! server's disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::config::{OnSlotLag, SourceConfig};
use crate::error::PostgresError;

/// Watches a slot.
pub(crate) struct Governor {
    client: Arc<Client>,
    slot: String,
    every: Duration,
    most_bytes: u64,
    answer: OnSlotLag,
}

impl Governor {
    pub(crate) fn new(client: &Arc<Client>, slot: &str, config: &SourceConfig) -> Self {
        Self {
            client: client.clone(),
            slot: slot.to_owned(),
            every: config.heartbeat.0,
            most_bytes: config.max_slot_lag_bytes.0,
            answer: config.on_slot_lag,
        }
    }

    /// Warns of a lag, for as long as it is polled: while tables are copied, the slot stays, as the copy could else begin
    /// again without end.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn warn(&self) -> Result<Infallible, PostgresError> {
        loop {
            tokio::time::sleep(self.every).await;
            self.look().await?;
        }
    }

    /// Waits until the slot has to go. What the slot kept when following began, as a copy or a stop took long, may be
    /// caught up first; it must only not grow by more than an admin allows.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn await_excess(&self) -> Result<(), PostgresError> {
        let mut most_bytes = self.lag().await?.saturating_add(self.most_bytes);
        loop {
            tokio::time::sleep(self.every).await;
            let lag_bytes = self.look().await?;
            if lag_bytes <= self.most_bytes {
                most_bytes = self.most_bytes;
            }
            if lag_bytes > most_bytes && self.answer == OnSlotLag::DropAndResync {
                return Ok(());
            }
        }
    }

    /// How much the slot keeps; says so if that is too much.
    async fn look(&self) -> Result<u64, PostgresError> {
        let lag_bytes = self.lag().await?;
        if lag_bytes > self.most_bytes {
            tracing::warn!(
                slot = self.slot,
                lag_bytes,
                "the server keeps more log for the slot than `max_slot_lag_bytes`; see what the source waits for"
            );
        }
        Ok(lag_bytes)
    }

    /// How much of its log the server keeps for the slot, in bytes. It keeps it from where the oldest transaction began
    /// that was not confirmed.
    async fn lag(&self) -> Result<u64, PostgresError> {
        const SQL: &str = "SELECT coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint \
             FROM pg_replication_slots WHERE slot_name = $1";
        let row = self.client.query_opt(SQL, &[&self.slot]).await;
        let row = row.map_err(PostgresError::server("ask how much log the slot keeps"))?;
        // A slot that is gone keeps nothing; whoever reads from it learns of it.
        Ok(row.map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
    }
}
