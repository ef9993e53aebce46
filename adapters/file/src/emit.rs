//! Hands over what was read, from the thread that reads, and waits where there is something to wait for.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{Emission, Output, Rows, Stopped};
use towpath_record::{Mark, StreamName};

use crate::ledger::Ledger;
use crate::position::SourcePosition;

/// Hands over what was read.
#[derive(Clone)]
pub(crate) struct Emitter {
    pub(crate) output: Output,
    pub(crate) stop: CancellationToken,
    pub(crate) runtime: Handle,
    pub(crate) ledger: Arc<Ledger>,
}

/// Changes that come within this time are looked at together.
pub(crate) const LULL: Duration = Duration::from_millis(10);

/// How long one waits for a release before saying so.
const PATIENCE: Duration = Duration::from_secs(60);

impl Emitter {
    /// Hands over `rows`, after which the source may resume from `position`; the completed files in it are filled in.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) fn emit(
        &self,
        stream: &StreamName,
        rows: Rows,
        mut position: SourcePosition,
        marks: Vec<Mark>,
    ) -> Result<(), Stopped> {
        position.completed = self.ledger.completed();
        let emission = Emission {
            stream: stream.clone(),
            rows,
            position: position.write(),
            marks,
            transaction_continues: false,
        };
        // A stop must be heard even while a full spool keeps everything waiting.
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(Stopped),
                emitted = self.output.emit(emission) => emitted,
            }
        })
    }

    /// Returns an error once the source is to stop.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }

    /// Waits until woken, at most `longest`.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) fn wait(&self, wake: &Notify, longest: Duration) -> Result<(), Stopped> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => Err(Stopped),
                () = wake.notified() => Ok(()),
                () = tokio::time::sleep(longest) => Ok(()),
            }
        })
    }

    /// Waits until another file may be completed.
    ///
    /// # Errors
    /// The source is to stop.
    pub(crate) fn wait_for_room(&self) -> Result<(), Stopped> {
        while !self.ledger.has_room() {
            self.wait(&self.ledger.released, PATIENCE)?;
            if !self.ledger.has_room() {
                tracing::info!("waiting for the region's log to have the files that were read");
            }
        }
        Ok(())
    }
}
