//! What a right is needed for, as far as scopes care.

use std::collections::BTreeMap;

use towpath_catalog::State;
use towpath_record::{ResourceName, StreamName};
use towpath_resource::{AnyManifest, Kind, Scope, StreamPattern};

/// What a right is needed for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// How messages name it: `source erp-files`.
    pub subject: String,
    site: Option<ResourceName>,
    labels: BTreeMap<String, String>,
    streams: Vec<StreamPattern>,
}

impl Target {
    /// Something without a site, labels and streams, which only a grant that holds everywhere reaches.
    pub fn named(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..Self::default() }
    }

    /// A stream, its records, schema or dead letters.
    pub fn stream(stream: &StreamName) -> Self {
        let pattern = StreamPattern::new(stream.as_str()).expect("a stream's name is a pattern of itself");
        Self { streams: vec![pattern], ..Self::named(format!("stream {stream}")) }
    }

    /// Something that belongs to a site.
    pub fn at_site(subject: impl Into<String>, site: &ResourceName) -> Self {
        Self { site: Some(site.clone()), ..Self::named(subject) }
    }

    /// A resource, as it is or shall be.
    pub fn resource(state: &State, manifest: &AnyManifest) -> Self {
        let site_of = |agent| state.site_of(agent).map(|site| site.name().clone());
        let site = match manifest {
            AnyManifest::Site(site) => Some(site.metadata.name.clone()),
            AnyManifest::Agent(agent) => Some(agent.spec.site.clone()),
            AnyManifest::Source(source) => site_of(&source.spec.agent),
            AnyManifest::Sink(sink) => site_of(&sink.spec.agent),
            AnyManifest::Route(route) => {
                state.sinks.get(&route.spec.sink).and_then(|sink| site_of(&sink.spec.agent))
            }
            _ => None,
        };
        let streams = match manifest {
            AnyManifest::Route(route) => route.spec.streams.clone(),
            _ => Vec::new(),
        };
        Self { subject: manifest.subject(), site, labels: manifest.metadata().labels.clone(), streams }
    }

    /// The kind whose resources move those of this kind when they change: a route stands where its sink's agent does. An
    /// agent stays at its site, and a route with its sink.
    pub const fn moved_by(kind: Kind) -> Option<Kind> {
        match kind {
            Kind::Route => Some(Kind::Sink),
            _ => None,
        }
    }

    /// Whether all of it lies within the scope.
    pub(crate) fn is_within(&self, scope: &Scope) -> bool {
        let site =
            scope.sites.is_empty() || self.site.as_ref().is_some_and(|site| scope.sites.contains(site));
        let labels = scope.labels.iter().all(|(key, value)| self.labels.get(key) == Some(value));
        let streams = scope.streams.is_empty()
            || !self.streams.is_empty()
                && self.streams.iter().all(|ours| scope.streams.iter().any(|theirs| theirs.covers(ours)));
        site && labels && streams
    }
}
