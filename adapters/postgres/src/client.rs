//! Connecting, and the settings that a session needs.

use std::time::Duration;

use tokio_postgres::Client;

use crate::error::PostgresError;
use crate::server::Server;
use crate::tls;

const CONNECTS_WITHIN: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// Settings of a session:
/// * A commit that the server may lose is no commit, whatever the database's default is.
/// * A wait for a lock ends, so that the agent can say what it waits for.
/// * The transaction of an agent that vanished without a word ends, and with it its locks.
const SETTINGS: &str = "\
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
    SET lock_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '10min'; \
    SET client_min_messages = 'warning'";

/// Connects. The connection is served by a task that ends with the client.
pub(crate) async fn connect(server: &Server) -> Result<Client, PostgresError> {
    let mut connection = server.connection()?;
    connection.application_name("towpath").connect_timeout(CONNECTS_WITHIN).keepalives_idle(KEEPALIVE_IDLE);
    let connected = connection.connect(tls::connector(&server.0.tls)?).await;
    let (client, serve) = connected.map_err(PostgresError::server("connect"))?;
    let address = server.address();
    tokio::spawn(async move {
        // Whoever uses the client learns of the failure as well.
        if let Err(error) = serve.await {
            tracing::debug!(%address, %error, "the connection ended");
        }
    });
    client.batch_execute(SETTINGS).await.map_err(PostgresError::server("set up the session"))?;
    Ok(client)
}
