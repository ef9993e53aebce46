//! Hands over what was read, from the thread that reads, and waits where there is nothing to read.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{AdapterError, Emission, Output, Rows, Stopped};
use towpath_record::StreamName;

use crate::error::SqliteError;
use crate::source::position::SourcePosition;

/// Why a step of the source came to nothing.
pub(super) enum Setback {
    /// The source is to stop.
    Stopped,
    /// SQLite failed, or what was found cannot be worked with.
    Failed(SqliteError),
    /// Something else did.
    Other(AdapterError),
}

impl From<Stopped> for Setback {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<SqliteError> for Setback {
    fn from(error: SqliteError) -> Self {
        Self::Failed(error)
    }
}

impl From<AdapterError> for Setback {
    fn from(error: AdapterError) -> Self {
        Self::Other(error)
    }
}

impl From<Setback> for AdapterError {
    fn from(setback: Setback) -> Self {
        match setback {
            Setback::Stopped => Stopped.into(),
            Setback::Failed(error) => error.into(),
            Setback::Other(error) => error,
        }
    }
}

/// What a step of the source came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// There may be more.
    Worked,
    /// There is nothing to do until the database changes.
    Idle,
}

/// Hands over what was read.
#[derive(Clone)]
pub(super) struct Emitter {
    pub(super) output: Output,
    pub(super) stop: CancellationToken,
    pub(super) runtime: Handle,
}

impl Emitter {
    /// Hands over `rows`, after which the source may resume from `position`.
    pub(super) fn emit(
        &self,
        stream: &StreamName,
        rows: Rows,
        position: &SourcePosition,
    ) -> Result<(), Setback> {
        let emission = Emission {
            stream: stream.clone(),
            rows,
            position: position.write()?,
            marks: Vec::new(),
            transaction_continues: false,
        };
        // A stop must be heard even while a full spool keeps everything waiting.
        let emitted = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(Stopped),
                emitted = self.output.emit(emission) => emitted,
            }
        });
        Ok(emitted?)
    }

    /// Takes steps until the source is to stop or one fails. A database that another process has locked is no failure.
    pub(super) fn keep_stepping(
        &self,
        poll: Duration,
        mut step: impl FnMut() -> Result<Step, Setback>,
    ) -> Result<(), AdapterError> {
        let mut busy_looks = 0_u32;
        while !self.stop.is_cancelled() {
            match step() {
                Ok(Step::Worked) => {
                    busy_looks = 0;
                    continue;
                }
                Ok(Step::Idle) => busy_looks = 0,
                Err(Setback::Failed(error)) if error.is_busy() => {
                    busy_looks += 1;
                    if busy_looks.is_multiple_of(LOOKS_BEFORE_WARNING) {
                        tracing::warn!(%error, "the database has been locked by another process for long");
                    }
                }
                Err(setback) => return Err(setback.into()),
            }
            self.pause(poll)?;
        }
        Err(Stopped.into())
    }

    /// Waits.
    ///
    /// # Errors
    /// The source is to stop.
    fn pause(&self, how_long: Duration) -> Result<(), Stopped> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => Err(Stopped),
                () = tokio::time::sleep(how_long) => Ok(()),
            }
        })
    }
}

/// Each look waits for the lock a while by itself.
const LOOKS_BEFORE_WARNING: u32 = 40;

/// Microseconds since 1970-01-01 UTC.
pub(super) fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
