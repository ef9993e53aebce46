//! Sources: systems that are read.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::limits::MAX_FRAME_ROWS;
use towpath_record::{ByteSize, ResourceName, SourceId, TimeSpan};

use crate::adapter::AdapterName;
use crate::agent::AgentSpec;
use crate::api::SourceStatus;
use crate::fault::Faults;
use crate::hint::NameOf;
use crate::kind::Kind;
use crate::secret::refuse_written_secrets;
use crate::spec::{Reference, Spec};

/// Largest configuration of an adapter, as JSON, in bytes.
pub(crate) const MAX_CONFIG_BYTES: usize = 64 << 10;
/// A batch must fit into a frame even if it does not compress.
const MAX_CAPTURE_BYTES: u64 = 8 << 20;
const MIN_CAPTURE_BYTES: u64 = 4 << 10;
const MAX_LINGER: Duration = Duration::from_secs(60);

/// A system that an agent reads.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
pub struct SourceSpec {
    /// The agent that reads it.
    #[schemars(with = "NameOf<AgentSpec>")]
    pub agent: ResourceName,
    /// The adapter that knows how, such as `file`. It cannot be changed.
    pub adapter: AdapterName,
    /// The adapter's configuration; the agent checks it. Secrets are written as `${env:NAME}` or `${file:/path}`.
    #[serde(default = "no_config")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub config: Value,
    /// How records are gathered into frames.
    #[serde(default)]
    pub capture: Capture,
    /// When the source may forget what was read. Default: `log`.
    #[serde(default)]
    pub release: ReleaseWhen,
}

/// How records are gathered into frames. A frame is sealed when it is full, or when it may leave as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// Most rows of a frame, 1 to 1048576. Default: 16384.
    #[schemars(range(min = 1, max = MAX_FRAME_ROWS))]
    pub max_rows: u32,
    /// Most bytes of a frame's rows in memory, 4KiB to 8MiB. Default: `4MiB`.
    pub max_bytes: ByteSize,
    /// How long after a frame the next one leaves that is not full, at most `1m`. Rows that come after a longer rest
    /// leave at once. A longer one makes fewer and larger frames, for a sink that is far from its agent or for less
    /// disk. Default: `5ms`.
    pub linger: TimeSpan,
}

/// When the source may forget what was read: archive the file, advance the slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseWhen {
    /// When the region's log has it durably: losing the agent's disk loses nothing.
    #[default]
    Log,
    /// When the agent's spool has it durably: the source is freed during long outages, at the price of trusting the
    /// agent's disk.
    Spool,
}

impl Default for Capture {
    fn default() -> Self {
        Self { max_rows: 16_384, max_bytes: ByteSize(4 << 20), linger: TimeSpan(Duration::from_millis(5)) }
    }
}

impl Spec for SourceSpec {
    type Id = SourceId;
    const KIND: Kind = Kind::Source;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("agent", "/spec/agent"),
        ("adapter", "/spec/adapter"),
        ("condition", "/status/condition"),
        ("records", "/status/logged/records"),
        ("trouble", "/status/trouble/message"),
    ];
    const EXAMPLE: &'static str = r"apiVersion: towpath/v1
kind: Source
metadata: {name: erp-orders}
spec:
  agent: hamburg-1
  adapter: file
  config: {path: /srv/erp/out, format: csv}
  capture: {linger: 50ms}
";

    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.root_schema_for::<SourceStatus>())
    }

    fn check(&self, faults: &mut Faults) {
        let Capture { max_rows, max_bytes, linger } = &self.capture;
        faults.require((1..=MAX_FRAME_ROWS).contains(&(*max_rows as usize)), "spec.capture.max_rows", || {
            format!("is {max_rows}; it may be 1 to {MAX_FRAME_ROWS}")
        });
        let bytes = MIN_CAPTURE_BYTES..=MAX_CAPTURE_BYTES;
        faults.require(bytes.contains(&max_bytes.0), "spec.capture.max_bytes", || {
            format!("is {max_bytes}; it may be {} to {}", ByteSize(*bytes.start()), ByteSize(*bytes.end()))
        });
        faults.require(linger.0 <= MAX_LINGER, "spec.capture.linger", || {
            format!("is {linger}; it may be at most {}", TimeSpan(MAX_LINGER))
        });
        check_config(&self.config, faults);
    }

    fn check_change(&self, before: &Self, faults: &mut Faults) {
        check_adapter_kept(Kind::Source, &self.adapter, &before.adapter, faults);
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference { path: "spec.agent", kind: Kind::Agent, name: self.agent.clone() }]
    }
}

pub(crate) fn no_config() -> Value {
    Value::Object(serde_json::Map::new())
}

pub(crate) fn check_config(config: &Value, faults: &mut Faults) {
    if !config.is_object() {
        faults.add("spec.config", "must be a mapping of the adapter's settings");
        return;
    }
    let bytes = config.to_string().len();
    faults.require(bytes <= MAX_CONFIG_BYTES, "spec.config", || {
        format!("has {bytes} bytes as JSON; at most {MAX_CONFIG_BYTES} are allowed")
    });
    refuse_written_secrets(config, "spec.config", faults);
}

pub(crate) fn check_adapter_kept(kind: Kind, now: &AdapterName, before: &AdapterName, faults: &mut Faults) {
    faults.require(now == before, "spec.adapter", || {
        format!("is `{before}` and cannot be changed, since its positions mean nothing to another; create another {kind}")
    });
}
