//! How a control plane is set up: one YAML file, every field of which has a default.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use towpath_log::Retention;
use towpath_record::{ByteSize, RegionName, TimeSpan};

use crate::api::ApiSettings;
use crate::egress::Allowed;

/// The configuration file of a control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// The region whose log this control plane keeps. Default: `main`.
    pub region: RegionName,
    /// Further regions in which sites may stand. Their agents may write sinks; sources need a region whose log is kept.
    /// Default: none.
    pub sink_regions: BTreeSet<RegionName>,
    /// Host names and addresses by which admins reach the API, beside `localhost` and the host's own name. They go
    /// into the server's certificate. Default: none.
    pub names: Vec<String>,
    /// The region log.
    pub log: LogSettings,
    /// The certificates of agents.
    pub certificates: CertificateSettings,
    /// The admin API.
    pub api: ApiSettings,
    /// Who is let into the API.
    pub access: AccessSettings,
    /// Where requests go out to.
    pub egress: EgressSettings,
    /// The audit trail.
    pub audit: AuditSettings,
}

/// How the audit trail is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Events older than this are removed, in parts of about an eighth of it. Default: none; they are kept for ever.
    pub retention: Option<TimeSpan>,
    /// At the latest so long after something happened it is signed; also at each start and stop, and after 1,000 events.
    /// Default: `10m`.
    pub checkpoint_every: TimeSpan,
}

/// How the region log is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Size of one segment file. Default: `64MiB`.
    pub segment_bytes: ByteSize,
    /// Frames older than this are removed once every route has delivered them. Default: `7d`.
    pub retention_age: TimeSpan,
    /// The log's size above which oldest frames are removed. Default: `50GiB`.
    pub retention_bytes: ByteSize,
    /// Whether frames that a route has not delivered are removed too. If not, a log at its limit takes no more, and
    /// sources wait. Default: `false`.
    pub drop_undelivered: bool,
}

/// How long agents' certificates live.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateSettings {
    /// Life of an agent's certificate; it renews itself at two thirds of it. An agent that is away for longer than
    /// the last third must be enrolled anew. Default: `7d`.
    pub agent_ttl: TimeSpan,
}

/// Who is let into the API, and for how long.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSettings {
    /// Longest life of a key. Keys made before it was set live on as they were made. Default: none, so that a key may
    /// live until it is revoked.
    pub key_max_ttl: Option<TimeSpan>,
    /// How old a token of an identity provider may be, however long it says that it holds. Default: as long as it says.
    pub max_token_age: Option<TimeSpan>,
}

/// Where requests go out to: to identity providers, and to whatever else resources name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSettings {
    /// Networks, addresses and hosts that requests may go to though they are not public. Default: none.
    pub allow: Vec<Allowed>,
    /// A file with certificates of authorities, PEM, that are trusted beside those that this machine trusts. Default: none.
    pub ca_file: Option<PathBuf>,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            region: RegionName::main(),
            sink_regions: BTreeSet::new(),
            names: Vec::new(),
            log: LogSettings::default(),
            certificates: CertificateSettings::default(),
            api: ApiSettings::default(),
            access: AccessSettings::default(),
            audit: AuditSettings::default(),
            egress: EgressSettings::default(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            segment_bytes: ByteSize(64 << 20),
            retention_age: TimeSpan(Duration::from_secs(7 * 86_400)),
            retention_bytes: ByteSize(50 << 30),
            drop_undelivered: false,
        }
    }
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { retention: None, checkpoint_every: TimeSpan(Duration::from_secs(600)) }
    }
}

impl Default for CertificateSettings {
    fn default() -> Self {
        Self { agent_ttl: TimeSpan(Duration::from_secs(7 * 86_400)) }
    }
}

impl LogSettings {
    /// What the log shall keep.
    pub fn retention(&self) -> Retention {
        Retention {
            age: Some(self.retention_age.0),
            bytes: Some(self.retention_bytes.0),
            drop_undelivered: self.drop_undelivered,
        }
    }
}

impl ControlConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is not valid; the message names the line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_saphyr::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }
}
