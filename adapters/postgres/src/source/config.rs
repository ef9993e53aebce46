//! What an admin may say about a PostgreSQL source.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_adapter_api::config::with_nearest_key;
use towpath_adapter_api::{AdapterError, ErrorKind, Secret, ServerAddress, Tls};
use towpath_record::{ByteSize, ResourceName, StreamName, TimeSpan};

use crate::position::CHECKPOINT_TABLE;
use crate::server::Server;

const OF: &str = "postgres source configuration";
/// What PostgreSQL cuts names to, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// How a PostgreSQL source is set up. The server is named by `url`, or by `host` and its companions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Address of the database, `postgres://user:password@host:port/database`. Give the password as a
    /// reference, such as `${env:ERP_PASSWORD}`.
    #[serde(default)]
    pub url: Option<Secret>,
    /// Name or address of the server, in place of `url`.
    #[serde(default)]
    pub host: Option<String>,
    /// Port of the server. Default: 5432.
    #[serde(default)]
    pub port: Option<u16>,
    /// Name of the database. Default: the user's name.
    #[serde(default)]
    pub database: Option<String>,
    /// The user to connect as, with the attribute `REPLICATION`. Required beside `host`.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, given as a reference such as `${file:/etc/erp/password}`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// Patterns of the tables that are read, as `schema.table` with `*` and `?`. Default: `*`, every table.
    #[serde(default = "every_table")]
    pub tables: Vec<String>,
    /// Patterns of tables that are left out though `tables` names them. Default: none.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Name of the stream of a table. `{schema}` and `{table}` stand for its names, with `_` in place of
    /// characters that a stream's name may not have. Default: `{schema}.{table}`.
    #[serde(default = "schema_and_table")]
    pub stream: String,
    /// Name of the replication slot. Default: `towpath_` and the source's name, with `_` in place of `-`.
    #[serde(default)]
    pub slot: Option<String>,
    /// Name of the publication. Default: the slot's name.
    #[serde(default)]
    pub publication: Option<String>,
    /// Whether a missing slot or publication is created. Default: true.
    #[serde(default = "yes")]
    pub create: bool,
    /// Whether a slot that is made is also kept at standbys, so that it is there after a failover. PostgreSQL 17
    /// or later, and standbys that are set up for it (`sync_replication_slots`). Default: false.
    #[serde(default)]
    pub failover: bool,
    /// Whether the rows that are there at the start are copied first. Default: initial.
    #[serde(default)]
    pub snapshot: SnapshotMode,
    /// Tables that are to be copied again while changes flow: `schema.table` and a number. Each time the number
    /// grows, the table is truncated at the sinks and copied once. Default: none.
    #[serde(default)]
    pub resync: BTreeMap<String, u64>,
    /// How `numeric(p,s)` of at most 38 digits is read. Default: decimal.
    #[serde(default)]
    pub numeric: NumericMode,
    /// Whether records of tables with `REPLICA IDENTITY FULL` tell the row before an update or a delete, in the
    /// column `_before`. Default: false.
    #[serde(default)]
    pub before: bool,
    /// Most rows that are handed over at once. Default: 16384.
    #[serde(default = "default_batch_rows")]
    pub batch_rows: usize,
    /// Most bytes of values that are handed over at once. Default: 4MiB.
    #[serde(default = "default_batch_bytes")]
    #[schemars(with = "String")]
    pub batch_bytes: ByteSize,
    /// How often an idle source notes how far the server has come, so that the slot can advance. Default:
    /// 10s.
    #[serde(default = "default_heartbeat")]
    #[schemars(with = "String")]
    pub heartbeat: TimeSpan,
    /// How much log the slot may keep from being removed at the server. More is answered as `on_slot_lag` says;
    /// one looks at each heartbeat. Default: 1GiB.
    #[serde(default = "default_max_slot_lag")]
    #[schemars(with = "String")]
    pub max_slot_lag_bytes: ByteSize,
    /// What happens when the slot keeps more than `max_slot_lag_bytes`. Default: warn.
    #[serde(default)]
    pub on_slot_lag: OnSlotLag,
    /// The folder for large transactions that are not committed yet; their files have no name and vanish
    /// with the agent. Default: the system's folder for temporary files.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub spill_folder: Option<PathBuf>,
}

/// Whether the rows that are there at the start are copied first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMode {
    /// They are, and the changes follow without gap or repeat.
    #[default]
    Initial,
    /// They are not: only what is committed from the slot's beginning on is read.
    Never,
}

/// What happens when the slot keeps too much log at the server.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSlotLag {
    /// A warning is logged; the server keeps what the source has not read.
    #[default]
    Warn,
    /// The other sources of the agent wait, so that this one has the spool, the link and the processor, until the slot
    /// keeps half of that or less. They lose nothing. A source that lags in the same way does not wait.
    PauseOthers,
    /// The slot is dropped, so that the server can remove its log, and a new one made when the agent has room
    /// again; the tables are truncated at the sinks and copied anew. A slot that was lost is answered so too.
    /// While tables are copied, a warning is logged instead.
    DropAndResync,
}

/// How `numeric(p,s)` of at most 38 digits is read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumericMode {
    /// As a decimal number. A row with `NaN`, which a decimal cannot be, becomes a dead letter.
    #[default]
    Decimal,
    /// As its text.
    Text,
}

impl SourceConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub fn read(value: &Value) -> Result<Self, AdapterError> {
        let config = Self::deserialize(value).map_err(|e| invalid(with_nearest_key(&e.to_string())))?;
        config.server().check()?;
        Wanted::new(&config)?;
        let literal = config.stream.replace("{schema}", "").replace("{table}", "");
        if !config.stream.contains("{table}") || literal.contains(['{', '}']) {
            let stream = &config.stream;
            return Err(invalid(format!(
                "stream `{stream}` does not tell tables apart; it needs {{table}}, and may have {{schema}}"
            )));
        }
        for (key, name) in [("slot", &config.slot), ("publication", &config.publication)] {
            if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME_BYTES) {
                return Err(invalid(format!("{key} has a name of 1 to {MAX_NAME_BYTES} bytes")));
            }
        }
        let resyncs = config.on_slot_lag == OnSlotLag::DropAndResync;
        if resyncs && (config.snapshot == SnapshotMode::Never || !config.create) {
            return Err(invalid(
                "on_slot_lag: drop_and_resync makes a new slot and copies anew; it needs `snapshot: initial` and \
                 `create: true`",
            ));
        }
        if config.batch_rows == 0 || config.batch_bytes.0 == 0 || config.heartbeat.0.is_zero() {
            return Err(invalid("batch_rows, batch_bytes and heartbeat must be more than nothing"));
        }
        Ok(config)
    }

    /// The server that it names.
    pub(crate) fn server(&self) -> Server {
        Server(ServerAddress {
            of: OF,
            url: self.url.clone(),
            host: self.host.clone(),
            port: self.port,
            database: self.database.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            tls: self.tls.clone(),
        })
    }

    /// The same with the names of slot and publication that a source of this name has.
    pub(crate) fn of_source(mut self, source: &ResourceName) -> Self {
        let slot = self.slot_of(source);
        self.publication = Some(self.publication_of(&slot));
        self.slot = Some(slot);
        self
    }

    /// The slot of a source of this name. PostgreSQL takes lower-case letters, digits and `_`.
    pub(crate) fn slot_of(&self, source: &ResourceName) -> String {
        self.slot.clone().unwrap_or_else(|| {
            let mut slot = format!("towpath_{}", source.as_str().replace('-', "_"));
            slot.truncate(MAX_NAME_BYTES);
            slot
        })
    }

    /// The publication that goes with `slot`.
    pub(crate) fn publication_of(&self, slot: &str) -> String {
        self.publication.clone().unwrap_or_else(|| slot.to_owned())
    }

    /// The stream of a table.
    ///
    /// # Errors
    /// The name is too long for a stream.
    pub(crate) fn stream_of(&self, schema: &str, table: &str) -> Result<StreamName, AdapterError> {
        let name = self.stream.replace("{schema}", &plain(schema)).replace("{table}", &plain(table));
        StreamName::new(name)
            .map_err(|error| invalid(format!("table {schema}.{table}: {error}; set `stream`")))
    }
}

/// A name with `_` in place of what a stream's name may not have.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

/// Which tables are read.
pub(crate) struct Wanted {
    include: GlobSet,
    exclude: GlobSet,
}

impl Wanted {
    /// The tables that a configuration asks for.
    ///
    /// # Errors
    /// A pattern cannot be read.
    pub(crate) fn new(config: &SourceConfig) -> Result<Self, AdapterError> {
        Ok(Self { include: set("tables", &config.tables)?, exclude: set("exclude", &config.exclude)? })
    }

    /// Whether the table `schema.table` is read. The checkpoints of a sink in the same database are not.
    pub(crate) fn has(&self, table: &str) -> bool {
        let is_ours = table.rsplit_once('.').is_some_and(|(_, name)| name == CHECKPOINT_TABLE);
        !is_ours && self.include.is_match(table) && !self.exclude.is_match(table)
    }
}

fn set(key: &str, patterns: &[String]) -> Result<GlobSet, AdapterError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|e| invalid(format!("{key}: {e}")))?);
    }
    set.build().map_err(|e| invalid(format!("{key}: {e}")))
}

fn invalid(message: impl Into<String>) -> AdapterError {
    AdapterError::new(ErrorKind::Config, OF, message)
}

fn every_table() -> Vec<String> {
    vec!["*".to_owned()]
}

fn schema_and_table() -> String {
    "{schema}.{table}".to_owned()
}

const fn yes() -> bool {
    true
}

const fn default_batch_rows() -> usize {
    16_384
}

const fn default_batch_bytes() -> ByteSize {
    ByteSize(4 << 20)
}

const fn default_heartbeat() -> TimeSpan {
    TimeSpan(Duration::from_secs(10))
}

const fn default_max_slot_lag() -> ByteSize {
    ByteSize(1 << 30)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(extra: &Value) -> Result<SourceConfig, AdapterError> {
        let mut config = json!({ "url": "postgres://u@h/d" });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        SourceConfig::read(&config)
    }

    #[test]
    fn tables_are_chosen_by_pattern() {
        let config = config(&json!({ "tables": ["sales.*", "public.customer"], "exclude": ["sales.tmp_*"] }));
        let wanted = Wanted::new(&config.unwrap()).unwrap();
        let has = |table| wanted.has(table);
        assert!(has("sales.orders") && has("public.customer"));
        assert!(!has("sales.tmp_1") && !has("public.other"));
    }

    #[test]
    fn a_stream_is_named_after_its_table_without_what_a_stream_may_not_have() {
        let config = config(&json!({})).unwrap();
        assert_eq!(config.stream_of("public", "Order lines").unwrap().as_str(), "public.Order_lines");
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let said = |extra: &Value| config(extra).unwrap_err().message;
        assert!(said(&json!({ "tabels": [] })).contains("did you mean `tables`?"));
        assert!(said(&json!({ "stream": "all" })).contains("{table}"));
        assert!(said(&json!({ "tables": ["a[" ] })).contains("tables"));
        assert!(said(&json!({ "batch_rows": 0 })).contains("batch_rows"));
        let resyncs = json!({ "on_slot_lag": "drop_and_resync", "snapshot": "never" });
        assert!(said(&resyncs).contains("snapshot: initial"));
    }
}
