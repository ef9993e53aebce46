//! What the driver is told of the server that a configuration names.

use std::time::Duration;

use mysql_async::{Opts, OptsBuilder};
use towpath_adapter_api::{AdapterError, Secret, ServerAddress};

const KEEPALIVE: Duration = Duration::from_secs(30);

/// A MySQL or MariaDB server.
#[derive(Clone, Debug)]
pub(crate) struct Server(pub(crate) ServerAddress);

impl Server {
    /// Refuses what cannot be connected to.
    ///
    /// # Errors
    /// The message says what is missing, too much or wrong.
    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        self.0.check()?;
        self.options().map(drop)
    }

    /// What the driver connects with, but for TLS.
    ///
    /// # Errors
    /// The address cannot be read.
    pub(crate) fn options(&self) -> Result<OptsBuilder, AdapterError> {
        let named = match &self.0.url {
            Some(url) => OptsBuilder::from_opts(self.read_url(url.expose())?),
            None => {
                let password = self.0.password.as_ref().map(Secret::expose);
                OptsBuilder::default()
                    .ip_or_hostname(self.0.host.clone().unwrap_or_default())
                    .tcp_port(self.0.port.unwrap_or(3306))
                    .user(self.0.user.clone())
                    .pass(password)
                    .db_name(self.0.database.clone())
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
            return Err(self
                .0
                .invalid("url takes no options behind `?`; a `?` in a password is written %3F"));
        }
        Opts::from_url(url).map_err(|error| self.0.invalid(form).caused_by(error))
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
}
