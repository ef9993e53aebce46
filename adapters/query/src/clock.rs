//! The clock that schedules go by.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use towpath_adapter_api::{AdapterError, ErrorKind};

use crate::scheduler::{Scheduler, SchedulerError};

/// A clock that can be read and waited for.
#[async_trait]
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Returns when it is `time` or later.
    ///
    /// # Errors
    /// One cannot wait.
    async fn wait_until(&self, time: Timestamp) -> Result<(), AdapterError>;
}

/// The clock of the machine, and the scheduler of the process that wakes who waits for it.
///
/// The scheduler counts in whole seconds, so it wakes a little before the time; the rest is slept to the instant.
pub struct SystemClock(Arc<Scheduler>);

/// How much before the time the scheduler is to wake. It rounds down, and looks twice a second.
const AHEAD: Duration = Duration::from_secs(1);
/// What is not worth a job: timers of the runtime do not see a clock that is set, and here they need not.
const SHORT: Duration = Duration::from_secs(3);

impl SystemClock {
    /// The clock, with the scheduler running.
    ///
    /// # Errors
    /// The scheduler cannot be started.
    pub async fn start() -> Result<Self, AdapterError> {
        Ok(Self(Scheduler::of_the_process().await.map_err(failed)?))
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn wait_until(&self, time: Timestamp) -> Result<(), AdapterError> {
        loop {
            match Duration::try_from(time.duration_since(self.now())) {
                Err(_) | Ok(Duration::ZERO) => return Ok(()),
                Ok(left) if left <= SHORT => tokio::time::sleep(left).await,
                Ok(left) => self.0.wait(left - AHEAD).await.map_err(failed)?,
            }
        }
    }
}

fn failed(error: SchedulerError) -> AdapterError {
    AdapterError::new(ErrorKind::Unavailable, "schedule", error.to_string()).caused_by(error)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_at_its_time_and_not_before() {
        let clock = SystemClock::start().await.unwrap();
        for span in [
            SignedDuration::from_secs(-5),
            SignedDuration::from_millis(30),
            SignedDuration::from_millis(5300),
        ] {
            let time = clock.now() + span;
            let begun = std::time::Instant::now();
            clock.wait_until(time).await.unwrap();
            assert!(clock.now() >= time, "{span}: it is woken too early");
            let late = begun.elapsed().saturating_sub(span.unsigned_abs().min(begun.elapsed()));
            assert!(span.is_negative() || late < Duration::from_secs(2), "{span}: it is woken {late:?} late");
        }
    }
}
