//! What an admin may say about a PostgreSQL sink.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::config::{Host, SslMode};
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::StreamName;

use crate::position::CHECKPOINT_TABLE;

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

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A row replaces the one with the same key; a delete removes it; a truncate empties the table.
    Upsert,
    /// Every row is added. Deletes and truncates are refused, row by row.
    Append,
}

/// How the connection is protected.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Whether TLS is used. Default: prefer.
    pub mode: TlsMode,
    /// Path of a PEM file with the authorities that may sign the server's certificate. Default: those that
    /// the operating system trusts.
    #[schemars(with = "Option<String>")]
    pub ca: Option<PathBuf>,
}

/// Whether TLS is used. The server's certificate is verified whenever it is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it.
    #[default]
    Prefer,
    /// Always.
    Require,
}

/// A text that is shown to nobody.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(SecretString::from(String::deserialize(from)?)))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub fn read(value: &Value) -> Result<Self, AdapterError> {
        let config = Self::deserialize(value).map_err(|e| invalid(with_nearest_key(&e.to_string())))?;
        let parts = [
            config.host.is_some(),
            config.port.is_some(),
            config.database.is_some(),
            config.user.is_some(),
            config.password.is_some(),
        ];
        match &config.url {
            Some(_) if parts.contains(&true) => {
                return Err(invalid(
                    "url already names the server; leave out host, port, database, user and password",
                ));
            }
            None if config.host.is_none() || config.user.is_none() => {
                return Err(invalid("no server is named; give `url`, or `host` and `user`"));
            }
            _ => {}
        }
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
        config.connection()?;
        Ok(config)
    }

    /// What the driver connects with.
    pub(crate) fn connection(&self) -> Result<tokio_postgres::Config, AdapterError> {
        let mut connection = match &self.url {
            // The driver's errors name the option that is wrong and not its value.
            Some(Secret(url)) => url.expose_secret().parse().map_err(|e| {
                invalid("url is not an address of the form postgres://user:password@host:port/database")
                    .caused_by(e)
            })?,
            None => tokio_postgres::Config::new(),
        };
        if let Some(host) = &self.host {
            connection.host(host);
        }
        if let Some(port) = self.port {
            connection.port(port);
        }
        if let Some(database) = &self.database {
            connection.dbname(database);
        }
        if let Some(user) = &self.user {
            connection.user(user);
        }
        if let Some(Secret(password)) = &self.password {
            connection.password(password.expose_secret());
        }
        if connection.get_hosts().is_empty() {
            return Err(invalid("url names no host"));
        }
        connection.ssl_mode(match self.tls.mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require => SslMode::Require,
        });
        Ok(connection)
    }

    /// The database's name for messages: no user, no secret.
    pub(crate) fn address(&self) -> String {
        let Ok(connection) = self.connection() else { return "PostgreSQL".to_owned() };
        let host = match connection.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "?".to_owned(),
        };
        let port = connection.get_ports().first().copied().unwrap_or(5432);
        let database = connection.get_dbname().or(connection.get_user()).unwrap_or("?");
        format!("PostgreSQL {host}:{port}/{database}")
    }

    /// The table that a stream is written to.
    pub(crate) fn table_of(&self, stream: &StreamName) -> String {
        self.table.replace("{stream}", &stream.as_str().replace('.', "_"))
    }
}

fn invalid(message: impl Into<String>) -> AdapterError {
    AdapterError::new(ErrorKind::Config, "postgres sink configuration", message)
}

/// Appends the known key that an unknown one most resembles. `serde` quotes the unknown key first, then the
/// known ones.
fn with_nearest_key(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let nearest = message.starts_with("unknown").then(|| {
        let unknown = quoted.next()?;
        quoted.min_by_key(|known| strsim::damerau_levenshtein(unknown, known))
    });
    match nearest.flatten() {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
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
        assert!(said(&json!({ "url": "postgres://u@h/d", "tls": { "mode": "always" } })).contains("prefer"));
    }
}
