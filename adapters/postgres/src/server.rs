//! How a server is named and reached: the part of a configuration that source and sink share.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::config::{Host, SslMode};
use towpath_adapter_api::{AdapterError, ErrorKind};

/// A server, named by `url`, or by `host` and its companions.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// What the configuration is of, for messages.
    pub(crate) of: &'static str,
    pub(crate) url: Option<Secret>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) database: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) tls: Tls,
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
    /// Path of a PEM file with the certificate that proves to the server who connects, and those that lead to
    /// its authority. Default: none; the password proves it.
    #[schemars(with = "Option<String>")]
    pub cert: Option<PathBuf>,
    /// Path of a PEM file with the key of `cert`, which no one else may read. Required beside `cert`.
    #[schemars(with = "Option<String>")]
    pub key: Option<PathBuf>,
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

impl Server {
    /// Refuses what names no server, or names it twice.
    ///
    /// # Errors
    /// The message says what is missing or too much.
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        let parts = [
            self.host.is_some(),
            self.port.is_some(),
            self.database.is_some(),
            self.user.is_some(),
            self.password.is_some(),
        ];
        match &self.url {
            Some(_) if parts.contains(&true) => {
                return Err(self.invalid(
                    "url already names the server; leave out host, port, database, user and password",
                ));
            }
            None if self.host.is_none() || self.user.is_none() => {
                return Err(self.invalid("no server is named; give `url`, or `host` and `user`"));
            }
            _ => {}
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            return Err(self.invalid("tls.cert and tls.key belong together; give both or neither"));
        }
        if self.tls.cert.is_some() && self.tls.mode == TlsMode::Disable {
            return Err(
                self.invalid("tls.cert is shown to the server only over TLS; set `tls.mode: require`")
            );
        }
        self.connection().map(drop)
    }

    /// What the driver connects with.
    ///
    /// # Errors
    /// The address cannot be read.
    pub(crate) fn connection(&self) -> Result<tokio_postgres::Config, AdapterError> {
        let mut connection = match &self.url {
            // The driver's errors name the option that is wrong and not its value.
            Some(Secret(url)) => url.expose_secret().parse().map_err(|e| {
                self.invalid("url is not an address of the form postgres://user:password@host:port/database")
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
            return Err(self.invalid("url names no host"));
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

    fn invalid(&self, message: &str) -> AdapterError {
        AdapterError::new(ErrorKind::Config, self.of, message)
    }
}
