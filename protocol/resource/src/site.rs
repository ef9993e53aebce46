//! Sites: where agents stand.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use towpath_record::{RegionName, SiteId};

use crate::api::SiteStatus;
use crate::fault::Faults;
use crate::kind::Kind;
use crate::spec::Spec;

/// Longest description of a resource, in characters.
pub(crate) const LONGEST_DESCRIPTION: usize = 1_024;

/// A place that data comes from or goes to: a plant, an office, a cloud region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Site")]
pub struct SiteSpec {
    /// The region whose cell keeps what the site's sources produce. Fixed while the site has sources. Default: `main`.
    #[serde(default = "RegionName::main")]
    pub region: RegionName,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

impl Spec for SiteSpec {
    type Id = SiteId;
    const KIND: Kind = Kind::Site;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("region", "/spec/region"),
        ("agents", "/status/agents"),
        ("connected", "/status/connected_agents"),
        ("description", "/spec/description"),
    ];
    const EXAMPLE: &'static str = r"apiVersion: towpath/v1
kind: Site
metadata: {name: hamburg, labels: {country: de}}
spec: {region: main, description: The plant at the harbour}
";

    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.root_schema_for::<SiteStatus>())
    }

    fn check(&self, faults: &mut Faults) {
        check_description(&self.description, faults);
    }

    fn region(&self) -> Option<&RegionName> {
        Some(&self.region)
    }
}

pub(crate) fn check_description(text: &str, faults: &mut Faults) {
    faults.require(text.chars().count() <= LONGEST_DESCRIPTION, "spec.description", || {
        format!("is longer than {LONGEST_DESCRIPTION} characters")
    });
}
