//! What happened to the catalog, event by event.

use serde_json::Value;
use towpath_access::Target;
use towpath_catalog::Event;
use towpath_resource::{Object, Permission};

use super::{Asker, Refusal, Service};

/// Most events that are listed at once.
pub const MOST_EVENTS: usize = 10_000;

impl Service {
    /// Events after this number, oldest first. They are of everything, so the right to see them holds everywhere or not
    /// at all.
    ///
    /// # Errors
    /// They cannot be read, or are not the asker's to see.
    pub async fn events(&self, asker: &Asker, after: u64, limit: usize) -> Result<Vec<Value>, Refusal> {
        asker.require(Permission::read(Object::Audit), &Target::named("all that happened"))?;
        let events = self.command(move |catalog| catalog.events(after, limit.min(MOST_EVENTS))).await?;
        Ok(events.iter().map(shown).collect())
    }
}

/// An event without the hashes of secrets, which are nobody's business.
pub(super) fn shown(event: &Event) -> Value {
    let mut shown = serde_json::to_value(event).expect("an event is always JSON");
    shown.as_object_mut().map(|members| members.shift_remove("hash"));
    shown
}
