//! What an admin may say about a SQLite source.

use std::path::PathBuf;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_adapter_api::config::with_nearest_key;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::{ByteSize, ResourceName, StreamName, TimeSpan};

const MOST_BATCH_BYTES: u64 = 4 << 20;

/// A database whose tables are read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceConfig {
    /// Path of the database file, which must be there. Required.
    #[schemars(with = "String")]
    pub(super) path: PathBuf,
    /// Globs of the tables to read, in any case. Default: every table.
    #[serde(default = "every_table")]
    pub(super) include: Vec<String>,
    /// Globs of tables to leave alone. Default: none.
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    /// The stream of a table. `{source}` stands for the name of the source and `{table}` for that of the table,
    /// in which `_` replaces what a stream's name may not contain. Default: `{source}.{table}`.
    #[serde(default = "source_and_table")]
    pub(super) stream: String,
    /// How changes are noticed. Default: triggers.
    #[serde(default)]
    pub(super) capture: Capture,
    /// For `polling`: the column that grows with every write to a row, in every table that is read. Default: none.
    #[serde(default)]
    pub(super) watermark: Option<String>,
    /// Globs of `table.column` whose values are read as text whatever their declared type, for columns that hold
    /// values of several kinds. Default: none.
    #[serde(default)]
    pub(super) text_columns: Vec<String>,
    /// For `triggers`: whether a changed row carries what it was before, in the column `_before`, and a deleted
    /// one all its values. While this is set, SQLite refuses `DROP COLUMN`. Default: false.
    #[serde(default)]
    pub(super) before: bool,
    /// How often the database is looked at. Default: `250ms`.
    #[serde(default = "quarter_second")]
    pub(super) poll: TimeSpan,
    /// How much is read at once.
    #[serde(default)]
    pub(super) batch: Batch,
    /// What happens when another database has taken the place of the one that was read, such as a restored
    /// backup. Default: stop.
    #[serde(default)]
    pub(super) on_replaced: OnReplaced,
    /// For `triggers`: removes everything that the source installed in the database, and reads no more. Set it
    /// before the source is deleted. Default: false.
    #[serde(default)]
    pub(super) uninstall: bool,
}

/// How changes are noticed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Capture {
    /// Triggers write them to a table in the same database.
    #[default]
    Triggers,
    /// Rows whose watermark has grown are read again. Nothing is written; deletes are not seen.
    Polling,
}

/// What happens when another database is found.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnReplaced {
    /// The source stops and says so.
    #[default]
    Stop,
    /// Every stream is emptied and filled again.
    CopyAgain,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Most rows. Default: 4096.
    #[serde(default = "default_rows")]
    pub(super) rows: usize,
    /// Most bytes, but for a single row that is larger; at most 4MiB. Default: 2MiB.
    #[serde(default = "default_bytes")]
    pub(super) bytes: ByteSize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: default_rows(), bytes: default_bytes() }
    }
}

/// Which tables and columns an admin meant.
pub(super) struct Choice {
    include: GlobSet,
    exclude: GlobSet,
    text_columns: GlobSet,
}

impl Choice {
    pub(super) fn takes_table(&self, table: &str) -> bool {
        self.include.is_match(table) && !self.exclude.is_match(table)
    }

    pub(super) fn takes_as_text(&self, table: &str, column: &str) -> bool {
        self.text_columns.is_match(format!("{table}.{column}"))
    }
}

impl SourceConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub(super) fn read(value: &Value) -> Result<Self, AdapterError> {
        let config = Self::deserialize(value).map_err(|e| invalid(with_nearest_key(&e.to_string())))?;
        config.check().map_err(invalid)?;
        config.choice()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.path.as_os_str().is_empty() {
            return Err("path is empty; give the path of the database file".to_owned());
        }
        match (self.capture, &self.watermark) {
            (Capture::Polling, None) => {
                return Err("`capture: polling` needs a `watermark` column".to_owned());
            }
            (Capture::Triggers, Some(_)) => {
                return Err("`watermark` is for `capture: polling`".to_owned());
            }
            _ => {}
        }
        if self.capture == Capture::Polling && (self.before || self.uninstall) {
            return Err("`before` and `uninstall` are for `capture: triggers`".to_owned());
        }
        if self.batch.rows == 0 || self.batch.bytes.0 == 0 || self.batch.bytes.0 > MOST_BATCH_BYTES {
            return Err("`batch` needs at least one row, and bytes of 1 to 4MiB".to_owned());
        }
        if !self.stream.contains("{table}") {
            return Err("`stream` must contain {table}, for each table has a stream of its own".to_owned());
        }
        self.stream_of("x", "x").map(drop)
    }

    /// The globs, compiled.
    pub(super) fn choice(&self) -> Result<Choice, AdapterError> {
        Ok(Choice {
            include: globs("include", &self.include)?,
            exclude: globs("exclude", &self.exclude)?,
            text_columns: globs("text_columns", &self.text_columns)?,
        })
    }

    /// The stream of a table.
    ///
    /// # Errors
    /// In words, why there can be none.
    pub(super) fn stream_of(&self, source: &str, table: &str) -> Result<StreamName, String> {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let table: String = table.chars().map(allowed).collect();
        let name = self.stream.replace("{source}", source).replace("{table}", &table);
        StreamName::new(name).map_err(|error| format!("`stream` gives no name: {error}"))
    }

    /// A stream for what belongs to no table.
    pub(super) fn stream_of_source(&self, source: &ResourceName) -> Result<StreamName, AdapterError> {
        StreamName::new(source.as_str()).map_err(|error| invalid(error.to_string()))
    }
}

fn globs(key: &str, globs: &[String]) -> Result<GlobSet, AdapterError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let built = GlobBuilder::new(glob).case_insensitive(true).build();
        set.add(built.map_err(|error| invalid(format!("`{key}`: {error}")))?);
    }
    set.build().map_err(|error| invalid(format!("`{key}`: {error}")))
}

fn invalid(message: String) -> AdapterError {
    AdapterError::new(ErrorKind::Config, "sqlite source configuration", message)
}

fn every_table() -> Vec<String> {
    vec!["*".to_owned()]
}

fn source_and_table() -> String {
    "{source}.{table}".to_owned()
}

const fn quarter_second() -> TimeSpan {
    TimeSpan(Duration::from_millis(250))
}

const fn default_rows() -> usize {
    4_096
}

const fn default_bytes() -> ByteSize {
    ByteSize(2 << 20)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(value: &Value) -> String {
        SourceConfig::read(value).unwrap_err().to_string()
    }

    #[test]
    fn a_path_is_all_that_must_be_said() {
        let config = SourceConfig::read(&json!({ "path": "crm.db" })).unwrap();
        assert_eq!(config.stream_of("crm", "Order items").unwrap().as_str(), "crm.Order_items");
        assert!(config.choice().unwrap().takes_table("orders"));
        assert_eq!((config.capture, config.on_replaced), (Capture::Triggers, OnReplaced::Stop));
    }

    #[test]
    fn tables_are_chosen_in_any_case_and_exclusion_wins() {
        let config =
            json!({ "path": "a", "include": ["ord*"], "exclude": ["*_old"], "text_columns": ["*.mix"] });
        let choice = SourceConfig::read(&config).unwrap().choice().unwrap();
        assert!(choice.takes_table("Orders") && !choice.takes_table("orders_OLD"));
        assert!(!choice.takes_table("people"));
        assert!(choice.takes_as_text("orders", "mix") && !choice.takes_as_text("orders", "id"));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        assert!(refusal(&json!({ "path": "a", "watermrk": "x" })).ends_with("did you mean `watermark`?"));
        assert!(refusal(&json!({ "path": "a", "capture": "polling" })).contains("`watermark`"));
        assert!(refusal(&json!({ "path": "a", "watermark": "x" })).contains("`capture: polling`"));
        assert!(refusal(&json!({ "path": "a", "stream": "all" })).contains("{table}"));
        assert!(refusal(&json!({ "path": "a", "stream": "a b.{table}" })).contains("`stream`"));
        assert!(refusal(&json!({ "path": "a", "include": ["{"] })).contains("`include`"));
        assert!(refusal(&json!({ "path": "a", "batch": { "rows": 0 } })).contains("`batch`"));
    }
}
