//! How a server is named and reached: the part of a configuration that source and sink share.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{Opts, OptsBuilder};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use towpath_adapter_api::{AdapterError, ErrorKind};

const KEEPALIVE: Duration = Duration::from_secs(30);

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
    /// Path of a PEM file with the certificate that the agent shows, for a user that must have one. Default: none.
    #[schemars(with = "Option<String>")]
    pub certificate: Option<PathBuf>,
    /// Path of the PEM file with the key of `certificate`.
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
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(self.invalid("tls.certificate and tls.key belong together; give both or neither"));
        }
        self.options().map(drop)
    }

    /// What the driver connects with, but for TLS.
    ///
    /// # Errors
    /// The address cannot be read.
    pub(crate) fn options(&self) -> Result<OptsBuilder, AdapterError> {
        let named = match &self.url {
            Some(Secret(url)) => OptsBuilder::from_opts(self.read_url(url.expose_secret())?),
            None => {
                let password = self.password.as_ref().map(|Secret(password)| password.expose_secret());
                OptsBuilder::default()
                    .ip_or_hostname(self.host.clone().unwrap_or_default())
                    .tcp_port(self.port.unwrap_or(3306))
                    .user(self.user.clone())
                    .pass(password)
                    .db_name(self.database.clone())
            }
        };
        // Over a socket that the server names, nobody would know which server answers.
        Ok(named.prefer_socket(false).tcp_keepalive(Some(KEEPALIVE)))
    }

    /// The driver has options of its own in an address, such as one that trusts every certificate; they are
    /// refused. Its errors quote no password.
    fn read_url(&self, url: &str) -> Result<Opts, AdapterError> {
        let form = "url is not an address of the form mysql://user:password@host:port/database";
        if url.contains('?') {
            return Err(self.invalid("url takes no options behind `?`; a `?` in a password is written %3F"));
        }
        Opts::from_url(url).map_err(|error| self.invalid(form).caused_by(error))
    }

    /// The database that the configuration names.
    pub(crate) fn database(&self) -> Option<String> {
        self.options().ok().and_then(|options| Opts::from(options).db_name().map(str::to_owned))
    }

    /// The database's name for messages: no user, no secret.
    pub(crate) fn address(&self) -> String {
        let Ok(options) = self.options() else { return "MySQL".to_owned() };
        let options = Opts::from(options);
        let database = options.db_name().map(|name| format!("/{name}")).unwrap_or_default();
        format!("MySQL {}:{}{database}", options.ip_or_hostname(), options.tcp_port())
    }

    pub(crate) fn invalid(&self, message: &str) -> AdapterError {
        AdapterError::new(ErrorKind::Config, self.of, message)
    }
}
