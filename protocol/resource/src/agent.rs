//! Agents: the processes that touch systems.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use towpath_record::{AgentId, ResourceName};

use crate::api::AgentStatus;
use crate::fault::Faults;
use crate::hint::NameOf;
use crate::kind::Kind;
use crate::site::{LONGEST_DESCRIPTION, SiteSpec, check_description};
use crate::spec::{Reference, Spec};

/// One installed agent. It comes into being by enrolment, with a token from `towpath token create`; afterwards its
/// labels and description can be changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Agent")]
pub struct AgentSpec {
    /// The site it stands at, set by the token it enrolled with. It is written into the agent's certificate and cannot
    /// be changed.
    #[schemars(with = "NameOf<SiteSpec>")]
    pub site: ResourceName,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

impl Spec for AgentSpec {
    type Id = AgentId;
    const KIND: Kind = Kind::Agent;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("site", "/spec/site"),
        ("condition", "/status/condition"),
        ("version", "/status/version"),
        ("trouble", "/status/trouble/message"),
    ];
    const EXAMPLE: &'static str = r"apiVersion: towpath/v1
kind: Agent
metadata: {name: hamburg-1, labels: {rack: b4}}
spec: {site: hamburg, description: The machine beside the ERP}
";

    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.root_schema_for::<AgentStatus>())
    }

    fn check(&self, faults: &mut Faults) {
        check_description(&self.description, faults);
    }

    fn check_change(&self, before: &Self, faults: &mut Faults) {
        faults.require(self.site == before.site, "spec.site", || {
            format!(
                "is `{}` by the agent's certificate; enrol it anew to move it to another site",
                before.site
            )
        });
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference { path: "spec.site", kind: Kind::Site, name: self.site.clone() }]
    }
}
