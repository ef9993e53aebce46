//! The threads on which a source waits for its cache.

use tokio_util::task::TaskTracker;
use towpath_adapter_api::{AdapterError, ErrorKind};

/// Does what blocks on threads made for it, and knows when they are done: work that has begun goes on when nobody
/// waits for it any more, and the next run of the source must not meet it in the cache.
#[derive(Clone, Default)]
pub(crate) struct Threads(TaskTracker);

impl Threads {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.0.spawn_blocking(work).await.map_err(|error| {
            let message = "a thread of the source failed; this is a defect, please report it";
            AdapterError::new(ErrorKind::Unavailable, "query source", message).caused_by(error)
        })
    }

    /// Waits for all work that has begun.
    pub(crate) async fn finish(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
