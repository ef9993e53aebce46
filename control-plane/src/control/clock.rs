//! The time of day, as certificates need it, from a source that tests can set.

use std::sync::Arc;
use std::time::SystemTime;

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The clock of the machine.
pub fn system_clock() -> Clock {
    Arc::new(SystemTime::now)
}
