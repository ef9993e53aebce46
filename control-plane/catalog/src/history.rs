//! The history of a resource, as the events tell it.

use jiff::Timestamp;
use memchr::memmem;
use towpath_audit::Record;
use towpath_record::ResourceName;
use towpath_resource::api::Happened;
use towpath_resource::{AnyManifest, AnyResource, FieldChange, Kind, field_changes};
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::chain;
use crate::error::CatalogError;
use crate::event::{Cause, Event, EventKind};
use crate::event_log::{EventReader, RawStep};

/// One version of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct Version {
    /// Its generation: the number of the event that made it so.
    pub generation: u64,
    /// When.
    pub at: Timestamp,
    /// By whom, and from where.
    pub cause: Cause,
    /// What happened.
    pub happened: Happened,
    /// What was different from the version before. Behind what retention removed, every field counts as new.
    pub changes: Vec<FieldChange>,
    /// What an admin would write to have it so; nothing for one that was deleted.
    pub manifest: Option<AnyManifest>,
}

/// The versions that these events gave a resource, oldest first. `before` is what it was before the first of them.
pub fn versions<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    kind: Kind,
    name: &ResourceName,
    before: Option<AnyManifest>,
) -> Vec<Version> {
    let mut before = before;
    let mut versions = Vec::new();
    for event in events {
        let Some(after) = outcome(&event.kind, kind, name) else { continue };
        let manifest = after.map(|resource| resource.manifest());
        let happened = match (&before, &manifest) {
            (_, None) => Happened::Deleted,
            (None, Some(_)) => Happened::Created,
            (Some(_), Some(_)) => Happened::Changed,
        };
        let changes = field_changes(before.as_ref(), manifest.as_ref());
        before.clone_from(&manifest);
        let (generation, at, cause) = (event.seq, event.at, event.cause.clone());
        versions.push(Version { generation, at, cause, happened, changes, manifest });
    }
    versions
}

/// What an event left of a resource: something, or nothing. `None` if it was about another.
fn outcome(event: &EventKind, kind: Kind, name: &ResourceName) -> Option<Option<AnyResource>> {
    let ours = |resource: &AnyResource| resource.kind() == kind && resource.name() == name;
    match event {
        EventKind::ResourceApplied { resource } if ours(resource) => Some(Some(resource.clone())),
        EventKind::ResourceDeleted { resource } if ours(resource) => Some(None),
        EventKind::AgentEnrolled { agent, .. } => {
            let agent = AnyResource::from(agent.clone());
            ours(&agent).then_some(Some(agent))
        }
        _ => None,
    }
}

impl<S: Storage> Catalog<S> {
    /// The versions of a resource that the events still tell of, oldest first; also of one that was deleted.
    ///
    /// # Errors
    /// The events cannot be read.
    pub fn history(&self, kind: Kind, name: &ResourceName) -> Result<Vec<Version>, CatalogError> {
        // Few events are about it, so the others are passed over before they are taken apart. In JSON a name stands as
        // it is, since it has no character that would be escaped.
        let needle = format!("\"{name}\"");
        let needle = memmem::Finder::new(needle.as_bytes());
        let mut reader = EventReader::new(&self.events, 1);
        let mut events = Vec::new();
        loop {
            match reader.next_raw().map_err(CatalogError::Read)? {
                RawStep::End => break,
                RawStep::Lost(_) => {}
                RawStep::Record(seq, bytes) => {
                    let mentions = |record: Record<'_>| needle.find(record.json).is_some();
                    if Record::parse(&bytes).is_some_and(mentions) {
                        events.push(chain::decode(seq, &bytes)?.event);
                    }
                }
            }
        }
        Ok(versions(&events, kind, name, None))
    }
}
