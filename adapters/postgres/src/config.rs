//! What an admin may say about a PostgreSQL sink.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_adapter_api::config::with_nearest_key;
use towpath_adapter_api::mode::DELETED_AT_COLUMN;
use towpath_adapter_api::{AdapterError, ErrorKind, Mode, OnConflict, Secret, ServerAddress, Tls};
use towpath_record::StreamName;

use crate::position::CHECKPOINT_TABLE;
use crate::server::Server;

const OF: &str = "postgres sink configuration";

/// How a PostgreSQL sink is set up. The server is named by `url`, or by `host` and its companions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
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
    /// The user to connect as. Required beside `host`.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, given as a reference such as `${file:/etc/erp/password}`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The schema that tables and the checkpoint lie in. It is created when `create` is true. Default:
    /// public.
    #[serde(default = "public")]
    pub schema: String,
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
    /// Whether a missing schema or table is created. Default: true.
    #[serde(default = "yes")]
    pub create: bool,
    /// Whether a column that the table lacks is added. Default: true.
    #[serde(default = "yes")]
    pub alter: bool,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub fn read(value: &Value) -> Result<Self, AdapterError> {
        let config = Self::deserialize(value).map_err(|e| invalid(with_nearest_key(&e.to_string())))?;
        config.server().check()?;
        let literal = config.table.replace("{stream}", "");
        if config.table.is_empty() || literal.contains(['{', '}']) || literal.chars().any(char::is_control) {
            let table = &config.table;
            return Err(invalid(format!(
                "table `{table}` is not a table name; only {{stream}} is filled in"
            )));
        }
        if config.table == CHECKPOINT_TABLE {
            return Err(invalid(format!(
                "table `{CHECKPOINT_TABLE}` is reserved for Towpath; choose another"
            )));
        }
        let unused = config.deleted_at.is_some() && config.mode != Some(Mode::SoftDelete);
        if unused || config.deleted_at.as_deref() == Some("") {
            return Err(invalid(
                "deleted_at names a column of mode `soft_delete`; set that mode, or leave it out",
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

    /// The database's name for messages: no user, no secret.
    pub(crate) fn address(&self) -> String {
        self.server().address()
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

fn invalid(message: impl Into<String>) -> AdapterError {
    AdapterError::new(ErrorKind::Config, OF, message)
}

fn public() -> String {
    "public".to_owned()
}

fn stream_table() -> String {
    "{stream}".to_owned()
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_is_named_by_url_or_by_its_parts() {
        let by_url = Config::read(&json!({ "url": "postgres://u:s3cret@db.example:5433/erp" })).unwrap();
        assert_eq!(by_url.address(), "PostgreSQL db.example:5433/erp");
        let by_parts = json!({ "host": "db.example", "user": "u", "password": "s3cret", "database": "erp" });
        assert_eq!(Config::read(&by_parts).unwrap().address(), "PostgreSQL db.example:5432/erp");
    }

    #[test]
    fn a_password_is_in_no_message() {
        let config = Config::read(&json!({ "url": "postgres://u:s3cret@db.example/erp" })).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        let broken =
            Config::read(&json!({ "url": "postgres://u:s3cret@db.example:s3cret/erp" })).unwrap_err();
        assert!(!format!("{broken:?}").contains("s3cret"), "{broken:?}");
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let said = |config: &Value| Config::read(config).unwrap_err().message;
        assert!(said(&json!({})).contains("give `url`"));
        assert!(said(&json!({ "url": "postgres://u@h/d", "port": 5432 })).contains("leave out"));
        assert!(said(&json!({ "url": "postgres://u@h/d", "tabel": "x" })).contains("did you mean `table`?"));
        assert!(said(&json!({ "url": "postgres://u@h/d", "table": "{date}" })).contains("not a table name"));
        let misplaced = json!({ "url": "postgres://u@h/d", "mode": "history", "deleted_at": "gone" });
        assert!(said(&misplaced).contains("`soft_delete`"));
        assert!(said(&json!({ "url": "postgres://u@h/d", "tls": { "mode": "always" } })).contains("prefer"));
        assert!(
            said(&json!({ "url": "postgres://u@h/d", "tls": { "key": "/k" } })).contains("tls.certificate")
        );
        let unseen = json!({ "mode": "disable", "certificate": "/c", "key": "/k" });
        assert!(said(&json!({ "url": "postgres://u@h/d", "tls": unseen })).contains("require"));
    }
}
