//! Follows what happens: the catalog's events, and how the fleet goes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::MissedTickBehavior;
use towpath_access::Target;
use towpath_catalog::State;
use towpath_resource::api::FleetStatus;
use towpath_resource::{Object, Permission};

use super::events::shown;
use super::{Asker, Refusal, Service};

/// Events that are read at once. It bounds what one who follows holds in memory.
const BATCH: usize = 256;
/// How often the status can be told.
const MIN_PULSE: Duration = Duration::from_secs(1);
const MAX_PULSE: Duration = Duration::from_secs(60);

/// Events with their numbers, one after the other.
pub(crate) type Numbered = BoxStream<'static, Result<(u64, Value), Refusal>>;

impl Service {
    /// Follows the events with their numbers, from now on or behind a number. Dropping the answer ends the work.
    ///
    /// # Errors
    /// They are not the asker's to see, or too many watch.
    pub fn follow_events(&self, asker: &Asker, after: Option<u64>) -> Result<Numbered, Refusal> {
        asker.require(Permission::read(Object::Audit), &Target::named("all that happened"))?;
        let states = self.0.config.catalog.subscribe();
        let seq = after.unwrap_or_else(|| states.borrow().seq);
        let follower = Follower { service: self.clone(), states, seq, _permit: self.watch_permit()? };
        let batches = one_by_one(follower, |follower| Box::pin(follower.batch()));
        let events = batches.flat_map(|batch| match batch {
            Ok(events) => stream::iter(events.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(refusal) => stream::iter(vec![Err(refusal)]),
        });
        Ok(events.boxed())
    }

    /// How the fleet goes, as far as the asker may see it, again and again. Dropping the answer ends the work.
    ///
    /// # Errors
    /// It is not the asker's to see, or too many watch.
    pub fn follow_status(
        &self,
        asker: &Asker,
        every: Duration,
    ) -> Result<BoxStream<'static, Result<FleetStatus, Refusal>>, Refusal> {
        asker.principal.decide(Permission::read(Object::Status), None)?;
        let mut ticks = tokio::time::interval(every.clamp(MIN_PULSE, MAX_PULSE));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pulse = (ticks, asker.clone(), self.clone(), self.watch_permit()?);
        Ok(one_by_one(pulse, |(ticks, asker, service, _permit)| {
            Box::pin(async move {
                ticks.tick().await;
                Ok(service.status(asker))
            })
        }))
    }

    fn watch_permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.watchers.clone().try_acquire_owned().map_err(|_| {
            Refusal::TooMany("too many are watching; end a watcher, or try again later".to_owned())
        })
    }
}

/// A stream of whatever comes next, up to the first refusal.
fn one_by_one<S: Send + 'static, T: Send + 'static>(
    source: S,
    next: impl for<'a> Fn(&'a mut S) -> BoxFuture<'a, Result<T, Refusal>> + Copy + Send + 'static,
) -> BoxStream<'static, Result<T, Refusal>> {
    let steps = stream::unfold(Some(source), move |source| async move {
        let mut source = source?;
        match next(&mut source).await {
            Ok(item) => Some((Ok(item), Some(source))),
            Err(refusal) => Some((Err(refusal), None)),
        }
    });
    steps.boxed()
}

/// A place in the events that moves with them.
struct Follower {
    service: Service,
    states: watch::Receiver<Arc<State>>,
    seq: u64,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next events; waits until there are some.
    async fn batch(&mut self) -> Result<Vec<(u64, Value)>, Refusal> {
        loop {
            let newest = self.states.borrow_and_update().seq;
            if newest > self.seq {
                let after = self.seq;
                let events = self.service.command(move |catalog| catalog.events(after, BATCH)).await?;
                self.seq = events.last().map_or(newest, |event| event.seq);
                if !events.is_empty() {
                    return Ok(events.iter().map(|event| (event.seq, shown(event))).collect());
                }
            }
            self.states.changed().await.map_err(|_| Refusal::Stopping)?;
        }
    }
}
