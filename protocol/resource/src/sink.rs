//! Sinks: systems that are written.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::{ResourceName, SinkId};

use crate::adapter::AdapterName;
use crate::agent::AgentSpec;
use crate::api::SinkStatus;
use crate::fault::Faults;
use crate::hint::NameOf;
use crate::kind::Kind;
use crate::source::{check_adapter_kept, check_config, no_config};
use crate::spec::{Reference, Spec};

/// A system that an agent writes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sink")]
pub struct SinkSpec {
    /// The agent that writes it.
    #[schemars(with = "NameOf<AgentSpec>")]
    pub agent: ResourceName,
    /// The adapter that knows how, such as `sqlite`. It cannot be changed.
    pub adapter: AdapterName,
    /// The adapter's configuration; the agent checks it. Secrets are written as `${env:NAME}` or `${file:/path}`.
    #[serde(default = "no_config")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub config: Value,
}

impl Spec for SinkSpec {
    type Id = SinkId;
    const KIND: Kind = Kind::Sink;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("agent", "/spec/agent"),
        ("adapter", "/spec/adapter"),
        ("condition", "/status/condition"),
        ("guarantee", "/status/guarantee"),
        ("trouble", "/status/trouble/message"),
    ];
    const EXAMPLE: &'static str = r#"apiVersion: towpath/v1
kind: Sink
metadata: {name: warehouse}
spec:
  agent: cloud-1
  adapter: postgres
  config: {host: db.internal, database: warehouse, user: towpath, password: "${env:WAREHOUSE_PASSWORD}"}
"#;

    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.root_schema_for::<SinkStatus>())
    }

    fn check(&self, faults: &mut Faults) {
        check_config(&self.config, faults);
    }

    fn check_change(&self, before: &Self, faults: &mut Faults) {
        check_adapter_kept(Kind::Sink, &self.adapter, &before.adapter, faults);
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference { path: "spec.agent", kind: Kind::Agent, name: self.agent.clone() }]
    }
}
