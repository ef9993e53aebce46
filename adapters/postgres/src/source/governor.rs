//! Watches how much of its log the server keeps for the slot, so that a source that cannot go on does not fill the
//! server's disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_postgres::Client;
use towpath_adapter_api::{Claim, Turn};

use super::config::{OnSlotLag, SourceConfig};
use crate::error::PostgresError;

/// What the other sources of the agent are told when they have to wait.
const REASON: &str = "its server keeps more log for it than `max_slot_lag_bytes`";

/// The source's place among those of the agent, which outlives its governors.
pub(crate) struct Precedes {
    turn: Turn,
    claim: Mutex<Option<Claim>>,
}

/// Watches a slot.
pub(crate) struct Governor<'a> {
    precedes: &'a Precedes,
    client: Arc<Client>,
    slot: String,
    every: Duration,
    most_bytes: u64,
    answer: OnSlotLag,
}

impl Precedes {
    pub(crate) fn new(turn: Turn) -> Self {
        Self { turn, claim: Mutex::new(None) }
    }

    /// Goes first from a lag of more than `most_bytes` on, until it has fallen to half of that.
    fn note(&self, lag_bytes: u64, most_bytes: u64) {
        let mut claim = self.claim.lock();
        match &*claim {
            None if lag_bytes > most_bytes => {
                tracing::warn!(lag_bytes, "the other sources of the agent wait until the slot keeps less");
                *claim = Some(self.turn.claim(REASON));
            }
            Some(_) if lag_bytes <= most_bytes / 2 => {
                tracing::info!(lag_bytes, "the other sources of the agent go on");
                *claim = None;
            }
            _ => {}
        }
    }
}

impl<'a> Governor<'a> {
    pub(crate) fn new(
        client: &Arc<Client>,
        slot: &str,
        config: &SourceConfig,
        precedes: &'a Precedes,
    ) -> Self {
        Self {
            precedes,
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

    /// How much the slot keeps; says so if that is too much, and lets other sources wait if an admin wants that.
    async fn look(&self) -> Result<u64, PostgresError> {
        let lag_bytes = self.lag().await?;
        if self.answer == OnSlotLag::PauseOthers {
            self.precedes.note(lag_bytes, self.most_bytes);
        }
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

#[cfg(test)]
mod tests {
    use towpath_adapter_api::Precedence;
    use towpath_record::ResourceName;

    use super::*;

    #[test]
    fn the_others_wait_from_the_bound_on_until_half_of_it() {
        let precedence = Precedence::default();
        let turn = |name: &str| precedence.turn(ResourceName::new(name).unwrap());
        let (precedes, mut other) = (Precedes::new(turn("erp")), turn("files"));
        for (lag_bytes, waits) in [
            (0, false),
            (100, false),
            (101, true),
            (100, true),
            (51, true),
            (50, false),
            (100, false),
            (101, true),
        ] {
            precedes.note(lag_bytes, 100);
            assert_eq!(other.waits_for().is_some(), waits, "{lag_bytes}");
        }
        drop(precedes);
        assert!(other.waits_for().is_none(), "the source has stopped");
    }
}
