//! What an admin may say about a source of queries.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use towpath_adapter_api::config::with_nearest_key;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::{ByteSize, ResourceName, StreamName, TimeSpan};

use crate::mark::Overlap;
use crate::schedule::{Schedule, ScheduleConfig};

/// Most queries of one source: each needs its part of the position.
const MOST_QUERIES: usize = 32;
const MOST_BATCH_BYTES: u64 = 4 << 20;
const OF: &str = "query source configuration";

/// A database, and the queries that are run there on a schedule.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "C: DeserializeOwned")]
pub struct QueryConfig<C> {
    /// The database, and how it is reached. Required.
    pub connection: C,
    /// The queries, each with a stream of its own: 1 to 32. Required.
    pub queries: Vec<Query>,
    /// When the queries run. Default: every minute.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// What happens with runs that were due while the agent was away; the first run counts as one. However many
    /// were missed, one is made up for. Default: `run_once`.
    #[serde(default)]
    pub missed: Missed,
    /// How long the database may take to give the next rows. Default: `5m`.
    #[serde(default = "five_minutes")]
    pub timeout: TimeSpan,
    /// How much is handed over at once.
    #[serde(default)]
    pub batch: Batch,
}

/// A query.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The stream of its rows. `{source}` stands for the name of the source. Required.
    pub stream: String,
    /// A `SELECT` without `ORDER BY` and without a semicolon. Towpath asks for its rows in the order of the
    /// mark. Required.
    pub sql: String,
    /// The column that rises with every write to a row: a number, a time, or a text that sorts. Required.
    pub mark: String,
    /// The columns that tell rows apart. Without them the stream only ever grows. Default: none.
    #[serde(default)]
    pub key: Vec<String>,
    /// How far behind the highest mark each run begins, for rows that are committed late: a number, or a length
    /// of time such as `5m`. Rows that were read and have not changed are not read again. Default: none.
    #[serde(default)]
    pub overlap: Option<Overlap>,
    /// Most rows that one run reads; the next goes on from there. Default: no limit.
    #[serde(default)]
    pub max_rows: Option<u64>,
    /// Whether rows that are gone are deleted, and how they are found. Default: they are not.
    #[serde(default)]
    pub deletes: Option<Deletes>,
    /// When this query runs, in place of the source's schedule. Default: the source's.
    #[serde(default)]
    pub schedule: Option<ScheduleConfig>,
}

/// How rows that are gone are found: every key that is there is compared with every key that was read.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deletes {
    /// When keys are compared: at the first run of the query after each of these times. Default: at each run.
    #[serde(default)]
    pub schedule: Option<ScheduleConfig>,
    /// A `SELECT` of the key columns of all rows, if one is quicker than the query itself. Default: the query.
    #[serde(default)]
    pub sql: Option<String>,
}

/// What happens with runs that were missed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One run, at once.
    #[default]
    RunOnce,
    /// Nothing until the next one is due.
    Wait,
}

/// How much is handed over at once.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Most rows. Default: 4096.
    #[serde(default = "default_rows")]
    pub rows: usize,
    /// Most bytes, but for a single row that is larger; at most 4MiB. Default: 2MiB.
    #[serde(default = "default_bytes")]
    pub bytes: ByteSize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: default_rows(), bytes: default_bytes() }
    }
}

impl<C: DeserializeOwned> QueryConfig<C> {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub fn read(value: &Value) -> Result<Self, AdapterError> {
        let config = Self::deserialize(value).map_err(|e| invalid(with_nearest_key(&e.to_string())))?;
        config.check().map_err(invalid)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.queries.is_empty() || self.queries.len() > MOST_QUERIES {
            return Err(format!("`queries` needs 1 to {MOST_QUERIES} of them"));
        }
        if self.batch.rows == 0 || self.batch.bytes.0 == 0 || self.batch.bytes.0 > MOST_BATCH_BYTES {
            return Err("`batch` needs at least one row, and bytes of 1 to 4MiB".to_owned());
        }
        if self.timeout.0 < Duration::from_secs(1) {
            return Err("`timeout` must be at least 1s".to_owned());
        }
        Schedule::new(&self.schedule)?;
        let mut streams = BTreeSet::new();
        for query in &self.queries {
            query.check().map_err(|fault| format!("query `{}`: {fault}", query.stream))?;
            if !streams.insert(&query.stream) {
                return Err(format!("two queries have the stream `{}`", query.stream));
            }
        }
        Ok(())
    }
}

impl Query {
    fn check(&self) -> Result<(), String> {
        let any = ResourceName::new("x").map_err(|error| error.to_string())?;
        self.stream_of(&any)?;
        let keys_sql = self.deletes.as_ref().and_then(|deletes| deletes.sql.as_ref());
        for (name, sql) in [("sql", Some(&self.sql)), ("deletes.sql", keys_sql)] {
            let Some(sql) = sql else { continue };
            if sql.trim().is_empty() || sql.trim_end().ends_with(';') {
                return Err(format!("`{name}` needs one SELECT without a semicolon at its end"));
            }
        }
        if self.mark.is_empty() {
            return Err("`mark` needs the name of a column".to_owned());
        }
        let distinct: BTreeSet<_> = self.key.iter().collect();
        if distinct.len() != self.key.len() || self.key.iter().any(String::is_empty) {
            return Err("`key` needs names of columns, each once".to_owned());
        }
        if self.max_rows == Some(0) {
            return Err("`max_rows` must be at least 1".to_owned());
        }
        self.schedule.as_ref().map(Schedule::new).transpose()?;
        let Some(deletes) = &self.deletes else { return Ok(()) };
        if self.key.is_empty() {
            return Err("`deletes` needs a `key`".to_owned());
        }
        deletes.schedule.as_ref().map(Schedule::new).transpose()?;
        Ok(())
    }

    /// The stream of the rows.
    ///
    /// # Errors
    /// In words, why there can be none.
    pub(crate) fn stream_of(&self, source: &ResourceName) -> Result<StreamName, String> {
        let name = self.stream.replace("{source}", source.as_str());
        StreamName::new(name).map_err(|error| format!("`stream` gives no name: {error}"))
    }
}

/// A refusal of the configuration.
pub(crate) fn invalid(message: impl Into<String>) -> AdapterError {
    AdapterError::new(ErrorKind::Config, OF, message)
}

const fn five_minutes() -> TimeSpan {
    TimeSpan(Duration::from_secs(300))
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

    fn read(query: Value, more: Value) -> Result<QueryConfig<String>, AdapterError> {
        let mut base = json!({ "stream": "{source}.orders", "sql": "SELECT 1", "mark": "seen" });
        base.as_object_mut().unwrap().extend(query.as_object().unwrap().clone());
        let mut config = json!({ "connection": "here", "queries": [base] });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        QueryConfig::read(&config)
    }

    #[test]
    fn a_stream_a_query_and_its_mark_are_all_that_must_be_said() {
        let config = read(json!({}), json!({})).unwrap();
        let source = ResourceName::new("erp").unwrap();
        assert_eq!(config.queries[0].stream_of(&source).unwrap().as_str(), "erp.orders");
        assert_eq!(config.missed, Missed::RunOnce);
        let overlaps = [json!({ "overlap": 5 }), json!({ "overlap": "5m" })];
        for overlap in overlaps {
            assert!(read(overlap, json!({})).unwrap().queries[0].overlap.is_some());
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let query = |query: Value| read(query, json!({})).unwrap_err().message;
        let source = |more: Value| read(json!({}), more).unwrap_err().message;
        assert!(query(json!({ "marc": "x" })).contains("did you mean `mark`?"));
        assert!(query(json!({ "sql": "SELECT 1;" })).contains("semicolon"));
        assert!(query(json!({ "deletes": {} })).contains("needs a `key`"));
        assert!(query(json!({ "key": ["a", "a"] })).contains("each once"));
        assert!(query(json!({ "stream": "a b" })).contains("`stream`"));
        assert!(query(json!({ "schedule": { "cron": "* *" } })).contains("cron"));
        assert!(source(json!({ "timeout": "5ms" })).contains("`timeout`"));
        assert!(source(json!({ "queries": [] })).contains("`queries`"));
        assert!(source(json!({ "batch": { "rows": 0 } })).contains("`batch`"));
    }
}
