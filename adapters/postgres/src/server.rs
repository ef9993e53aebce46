//! What the driver is told of the server that a configuration names.

use tokio_postgres::config::{Host, SslMode};
use towpath_adapter_api::{AdapterError, ServerAddress, TlsMode};

/// A PostgreSQL server.
#[derive(Clone, Debug)]
pub(crate) struct Server(pub(crate) ServerAddress);

impl Server {
    /// Refuses what cannot be connected to.
    ///
    /// # Errors
    /// The message says what is missing, too much or wrong.
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        self.0.check()?;
        self.connection().map(drop)
    }

    /// What the driver connects with.
    ///
    /// # Errors
    /// The address cannot be read.
    pub(crate) fn connection(&self) -> Result<tokio_postgres::Config, AdapterError> {
        let mut connection = match &self.0.url {
            // The driver's errors name the option that is wrong and not its value.
            Some(url) => url.expose().parse().map_err(|e| {
                self.0
                    .invalid("url is not an address of the form postgres://user:password@host:port/database")
                    .caused_by(e)
            })?,
            None => tokio_postgres::Config::new(),
        };
        if let Some(host) = &self.0.host {
            connection.host(host);
        }
        if let Some(port) = self.0.port {
            connection.port(port);
        }
        if let Some(database) = &self.0.database {
            connection.dbname(database);
        }
        if let Some(user) = &self.0.user {
            connection.user(user);
        }
        if let Some(password) = &self.0.password {
            connection.password(password.expose());
        }
        if connection.get_hosts().is_empty() {
            return Err(self.0.invalid("url names no host"));
        }
        connection.ssl_mode(match self.0.tls.mode {
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
}
