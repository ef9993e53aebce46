//! What an admin may say about a SQLite sink.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_adapter_api::config::with_nearest_key;
use towpath_adapter_api::mode::DELETED_AT_COLUMN;
use towpath_adapter_api::{AdapterError, ErrorKind, Mode, OnConflict};
use towpath_record::{StreamName, TimeSpan};

use crate::position::CHECKPOINT_TABLE;

/// How a SQLite sink is set up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Path of the database file. The file is created when it is missing; its folder must be there.
    pub path: PathBuf,
    /// Name of the table that a stream is written to. `{stream}` stands for the stream's name with `_` in
    /// place of dots. Default: `{stream}`.
    #[serde(default = "stream_table")]
    pub table: String,
    /// How rows are written. Default: `upsert` for a stream with a key, `append` for one without.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Name of the column that notes when a row was deleted, in mode `soft_delete`. Default: `_deleted_at`.
    #[serde(default)]
    pub deleted_at: Option<String>,
    /// What is done with a row that a constraint of the table refuses. Default: `dead_letter`.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// Whether a missing table is created. Default: true.
    #[serde(default = "yes")]
    pub create: bool,
    /// Whether a column that the table lacks is added. Default: true.
    #[serde(default = "yes")]
    pub alter: bool,
    /// How long to wait for another process that writes the database. Default: `10s`.
    #[serde(default = "ten_seconds")]
    pub busy_timeout: TimeSpan,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub fn read(value: &Value) -> Result<Self, AdapterError> {
        let config = Self::deserialize(value).map_err(|e| invalid(with_nearest_key(&e.to_string())))?;
        let literal = config.table.replace("{stream}", "");
        if config.table.is_empty() || literal.contains(['{', '}']) || literal.chars().any(char::is_control) {
            let table = &config.table;
            return Err(invalid(format!(
                "table `{table}` is not a table name; only {{stream}} is filled in"
            )));
        }
        if config.path.as_os_str().is_empty() {
            return Err(invalid("path is empty; give the path of the database file".to_owned()));
        }
        for (prefix, owner) in [(CHECKPOINT_TABLE, "Towpath"), ("sqlite_", "SQLite")] {
            if config.table.to_ascii_lowercase().starts_with(prefix) {
                return Err(invalid(format!(
                    "table `{}` is reserved for {owner}; choose another",
                    config.table
                )));
            }
        }
        let unused = config.deleted_at.is_some() && config.mode != Some(Mode::SoftDelete);
        if unused || config.deleted_at.as_deref() == Some("") {
            return Err(invalid(
                "deleted_at names a column of mode `soft_delete`; set that mode, or leave it out".to_owned(),
            ));
        }
        Ok(config)
    }

    /// The column that notes when a row was deleted.
    pub(crate) fn deleted_at(&self) -> &str {
        self.deleted_at.as_deref().unwrap_or(DELETED_AT_COLUMN)
    }

    /// The table that a stream is written to.
    pub(crate) fn table_of(&self, stream: &StreamName) -> String {
        self.table.replace("{stream}", &stream.as_str().replace('.', "_"))
    }
}

fn invalid(message: String) -> AdapterError {
    AdapterError::new(ErrorKind::Config, "sqlite sink configuration", message)
}

fn stream_table() -> String {
    "{stream}".to_owned()
}

const fn yes() -> bool {
    true
}

const fn ten_seconds() -> TimeSpan {
    TimeSpan(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(value: &Value) -> String {
        Config::read(value).unwrap_err().to_string()
    }

    #[test]
    fn a_path_is_all_that_must_be_said() {
        let config = Config::read(&json!({ "path": "erp.db" })).unwrap();
        assert_eq!(config.table_of(&StreamName::new("erp.orders").unwrap()), "erp_orders");
        assert_eq!((config.mode, config.create, config.alter), (None, true, true));
        assert_eq!(config.busy_timeout, ten_seconds());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let said = refusal(&json!({ "path": "erp.db", "busy_timout": "1s" }));
        assert!(said.ends_with("did you mean `busy_timeout`?"), "{said}");
    }

    #[test]
    fn a_column_for_deletions_belongs_to_the_mode_that_has_one() {
        let said = refusal(&json!({ "path": "erp.db", "mode": "history", "deleted_at": "gone" }));
        assert!(said.contains("`soft_delete`"), "{said}");
        let config = json!({ "path": "erp.db", "mode": "soft_delete", "deleted_at": "gone" });
        assert_eq!(Config::read(&config).unwrap().deleted_at(), "gone");
    }

    #[test]
    fn a_table_that_cannot_be_named_is_refused() {
        for table in ["", "{strem}", "orders_{date}", "_towpath_checkpoint", "SQLITE_orders"] {
            let said = refusal(&json!({ "path": "erp.db", "table": table }));
            assert!(said.contains("table"), "{said}");
        }
    }
}
