//! How a database server is named and what protects the way to it: the part of a configuration that the adapters of
//! such servers share.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{AdapterError, ErrorKind};
use crate::secret::Secret;

/// A server, named by `url`, or by `host` and its companions.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    /// What the configuration is of, for messages.
    pub of: &'static str,
    /// The address as one text.
    pub url: Option<Secret>,
    /// Name or address of the machine.
    pub host: Option<String>,
    /// The port there.
    pub port: Option<u16>,
    /// The database at the server.
    pub database: Option<String>,
    /// The user to connect as.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// How the connection is protected.
    pub tls: Tls,
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
    #[serde(alias = "cert")]
    #[schemars(with = "Option<String>")]
    pub certificate: Option<PathBuf>,
    /// Path of a PEM file with the key of `certificate`, which no one else may read. Required beside `certificate`.
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

impl ServerAddress {
    /// Refuses what names no server, or names it twice, and a certificate that would not be shown.
    ///
    /// # Errors
    /// The message says what is missing or too much.
    pub fn check(&self) -> Result<(), AdapterError> {
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
        if self.tls.certificate.is_some() && self.tls.mode == TlsMode::Disable {
            return Err(
                self.invalid("tls.certificate is shown to the server only over TLS; set `tls.mode: require`")
            );
        }
        Ok(())
    }

    /// An error of the configuration that the address is in.
    pub fn invalid(&self, message: impl Into<String>) -> AdapterError {
        AdapterError::new(ErrorKind::Config, self.of, message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_certificate_is_found_under_its_older_name_and_under_one_name_only() {
        let path = |tls| serde_json::from_value::<Tls>(tls).map(|tls| tls.certificate);
        assert_eq!(path(json!({ "cert": "/c" })).unwrap(), Some(PathBuf::from("/c")));
        assert_eq!(path(json!({ "certificate": "/c" })).unwrap(), Some(PathBuf::from("/c")));
        assert!(path(json!({ "certificate": "/c", "cert": "/d" })).is_err());
    }

    #[test]
    fn no_text_of_an_address_shows_its_secrets() {
        let secret = |text: &str| serde_json::from_value::<Secret>(json!(text)).ok();
        let address = ServerAddress {
            of: "test",
            url: secret("postgres://u:hunter2@h/d"),
            host: None,
            port: None,
            database: None,
            user: None,
            password: secret("hunter2"),
            tls: Tls::default(),
        };
        assert!(!format!("{address:?}").contains("hunter2"));
        assert!(address.check().unwrap_err().to_string().contains("leave out"));
    }
}
