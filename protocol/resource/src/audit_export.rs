//! Audit exports: places that the audit trail is copied to.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

use crate::api::ExportStatus;
use crate::fault::Faults;
use crate::id::AuditExportId;
use crate::kind::Kind;
use crate::secret::{SecretReference, check_reference};
use crate::site::{LONGEST_DESCRIPTION, check_description};
use crate::spec::Spec;

const LONGEST_ADDRESS: usize = 1_024;
/// HOST:PORT, with a port that there can be.
const HOST_AND_PORT: &str =
    r"^(.|\n)+:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})$";

/// Copies the audit trail to another place, every event at least once and in order, from where it stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuditExport")]
pub struct AuditExportSpec {
    /// The place.
    pub target: ExportTarget,
    /// Whether the copying rests. Nothing is lost meanwhile that the trail retains. Default: false.
    #[serde(default)]
    pub paused: bool,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

/// Where to: `{file: {name: audit}}`, `{syslog: {address: logs.example.com:6514, transport: tls}}` or
/// `{webhook: {url: https://…, secret: ${env:NAME}}}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExportTarget {
    /// A file of JSON lines in the control plane's directory `audit-exports`.
    File {
        /// The file's name, to which `.jsonl` is added.
        name: ResourceName,
    },
    /// A syslog receiver (RFC 5424).
    Syslog {
        /// Its address, as HOST:PORT.
        #[schemars(regex(pattern = HOST_AND_PORT), length(max = LONGEST_ADDRESS))]
        address: String,
        /// The way there. Default: `tls`.
        #[serde(default)]
        transport: SyslogTransport,
    },
    /// An HTTPS receiver, to which signed batches of JSON lines are posted (Standard Webhooks).
    Webhook {
        /// Its address.
        #[schemars(regex(pattern = "^https://[^@ #]*$"), length(max = LONGEST_ADDRESS))]
        url: String,
        /// The key of the signature (HMAC-SHA256), as `${env:NAME}` or `${file:/path}` on the control plane's machine.
        #[schemars(with = "SecretReference")]
        secret: String,
    },
}

/// The way to a syslog receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyslogTransport {
    /// TLS over TCP (RFC 5425).
    #[default]
    Tls,
    /// TCP with octet counting (RFC 6587).
    Tcp,
    /// UDP (RFC 5426): what is lost on the way is not noticed.
    Udp,
}

impl Spec for AuditExportSpec {
    type Id = AuditExportId;
    const KIND: Kind = Kind::AuditExport;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("paused", "/spec/paused"),
        ("sent", "/status/sent"),
        ("trouble", "/status/trouble"),
        ("description", "/spec/description"),
    ];
    const EXAMPLE: &'static str = r#"apiVersion: towpath/v1
kind: AuditExport
metadata: {name: siem}
spec: {target: {syslog: {address: "logs.example.com:6514", transport: tls}}}
"#;

    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.root_schema_for::<ExportStatus>())
    }

    fn check(&self, faults: &mut Faults) {
        match &self.target {
            ExportTarget::File { .. } => {}
            ExportTarget::Syslog { address, .. } => {
                let port = address.rsplit_once(':').and_then(|(host, port)| {
                    port.parse::<u16>().ok().filter(|_| !host.is_empty() && address.len() <= LONGEST_ADDRESS)
                });
                faults.require(port.is_some(), "spec.target.syslog.address", || {
                    "is not HOST:PORT, such as logs.example.com:6514".to_owned()
                });
            }
            ExportTarget::Webhook { url, secret } => {
                let plain = url.starts_with("https://") && !url.contains(['@', ' ', '#']);
                faults.require(plain && url.len() <= LONGEST_ADDRESS, "spec.target.webhook.url", || {
                    "is not an address such as https://example.com/hook, without user and fragment".to_owned()
                });
                check_reference(secret, "spec.target.webhook.secret", "control plane", faults);
            }
        }
        check_description(&self.description, faults);
    }
}
