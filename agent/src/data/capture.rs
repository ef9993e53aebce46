//! Capture: what a source emits is minimised, batched per stream, and sealed into frames of the lane's chain.

mod pause;
mod batcher;
mod chain;
mod weave;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use towpath_adapter_api::Emission;
use towpath_record::{FrameKind, Position};
use towpath_resource::desired::DesiredSource;
use towpath_resource::observed::Condition;
use towpath_spool::LaneQueue;

use super::lane::{LaneError, LaneTools};
use super::minimise::Minimise;
use super::settle::Unsettled;
use crate::control::status::waiting;

pub(crate) use batcher::{Batcher, Limits, Parcel};
pub(crate) use chain::Chain;
pub(crate) use pause::Pause;
pub(crate) use weave::{ResendOrder, Resent, Weaving};

/// Emissions into frames, frames into the spool.
pub(crate) struct Capture<'a, F> {
    pub(crate) tools: &'a LaneTools,
    pub(crate) source: &'a DesiredSource,
    pub(crate) queue: LaneQueue,
    pub(crate) unsettled: Arc<Mutex<Unsettled>>,
    pub(crate) minimise: Minimise,
    pub(crate) batcher: Batcher,
    /// Taken only while a thread seals.
    pub(crate) chain: Option<Chain>,
    /// Where the source stands after its last emission.
    pub(crate) position: Position,
    /// Whether the source is in the middle of a transaction.
    pub(crate) in_transaction: bool,
    pub(crate) weaving: Option<Weaving>,
    pub(crate) on_first: Option<F>,
    pub(crate) pause: Pause<'a>,
}

impl<F: FnOnce()> Capture<'_, F> {
    /// Ends when the source does, or the spool fails.
    pub(crate) async fn run(
        &mut self,
        mut emissions: mpsc::Receiver<Emission>,
        orders: &mut mpsc::Receiver<ResendOrder>,
    ) -> Result<(), LaneError> {
        loop {
            if self.batcher.is_due(Instant::now()) {
                self.flush().await?;
            }
            let deadline = self.batcher.deadline();
            let idle = self.weaving.is_none();
            // What the source has read waits where it is, and the source behind it.
            let takes = !self.pause.has_to_wait();
            tokio::select! {
                emission = emissions.recv(), if takes => match emission {
                    Some(emission) => self.take(emission).await?,
                    None => return self.flush().await,
                },
                () = until(deadline) => {}
                Some(order) = orders.recv(), if idle && takes => self.weaving = Some(Weaving::begin(order)),
                () = read(&mut self.weaving), if !idle => {}
                () = self.pause.changed() => {}
            }
            self.weave().await?;
        }
    }

    async fn take(&mut self, emission: Emission) -> Result<(), LaneError> {
        if let Some(first) = self.on_first.take() {
            first();
        }
        if let Some(weaving) = &mut self.weaving {
            weaving.watch(&emission);
        }
        self.in_transaction = emission.transaction_continues;
        self.position = emission.position.clone();
        self.push(emission).await
    }

    async fn push(&mut self, emission: Emission) -> Result<(), LaneError> {
        let emission = self.minimise.emission(emission)?;
        for parcel in self.batcher.push(Instant::now(), now_us(), emission) {
            self.spool(parcel).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), LaneError> {
        match self.batcher.close(Instant::now(), now_us()) {
            Some(parcel) => self.spool(parcel).await,
            None => Ok(()),
        }
    }

    /// Weaves in what was read, where no transaction of the source is cut by it.
    async fn weave(&mut self) -> Result<(), LaneError> {
        let ready = |weaving: &mut Weaving| weaving.is_read() && !self.in_transaction;
        let Some(weaving) = self.weaving.take_if(ready) else { return Ok(()) };
        let mut woven = weaving.finish(&self.position, now_us());
        for emission in woven.take_emissions() {
            self.push(emission).await?;
        }
        self.flush().await?;
        woven.spooled();
        Ok(())
    }

    async fn spool(&mut self, parcel: Parcel) -> Result<(), LaneError> {
        self.tools.schemas.put(&parcel.schema).await?;
        let mut chain = self.chain.take().expect("sealing puts the chain back before it returns");
        let sealed = tokio::task::spawn_blocking(move || (chain.seal(parcel, now_us()), chain)).await;
        let (frame, chain) = sealed.map_err(|_| LaneError::Stopped)?;
        self.chain = Some(chain);
        let frame = frame?;
        let header = frame.header();
        let rows = u64::from(header.rows);
        let (records, dead_letters) = match header.kind {
            FrameKind::DeadLetters => (0, rows),
            FrameKind::Records | FrameKind::Progress | FrameKind::Replay => (rows, 0),
        };
        self.tools.board.captured(self.source.id, records, dead_letters, frame.bytes().len() as u64);
        // Before the frame is durable, so that no acknowledgement can come first.
        let waiting_rows = {
            let mut unsettled = self.unsettled.lock();
            unsettled.spooled(header);
            unsettled.rows()
        };
        self.tools.board.source(self.source.id, |source| source.backlog.records = waiting_rows);
        if let Some(reason) = self.queue.waiting() {
            let trouble =
                waiting(format!("waits for the spool: {reason}"), "free space or raise the spool's limit");
            self.tools.board.source_condition(self.source.id, Condition::Waiting, Some(trouble));
            drop(self.queue.enqueue(frame).await?);
            self.tools.board.source_condition(self.source.id, Condition::Running, None);
        } else {
            // The receipt is not awaited: what counts is the log's acknowledgement.
            drop(self.queue.enqueue(frame).await?);
        }
        Ok(())
    }
}

async fn read(weaving: &mut Option<Weaving>) {
    match weaving.as_mut().filter(|weaving| !weaving.is_read()) {
        Some(weaving) => weaving.read().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
