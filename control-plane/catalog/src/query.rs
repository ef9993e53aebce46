//! Questions about what happened.

use jiff::Timestamp;
use towpath_record::ResourceName;
use towpath_resource::Kind;
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::event::{Actor, Event};
use crate::event_log::{EventReader, Step};

/// How many events are read at once on the way back.
const STRIDE: u64 = 1_000;

/// Which events are wanted. What is left out does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    /// By this one: a name, an id, or the word for a kind of actor.
    pub actor: Option<String>,
    /// About resources of this kind, and of this name.
    pub subject: Option<(Kind, Option<ResourceName>)>,
    /// Of this type.
    pub event: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Whether something was denied.
    pub denied: Option<bool>,
}

/// From where, and which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Oldest first, those after this number.
    After(u64),
    /// Newest first, those before this number.
    Before(u64),
}

/// Events, and where to ask for more.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// The events, in the order that was asked for.
    pub events: Vec<Event>,
    /// The number from which the next page goes on, if there may be more.
    pub next: Option<u64>,
}

impl Query {
    /// Whether it wants this event.
    pub fn wants(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, found: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(found);
        is(&self.actor, &|wanted| is_actor(&event.cause.actor, wanted))
            && is(&self.event, &|wanted| event.kind.name() == wanted)
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
            && self.denied.is_none_or(|denied| event.kind.is_denial() == denied)
            && self.subject.as_ref().is_none_or(|(kind, name)| {
                let about = |(of, named): (Kind, &ResourceName)| {
                    of == *kind && name.as_ref().is_none_or(|name| name == named)
                };
                event.kind.subject().is_some_and(about)
            })
    }
}

fn is_actor(actor: &Actor, wanted: &str) -> bool {
    let json = serde_json::to_value(actor).expect("an actor is always JSON");
    json.as_object().is_some_and(|members| members.values().any(|member| member.as_str() == Some(wanted)))
}

impl<S: Storage> Catalog<S> {
    /// The events that are wanted, at most `limit`. Lost ones are passed over.
    ///
    /// # Errors
    /// The events cannot be read.
    pub fn query(&self, query: &Query, order: Order, limit: usize) -> Result<Page, CatalogError> {
        match order {
            Order::After(seq) => self.forward(query, seq, u64::MAX, limit),
            Order::Before(seq) => self.backward(query, seq, limit),
        }
    }

    fn forward(&self, query: &Query, after: u64, before: u64, limit: usize) -> Result<Page, CatalogError> {
        let mut reader = EventReader::new(&self.events, after.saturating_add(1));
        let mut events: Vec<Event> = Vec::new();
        while events.len() < limit {
            match reader.next()? {
                Step::Event(linked) if linked.event.seq < before => {
                    if query.wants(&linked.event) {
                        events.push(linked.event);
                    }
                }
                Step::Lost(_) => {}
                Step::Event(_) | Step::End => return Ok(Page { events, next: None }),
            }
        }
        let next = events.last().map(|event| event.seq);
        Ok(Page { events, next })
    }

    fn backward(&self, query: &Query, before: u64, limit: usize) -> Result<Page, CatalogError> {
        let first = self.events.first_index();
        let mut before = before.min(self.events.durable_index());
        let mut events: Vec<Event> = Vec::new();
        while before > first {
            let after = before.saturating_sub(STRIDE + 1).max(first - 1);
            let stride = self.forward(query, after, before, usize::MAX)?;
            events.extend(stride.events.into_iter().rev());
            if events.len() >= limit {
                events.truncate(limit);
                let next = events.last().map(|event| event.seq).filter(|seq| *seq > first);
                return Ok(Page { events, next });
            }
            before = after + 1;
        }
        Ok(Page { events, next: None })
    }
}
