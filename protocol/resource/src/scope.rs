//! Where a right holds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

use crate::fault::Faults;
use crate::hint::NameOf;
use crate::kind::Kind;
use crate::pattern::StreamPattern;
use crate::site::SiteSpec;
use crate::spec::Reference;

const MOST_ENTRIES: usize = 100;

/// Where a right holds. Each part that is given narrows it; nothing given is everywhere. A part that something does not
/// have, such as the site of a role, leaves that thing out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// At these sites only: what stands there, and the agents, sources and sinks of it. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<NameOf<SiteSpec>>")]
    pub sites: Vec<ResourceName>,
    /// For these streams only, by name or pattern. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamPattern>,
    /// For resources with all of these labels only. Default: all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Scope {
    /// Whether it is everywhere.
    pub fn is_everywhere(&self) -> bool {
        self.sites.is_empty() && self.streams.is_empty() && self.labels.is_empty()
    }

    pub(crate) fn check(&self, path: &str, faults: &mut Faults) {
        let entries = self.sites.len() + self.streams.len() + self.labels.len();
        faults.require(entries <= MOST_ENTRIES, path, || {
            format!("has {entries} entries; at most {MOST_ENTRIES} are allowed")
        });
    }

    pub(crate) fn references(&self, path: &'static str) -> impl Iterator<Item = Reference> + '_ {
        self.sites.iter().map(move |site| Reference { path, kind: Kind::Site, name: site.clone() })
    }
}
