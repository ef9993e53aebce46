//! Connecting, and the settings that every session needs.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, OptsBuilder};
use towpath_adapter_api::TlsMode;

use crate::error::MysqlError;
use crate::server::Server;
use crate::tls;

const CONNECTS_WITHIN: Duration = Duration::from_secs(15);

/// Text is UTF-8 and times are UTC, whatever the server's defaults are. `SET NAMES` also says what literals are in.
const SETTINGS: &str = "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1";

/// Which of the two families a server belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flavor {
    MySql,
    MariaDb,
}

/// Connects, protected as the configuration says.
///
/// # Errors
/// The server cannot be reached or refuses the user, or TLS cannot be set up.
pub(crate) async fn connect(server: &Server) -> Result<Conn, MysqlError> {
    connect_with(server, server.options()?).await
}

/// The same with options of the driver that build on those of [`Server::options`].
///
/// # Errors
/// The server cannot be reached or refuses the user, or TLS cannot be set up.
pub(crate) async fn connect_with(server: &Server, options: OptsBuilder) -> Result<Conn, MysqlError> {
    let plain = options.clone().ssl_opts(None);
    let mut connection = match server.0.tls.mode {
        TlsMode::Disable => open(plain).await?,
        mode => match open(options.ssl_opts(tls::options(&server.0.tls)?)).await {
            Err(error) if mode == TlsMode::Prefer && is_without_tls(&error) => open(plain).await?,
            opened => opened?,
        },
    };
    connection.query_drop(SETTINGS).await.map_err(MysqlError::server("set up the session"))?;
    Ok(connection)
}

async fn open(options: OptsBuilder) -> Result<Conn, MysqlError> {
    let opened = tokio::time::timeout(CONNECTS_WITHIN, Conn::new(options)).await;
    let opened = opened.map_err(|_| MysqlError::Silent { seconds: CONNECTS_WITHIN.as_secs() })?;
    opened.map_err(MysqlError::server("connect"))
}

fn is_without_tls(error: &MysqlError) -> bool {
    let MysqlError::Server { source, .. } = error else { return false };
    matches!(source, Error::Driver(DriverError::NoClientSslFlagFromServer))
}

/// The family of the server.
///
/// # Errors
/// The server cannot be asked.
pub(crate) async fn flavor(connection: &mut Conn) -> Result<Flavor, MysqlError> {
    let version: Option<String> =
        connection.query_first("SELECT VERSION()").await.map_err(MysqlError::server("read the version"))?;
    let is_mariadb = version.is_some_and(|version| version.to_lowercase().contains("mariadb"));
    Ok(if is_mariadb { Flavor::MariaDb } else { Flavor::MySql })
}
