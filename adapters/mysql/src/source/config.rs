//! What an admin may say about a MySQL source.

use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_adapter_api::config::with_nearest_key;
use towpath_adapter_api::{AdapterError, ErrorKind, Secret, ServerAddress, Tls};
use towpath_record::{ByteSize, ResourceName, StreamName, TimeSpan};

use super::kind::Reading;
use crate::server::Server;

const OF: &str = "mysql source configuration";
/// The server's own databases.
const OF_SERVER: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];
/// What the tables of a sink in the same server begin with; they are its own and not the application's.
const OF_SINKS: &str = "_towpath_";
/// Servers are numbered by hand from 1 upwards; sources take their numbers from here on.
const FIRST_SERVER_ID: u32 = 1 << 31;

/// How a MySQL or MariaDB source is set up. The server is named by `url`, or by `host` and its companions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Address of the server, `mysql://user:password@host:port/database`. Give the password as a reference,
    /// such as `${env:ERP_PASSWORD}`. With a database, its tables alone are read unless `tables` says else.
    #[serde(default)]
    pub url: Option<Secret>,
    /// Name or address of the server, in place of `url`.
    #[serde(default)]
    pub host: Option<String>,
    /// Port of the server. Default: 3306.
    #[serde(default)]
    pub port: Option<u16>,
    /// Name of the database. Default: none.
    #[serde(default)]
    pub database: Option<String>,
    /// The user to connect as. Required beside `host`.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, given as a reference such as `${file:/etc/erp/password}`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// Patterns of the tables that are read, as `database.table` with `*` and `?`. Default: every table of the
    /// database that is named, or of all.
    #[serde(default)]
    pub tables: Option<Vec<String>>,
    /// Patterns of tables that are left out though `tables` names them. Default: none.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Name of the stream of a table. `{schema}` and `{table}` stand for the names of database and table, with
    /// `_` in place of characters that a stream's name may not have. Default: `{schema}.{table}`.
    #[serde(default = "schema_and_table")]
    pub stream: String,
    /// The number by which the server knows this source among its replicas; no other may have it. Default: made
    /// of the source's name.
    #[serde(default)]
    pub server_id: Option<u32>,
    /// Whether the rows that are there at the start are copied first. Default: initial.
    #[serde(default)]
    pub snapshot: SnapshotMode,
    /// How the rows of a range are read for the copy. Default: auto.
    #[serde(default)]
    pub copy_reads: CopyReads,
    /// Most rows of a range. Default: 10000.
    #[serde(default = "default_range_rows")]
    pub range_rows: usize,
    /// Where the changes begin that a source without copy reads. Default: now.
    #[serde(default)]
    pub begin: Begin,
    /// What happens when the server no longer has the binlog that is needed. Default: stop.
    #[serde(default)]
    pub on_lost: OnLost,
    /// How dates that no calendar has are read, such as 0000-00-00. Default: null.
    #[serde(default)]
    pub zero_dates: ZeroDates,
    /// How columns of the type `time` are read. Default: clock.
    #[serde(default)]
    pub time: TimeMode,
    /// Most rows that are handed over at once. Default: 16384.
    #[serde(default = "default_batch_rows")]
    pub batch_rows: usize,
    /// Most bytes of values that are handed over at once, and of a range that is copied. Default: 4MiB.
    #[serde(default = "default_batch_bytes")]
    #[schemars(with = "String")]
    pub batch_bytes: ByteSize,
    /// How often an idle server says that it lives, and an idle source notes how far it has come. Default: 10s.
    #[serde(default = "default_heartbeat")]
    #[schemars(with = "String")]
    pub heartbeat: TimeSpan,
}

/// Whether the rows that are there at the start are copied first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMode {
    /// They are, and the changes follow without gap or repeat.
    #[default]
    Initial,
    /// They are not: only changes are read.
    Never,
}

/// How the rows of a range are read for the copy.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyReads {
    /// In a snapshot whose place in the binlog is known where the server has such (MariaDB with InnoDB), else
    /// locking.
    #[default]
    Auto,
    /// With the rows of a range locked against writers while that range is read.
    Locking,
}

/// Where the changes begin that a source without copy reads.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// At the end of the binlog.
    #[default]
    Now,
    /// At the beginning of the oldest binlog file that is still there.
    Oldest,
}

/// What happens when the server no longer has the binlog that is needed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// The source stops and waits for an admin.
    #[default]
    Stop,
    /// Each table is truncated in its stream and copied again.
    Resync,
}

/// How dates that no calendar has are read, such as 0000-00-00.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDates {
    /// As null.
    #[default]
    Null,
    /// All dates, with and without times, are read as text.
    Text,
    /// Their rows become dead letters.
    Refuse,
}

/// How columns of the type `time` are read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeMode {
    /// As times of day. A row with a time below 0 or of 24 hours and more becomes a dead letter.
    #[default]
    Clock,
    /// As spans of time.
    Interval,
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
        if config.server_id == Some(0) {
            return Err(invalid("server_id is a number from 1 to 4294967295"));
        }
        let sizes = [config.batch_rows == 0, config.batch_bytes.0 == 0, config.range_rows == 0];
        if sizes.contains(&true) || config.heartbeat.0 < Duration::from_millis(1) {
            return Err(invalid(
                "batch_rows, batch_bytes, range_rows and heartbeat must be more than nothing",
            ));
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

    /// The number of a source of this name among the server's replicas.
    pub(crate) fn server_id_of(&self, source: &ResourceName) -> u32 {
        // FNV-1a, which is the same in every build.
        let hash = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        self.server_id
            .unwrap_or_else(|| source.as_str().as_bytes().iter().fold(0x811c_9dc5, hash) | FIRST_SERVER_ID)
    }

    /// How some kinds of values are read.
    pub(crate) fn reading(&self) -> Reading {
        Reading { zero_dates: self.zero_dates, time: self.time }
    }

    /// The stream of a table.
    ///
    /// # Errors
    /// The name is too long for a stream.
    pub(crate) fn stream_of(&self, schema: &str, table: &str) -> Result<StreamName, AdapterError> {
        let name = self.stream.replace("{schema}", &plain(schema)).replace("{table}", &plain(table));
        StreamName::new(&name).map_err(|error| {
            invalid(format!(
                "table {schema}.{table} cannot have the stream `{name}`: {error}; correct `stream`"
            ))
        })
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
        let tables = config.tables.clone().unwrap_or_else(|| {
            let database = config.server().database().map(|name| globset::escape(&name));
            vec![format!("{}.*", database.as_deref().unwrap_or("*"))]
        });
        Ok(Self { include: set("tables", &tables)?, exclude: set("exclude", &config.exclude)? })
    }

    /// Whether the table `database.table` is read. Those of the server and of sinks are not.
    pub(crate) fn has(&self, schema: &str, table: &str) -> bool {
        let name = format!("{schema}.{table}");
        let is_ours = table.starts_with(OF_SINKS) || OF_SERVER.contains(&schema);
        !is_ours && self.include.is_match(&name) && !self.exclude.is_match(&name)
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

fn schema_and_table() -> String {
    "{schema}.{table}".to_owned()
}

const fn default_range_rows() -> usize {
    10_000
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(extra: &Value) -> Result<SourceConfig, AdapterError> {
        let mut config = json!({ "url": "mysql://u@h/erp" });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        SourceConfig::read(&config)
    }

    #[test]
    fn tables_are_chosen_by_pattern() {
        let wanted = |extra: &Value| Wanted::new(&config(extra).unwrap()).unwrap();
        let chosen = wanted(&json!({ "tables": ["sales.*", "crm.customer"], "exclude": ["sales.tmp_*"] }));
        assert!(chosen.has("sales", "orders") && chosen.has("crm", "customer"));
        assert!(!chosen.has("sales", "tmp_1") && !chosen.has("crm", "other"));
        let of_database = wanted(&json!({}));
        assert!(of_database.has("erp", "orders") && !of_database.has("crm", "orders"));
        assert!(!wanted(&json!({ "tables": ["*"] })).has("mysql", "user"));
    }

    #[test]
    fn a_source_has_a_number_of_its_own() {
        let of = |name: &str| config(&json!({})).unwrap().server_id_of(&ResourceName::new(name).unwrap());
        assert_eq!(of("erp"), of("erp"));
        assert_ne!(of("erp"), of("crm"));
        assert!(of("erp") >= FIRST_SERVER_ID);
        let given = config(&json!({ "server_id": 77 })).unwrap();
        assert_eq!(given.server_id_of(&ResourceName::new("erp").unwrap()), 77);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let said = |extra: &Value| config(extra).unwrap_err().message;
        assert!(said(&json!({ "tabels": [] })).contains("did you mean `tables`?"));
        assert!(said(&json!({ "stream": "all" })).contains("{table}"));
        assert!(said(&json!({ "tables": ["a[" ] })).contains("tables"));
        assert!(said(&json!({ "server_id": 0 })).contains("server_id"));
        assert!(said(&json!({ "range_rows": 0 })).contains("range_rows"));
    }
}
