//! A clock that a test sets.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use towpath_adapter_api::AdapterError;
use towpath_adapter_query::Clock;

/// A clock that stands still until it is set.
pub(crate) struct SetClock(watch::Sender<Timestamp>);

impl SetClock {
    pub(crate) fn at(time: &str) -> Self {
        Self(watch::Sender::new(time.parse().unwrap()))
    }

    pub(crate) fn set(&self, time: &str) {
        self.0.send_replace(time.parse().unwrap());
    }
}

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn wait_until(&self, time: Timestamp) -> Result<(), AdapterError> {
        self.0.subscribe().wait_for(|now| *now >= time).await.unwrap();
        Ok(())
    }
}
