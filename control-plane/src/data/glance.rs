//! What was seen a moment ago, so that many who look at once cost one look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::service::plane::Snapshot;

/// A look is good for so long.
const FRESH_FOR: Duration = Duration::from_millis(200);

/// The last look.
#[derive(Default)]
pub(crate) struct Glance(Mutex<Option<(Instant, Arc<Snapshot>)>>);

impl Glance {
    /// What was seen a moment ago, or else what a look shows now.
    pub(crate) fn or_look(&self, look: impl FnOnce() -> Snapshot) -> Arc<Snapshot> {
        let mut last = self.0.lock();
        if let Some((at, seen)) = &*last
            && at.elapsed() < FRESH_FOR
        {
            return seen.clone();
        }
        let seen = Arc::new(look());
        *last = Some((Instant::now(), seen.clone()));
        seen
    }
}
