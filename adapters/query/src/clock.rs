//! The clock that schedules go by.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// A clock that can be read and waited for.
#[async_trait]
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Returns when it is `time` or later.
    async fn wait_until(&self, time: Timestamp);
}

/// The clock of the machine.
///
/// Timers of the runtime count the time that the machine runs, not what its clock shows: they miss a sleep of the
/// machine and a clock that is set. So a long wait looks at the clock from time to time.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

const LOOKS_EVERY: Duration = Duration::from_secs(10);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn wait_until(&self, time: Timestamp) {
        loop {
            let left = time.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOKS_EVERY)).await;
        }
    }
}
