//! Settle: once the region's log holds a frame, the source is released from what it kept for it.

mod unsettled;

use parking_lot::Mutex;
use towpath_adapter_api::Releaser;
use towpath_record::LaneId;
use towpath_resource::ReleaseWhen;
use towpath_resource::desired::DesiredSource;
use towpath_resource::observed::Condition;
use towpath_spool::LaneQueue;

use super::lane::{LaneError, LaneTools};
use crate::control::status::waiting;
use crate::link::{LaneEvent, LaneHandle};

pub(crate) use unsettled::Unsettled;

/// Acknowledgements into releases.
pub(crate) struct Settle<'a> {
    pub(crate) tools: &'a LaneTools,
    pub(crate) source: &'a DesiredSource,
    pub(crate) lane: &'a LaneId,
    pub(crate) queue: &'a LaneQueue,
    pub(crate) unsettled: &'a Mutex<Unsettled>,
    pub(crate) releaser: Releaser,
}

impl Settle<'_> {
    /// Ends only with an error.
    pub(crate) async fn run(&self, port: &mut LaneHandle, acknowledged: u64) -> Result<(), LaneError> {
        self.acknowledged(acknowledged).await?;
        let early = self.source.release == ReleaseWhen::Spool;
        let mut durable = self.queue.last_durable();
        loop {
            tokio::select! {
                event = port.next() => self.handle(event.ok_or(LaneError::Stopped)?).await?,
                changed = durable.changed(), if early => {
                    changed.map_err(|_| LaneError::Stopped)?;
                    let seq = *durable.borrow_and_update();
                    self.release(seq).await?;
                }
            }
        }
    }

    async fn handle(&self, event: LaneEvent) -> Result<(), LaneError> {
        match event {
            LaneEvent::Acknowledged(link) => self.acknowledged(link.seq).await,
            LaneEvent::Granted(grant) => {
                self.tools.board.source_condition(self.source.id, Condition::Running, None);
                self.acknowledged(grant.last.map_or(0, |link| link.seq)).await
            }
            LaneEvent::Refused { reason, remedy, .. } => {
                let trouble =
                    waiting(format!("the control plane does not take its frames: {reason}"), &remedy);
                self.tools.board.source_condition(self.source.id, Condition::Waiting, Some(trouble));
                Ok(())
            }
            LaneEvent::Broken(cause) => Err(LaneError::Broken(cause.to_string())),
        }
    }

    async fn acknowledged(&self, seq: u64) -> Result<(), LaneError> {
        self.release(seq).await?;
        self.queue.trim_through(seq);
        Ok(())
    }

    /// Releases the source from everything up to this frame.
    async fn release(&self, seq: u64) -> Result<(), LaneError> {
        let (settlement, waiting_rows) = {
            let mut unsettled = self.unsettled.lock();
            (unsettled.settled(seq), unsettled.rows())
        };
        self.tools.board.source(self.source.id, |source| source.backlog.records = waiting_rows);
        let Some(settlement) = settlement else { return Ok(()) };
        if self.releaser.release(settlement.position, settlement.marks).await.is_err() {
            // The source has ended; its end is reported by the run, and the release comes again in the next.
            return std::future::pending().await;
        }
        Ok(self.tools.ledger.set_released(self.lane, settlement.seq)?)
    }
}
