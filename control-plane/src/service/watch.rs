//! Follows the resources of a kind: first what there is, part by part, then each change.
//!
//! Nothing is kept for a watcher but how far it is: it pulls the next changes from the catalog's events when it has room
//! for them. One that falls too far behind is told so and ends. What several events do to a resource between two looks
//! is told once, as it is then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use towpath_access::Target;
use towpath_catalog::{EventKind, State, Table};
use towpath_record::ResourceName;
use towpath_resource::{
    AnyManifest, AnyResource, Fault, Kind, Manifest, Object, Permission, Resource, kind_of,
};

use super::sight::Sight;
use super::{Asker, Filter, Refusal, Service, Shown};

/// Watchers at once.
pub(super) const MOST_WATCHERS: usize = 1024;
/// A watcher that is further behind than so many events must begin again.
const MOST_BEHIND: u64 = 10_000;
/// Resources in one part of the first look.
const PART: usize = 100;
/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 256;
/// After this time a watcher ends and must show anew who it is.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What is to be followed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WatchOrder {
    /// Which resources. Default: all.
    pub filter: Filter,
    /// The number of the last event that was seen. Default: none, so that what there is comes first.
    pub since: Option<u64>,
}

/// What a watcher learns.
#[derive(Clone, PartialEq, Debug)]
pub enum WatchEvent {
    /// A part of what there is at first.
    Snapshot {
        /// The resources, in the order of their names.
        items: Vec<Shown>,
        /// With the last part, the number of the event up to which it is told.
        complete: Option<u64>,
    },
    /// A resource is new or changed.
    Applied {
        /// The number of the event.
        seq: u64,
        /// The resource as it is now.
        shown: Box<Shown>,
    },
    /// A resource is gone, or not among those that are followed any more.
    Deleted {
        /// The number of the event.
        seq: u64,
        /// Its name.
        name: ResourceName,
    },
    /// Nothing more comes.
    Ended {
        /// Why, and what to do.
        reason: String,
    },
}

impl WatchEvent {
    /// The number of the event that it tells of.
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Applied { seq, .. } | Self::Deleted { seq, .. } => Some(*seq),
            Self::Snapshot { .. } | Self::Ended { .. } => None,
        }
    }
}

impl Service {
    /// Follows the resources of a kind that the asker may see. Dropping the answer ends the work.
    ///
    /// Whoever may see all of the kind and asks for all can go on behind an event; for others the first look comes
    /// again, since which of them were seen before is known to nobody.
    ///
    /// # Errors
    /// The filter is not one that can be followed, there are too many watchers, or the events to go on from are gone.
    pub async fn watch(
        &self,
        asker: &Asker,
        kind: Kind,
        order: WatchOrder,
    ) -> Result<BoxStream<'static, WatchEvent>, Refusal> {
        order.filter.check(kind)?;
        if order.filter.reads_status() {
            let message = "what is observed changes without an event, so that it cannot be followed; leave `status` out";
            let fault = Fault { path: "filter".to_owned(), message: message.to_owned(), place: None };
            return Err(Refusal::Invalid { detail: format!("the filter {message}"), faults: vec![fault] });
        }
        let permit = self.0.watchers.clone().try_acquire_owned();
        let permit = permit.map_err(|_| {
            Refusal::TooMany("too many are watching; end a watcher, or try again later".to_owned())
        })?;
        let mut states = self.0.config.catalog.subscribe();
        let state = states.borrow_and_update().clone();
        let read = Permission::read(Object::Resource(kind));
        let knows_all = order.filter.is_empty() && Sight::of(asker, &state, read).is_unlimited();
        let (phase, told) = match order.since.filter(|_| knows_all) {
            Some(since) => (Phase::Following, self.check_there(since, state.seq).await?),
            None => (Phase::First { after: None }, state.seq),
        };
        let watcher = Watcher {
            service: self.clone(),
            asker: asker.clone(),
            kind,
            read,
            filter: order.filter,
            knows_all,
            states,
            seen: state,
            told,
            phase,
            ready: VecDeque::new(),
            until: Instant::now() + LONGEST,
            _permit: permit,
        };
        Ok(stream::unfold(watcher, |mut watcher| async move {
            watcher.next().await.map(|event| (event, watcher))
        })
        .boxed())
    }

    /// Whether all events after this one can still be told.
    async fn check_there(&self, since: u64, newest: u64) -> Result<u64, Refusal> {
        let gone =
            |why: String| Refusal::Gone(format!("{why}; watch again without `since` and `Last-Event-ID`"));
        if since > newest {
            return Err(gone(format!("event {since} has not happened here; the newest is {newest}")));
        }
        if newest - since > MOST_BEHIND {
            return Err(gone(format!(
                "{} events happened after event {since}, which is too many",
                newest - since
            )));
        }
        let next = self.command(move |catalog| catalog.events(since, 1)).await?;
        match next.first() {
            Some(next) if next.seq != since + 1 => Err(gone(format!(
                "events after {since} are no longer kept; the oldest there is {}",
                next.seq
            ))),
            _ => Ok(since),
        }
    }
}

struct Watcher {
    service: Service,
    asker: Asker,
    kind: Kind,
    read: Permission,
    filter: Filter,
    /// Whether it follows all resources of the kind, whatever becomes of them.
    knows_all: bool,
    states: watch::Receiver<Arc<State>>,
    /// What it has been told of, unless it went on behind an event.
    seen: Arc<State>,
    /// The number of the last event it has been told of.
    told: u64,
    phase: Phase,
    ready: VecDeque<WatchEvent>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

/// What events did to the resources of a kind.
#[derive(Default)]
struct Touched {
    /// The resources that they changed, and the last event that changed each.
    last: BTreeMap<ResourceName, u64>,
    /// Whether they changed others by which such resources move.
    may_move: bool,
}

enum Phase {
    /// Telling what there is, from behind this name.
    First {
        after: Option<ResourceName>,
    },
    Following,
    Over,
}

impl Watcher {
    async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match &mut self.phase {
                Phase::Over => return None,
                Phase::First { after } => {
                    let after = after.take();
                    return Some(self.part(after));
                }
                Phase::Following => self.follow().await,
            }
        }
    }

    fn end(&mut self, reason: &str) {
        self.phase = Phase::Over;
        self.ready.push_back(WatchEvent::Ended { reason: reason.to_owned() });
    }

    /// The next part of what there is.
    fn part(&mut self, after: Option<ResourceName>) -> WatchEvent {
        let state = self.seen.clone();
        let (found, last) = kind_of!(self.kind, S => self.behind::<S>(&state, after.as_ref()));
        let items = self.service.shown_all(&state, found);
        let complete = last.is_none().then_some(self.told);
        self.phase = last.map_or(Phase::Following, |last| Phase::First { after: Some(last) });
        WatchEvent::Snapshot { items, complete }
    }

    /// The resources behind this name that are followed, and the last name if there may be more.
    fn behind<S: Table>(
        &self,
        state: &State,
        after: Option<&ResourceName>,
    ) -> (Vec<AnyResource>, Option<ResourceName>)
    where
        AnyManifest: From<Manifest<S>>,
        AnyResource: From<Resource<S>>,
    {
        let all = S::of(state);
        let mut rest: Box<dyn Iterator<Item = &Resource<S>>> = match after {
            Some(name) => Box::new(all.after(name)),
            None => Box::new(all.values()),
        };
        let part: Vec<_> = rest.by_ref().take(PART).collect();
        let last = part.last().filter(|_| rest.next().is_some()).map(|one| one.name().clone());
        let sight = Sight::of(&self.asker, state, self.read);
        let followed = part.into_iter().filter(|one| self.follows(&sight, one));
        (followed.map(|one| one.clone().into()).collect(), last)
    }

    fn follows<S: Table>(&self, sight: &Sight<'_>, resource: &Resource<S>) -> bool
    where
        AnyManifest: From<Manifest<S>>,
    {
        self.filter.shows(resource, || None) && sight.shows(resource)
    }

    /// Waits for changes and makes them ready.
    async fn follow(&mut self) {
        if self.states.borrow_and_update().seq == self.told {
            tokio::select! {
                changed = self.states.changed() => if changed.is_err() {
                    return self.end("the control plane is stopping; watch again with Last-Event-ID");
                },
                () = tokio::time::sleep_until(self.until) => {
                    return self.end("the time of one watcher is over; watch again with Last-Event-ID");
                }
            }
        }
        let now = self.states.borrow_and_update().clone();
        if now.seq - self.told > MOST_BEHIND {
            return self.end("you read too slowly and fell behind; watch again without Last-Event-ID");
        }
        match self.touched(now.seq).await {
            Err(_) => self.end("the events cannot be read now; watch again without Last-Event-ID"),
            Ok(touched) => {
                let moved = if touched.may_move { self.moved(&now, &touched.last) } else { Vec::new() };
                let changes = touched.last.into_iter().filter_map(|(name, seq)| self.change(&now, seq, name));
                let mut changes: Vec<_> = changes.chain(moved).collect();
                changes.sort_by_key(WatchEvent::seq);
                self.ready.extend(changes);
                self.told = now.seq;
                self.seen = now;
            }
        }
    }

    /// The resources of the kind that events up to this one touched.
    async fn touched(&self, until: u64) -> Result<Touched, Refusal> {
        let mut touched = Touched::default();
        let mut after = self.told;
        while after < until {
            let events = self.service.command(move |catalog| catalog.events(after, EVENTS_AT_ONCE)).await?;
            let Some(newest) = events.last() else { break };
            after = newest.seq;
            for event in events.iter().filter(|event| event.seq <= until) {
                let Some((kind, name)) = touched_by(&event.kind) else { continue };
                if kind == self.kind {
                    touched.last.insert(name.clone(), event.seq);
                }
                touched.may_move |= Target::moved_by(self.kind) == Some(kind);
            }
        }
        Ok(touched)
    }

    /// Those that came into sight or left it because another moved, apart from those that were touched themselves.
    fn moved(&self, now: &Arc<State>, touched: &BTreeMap<ResourceName, u64>) -> Vec<WatchEvent> {
        let sight = |state| Sight::of(&self.asker, state, self.read);
        let (before, after) = (sight(&self.seen), sight(now));
        if after.is_unlimited() {
            return Vec::new();
        }
        kind_of!(self.kind, S => {
            let (was, is) = (S::of(&self.seen), S::of(now));
            let follows_now = |name| is.get(name).is_some_and(|one| self.follows(&after, one));
            let followed_then = |name| was.get(name).is_some_and(|one| self.follows(&before, one));
            let names = is.values().map(Resource::name).filter(|name| !touched.contains_key(*name));
            let moved: Vec<_> = names.filter(|name| follows_now(name) != followed_then(name)).cloned().collect();
            moved.into_iter().filter_map(|name| self.change(now, now.seq, name)).collect()
        })
    }

    /// What a watcher is told of a resource that was touched, if anything.
    fn change(&self, now: &Arc<State>, seq: u64, name: ResourceName) -> Option<WatchEvent> {
        kind_of!(self.kind, S => {
            let followed = |state: &State| {
                let sight = Sight::of(&self.asker, state, self.read);
                S::of(state).get(&name).filter(|one| self.follows(&sight, one)).cloned()
            };
            if let Some(resource) = followed(now) {
                let shown = self.service.shown_all(now, vec![resource.into()]).pop()?;
                return Some(WatchEvent::Applied { seq, shown: Box::new(shown) });
            }
            let was_told = self.knows_all || followed(&self.seen).is_some();
            was_told.then_some(WatchEvent::Deleted { seq, name })
        })
    }
}

/// The resource that is another after this event.
fn touched_by(event: &EventKind) -> Option<(Kind, &ResourceName)> {
    match event {
        EventKind::TokenCreated { .. } => None,
        other => other.subject(),
    }
}
