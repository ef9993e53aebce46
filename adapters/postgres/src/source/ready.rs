//! Sees that the server is ready for logical replication: settings, privileges, publication, slot. What is missing
//! is made, or named with the SQL that makes it.

use std::time::Duration;

use tokio_postgres::Client;
use towpath_adapter_api::ErrorKind;

use super::catalog::literal;
use super::config::{SourceConfig, Wanted};
use super::lsn::Lsn;
use crate::error::PostgresError;
use crate::table::quoted;

/// The SQLSTATEs of a slot that someone uses, and of one that is there already; how often, and with what pauses, one
/// tries again.
pub(crate) const IN_USE: &str = "55006";
const IS_THERE: &str = "42710";
pub(crate) const BUSY_TRIES: u32 = 300;
pub(crate) const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Since this version a slot can be kept at standbys.
pub(crate) const KEEPS_AT_STANDBYS: i32 = 170_000;

/// The slot and the publication of a source.
pub(crate) struct Names {
    pub(crate) slot: String,
    pub(crate) publication: String,
}

/// A table that could be published.
struct Candidate {
    name: String,
    place: String,
    /// Whether updates and deletes can say which row they are of.
    identified: bool,
}

/// Refuses a server whose settings or privileges do not allow replication.
///
/// # Errors
/// The message names the setting or the privilege, and the SQL that sets it.
pub(crate) async fn check_server(client: &Client) -> Result<(), PostgresError> {
    const SQL: &str = "SELECT current_setting('wal_level'), rolreplication OR rolsuper, current_user::text, \
         pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user";
    let row =
        client.query_one(SQL, &[]).await.map_err(PostgresError::server("look at the server's settings"))?;
    let (level, may_replicate, user): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
    if level != "logical" {
        let message = format!(
            "wal_level is `{level}`, and changes can be read only with `logical`; run \
             ALTER SYSTEM SET wal_level = 'logical'; and restart the server"
        );
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    if !may_replicate {
        let message =
            format!("user `{user}` may not replicate; run ALTER ROLE {} REPLICATION;", quoted(&user));
        return Err(PostgresError::unready(ErrorKind::Permission, message));
    }
    if row.get(3) {
        let message =
            "the server is a standby, which cannot tell running transactions apart; name the primary";
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    Ok(())
}

/// Finds the publication, or makes one of the wanted tables.
///
/// # Errors
/// It is missing and may not or cannot be made; the message has the SQL.
pub(crate) async fn publication(
    client: &Client,
    config: &SourceConfig,
    wanted: &Wanted,
    name: &str,
) -> Result<(), PostgresError> {
    let found = client.query_opt("SELECT 1 FROM pg_publication WHERE pubname = $1", &[&name]).await;
    if found.map_err(PostgresError::server("look for the publication"))?.is_some() {
        return Ok(());
    }
    let tables = candidates(client, wanted).await?;
    let (tables, nameless): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| table.identified);
    for Candidate { name, place, .. } in &nameless {
        // To publish it would make the server refuse every update and delete of it.
        tracing::warn!(
            table = name,
            "a table without primary key is left out; to read it, run \
             ALTER TABLE {place} REPLICA IDENTITY FULL; and add it to the publication"
        );
    }
    if tables.is_empty() {
        let message = "no table with a primary key or a replica identity matches `tables`; correct the patterns, or \
             create the publication yourself";
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    let places: Vec<_> = tables.iter().map(|table| &*table.place).collect();
    let sql = format!(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true);",
        quoted(name),
        places.join(", ")
    );
    if !config.create {
        let message = format!("publication `{name}` does not exist; run {sql} or set `create: true`");
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    client.batch_execute(&sql).await.map_err(|error| match error.code() {
        Some(code) if code.code() == "42501" => {
            let message =
                format!("the publication cannot be made by this user; let the tables' owner run {sql}");
            PostgresError::unready(ErrorKind::Permission, message)
        }
        _ => PostgresError::server(format!("create publication {name}"))(error),
    })
}

async fn candidates(client: &Client, wanted: &Wanted) -> Result<Vec<Candidate>, PostgresError> {
    const SQL: &str = "SELECT n.nspname::text, c.relname::text, c.relreplident IN ('f', 'i') OR \
         (c.relreplident = 'd' AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition \
         AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1, 2";
    let rows = client.query(SQL, &[]).await.map_err(PostgresError::server("list the tables"))?;
    let candidate = |row: tokio_postgres::Row| {
        let (schema, table): (String, String) = (row.get(0), row.get(1));
        let place = format!("{}.{}", quoted(&schema), quoted(&table));
        Candidate { name: format!("{schema}.{table}"), place, identified: row.get(2) }
    };
    Ok(rows.into_iter().map(candidate).filter(|table| wanted.has(&table.name)).collect())
}

/// Finds the slot, or makes it, and returns from where on it has the changes. `resumes_at` is where the source
/// goes on, if it ran before.
///
/// # Errors
/// The slot is missing or lost, or its changes begin after that place.
pub(crate) async fn slot(
    client: &Client,
    config: &SourceConfig,
    name: &str,
    resumes_at: Option<u64>,
) -> Result<Lsn, PostgresError> {
    let mut tries = 0;
    loop {
        match ready_slot(client, config, name, resumes_at).await? {
            Some(begins) => return Ok(begins),
            None if tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            None => {
                let message = format!(
                    "replication slot `{name}` is being made by someone else; that waits for the transactions that run at \
                     the server"
                );
                return Err(PostgresError::unready(ErrorKind::Unavailable, message));
            }
        }
    }
}

/// The same; `None` while a run that was cut off still makes the slot at the server, or its slot is being taken back.
async fn ready_slot(
    client: &Client,
    config: &SourceConfig,
    name: &str,
    resumes_at: Option<u64>,
) -> Result<Option<Lsn>, PostgresError> {
    const SQL: &str = "SELECT coalesce(plugin, slot_type)::text, database IS NOT DISTINCT FROM current_database(), \
         wal_status IS NOT DISTINCT FROM 'lost', confirmed_flush_lsn::text FROM pg_replication_slots \
         WHERE slot_name = $1";
    let row = client.query_opt(SQL, &[&name]).await.map_err(PostgresError::server("look for the slot"))?;
    let anew = "the changes since then are gone; set `on_slot_lag: drop_and_resync`, or delete the source and apply it \
        under another name; both copy anew";
    let lost = |what: String| Err(PostgresError::unready(ErrorKind::PositionLost, format!("{what}; {anew}")));
    let Some(row) = row else {
        return match resumes_at {
            Some(_) => lost(format!("replication slot `{name}`, which this source read from, was dropped")),
            None => create_slot(client, config, name).await,
        };
    };
    let (plugin, here, is_lost): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if plugin != "pgoutput" || !here {
        let message = format!(
            "replication slot `{name}` is of another database or of plugin `{plugin}`; set `slot` to another name"
        );
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    if is_lost {
        return lost(format!(
            "replication slot `{name}` was given up by the server, whose `max_slot_wal_keep_size` it exceeded; run \
             SELECT pg_drop_replication_slot('{name}'); and raise that setting"
        ));
    }
    let begins: Option<String> = row.get(3);
    let Some(begins) = begins else { return Ok(None) };
    let begins = Lsn::parse(&begins);
    let begins = begins.ok_or(PostgresError::Damaged("the slot's place in the log cannot be read"))?;
    if resumes_at.is_some_and(|lsn| lsn < begins.0) {
        let needed = Lsn(resumes_at.unwrap_or_default());
        return lost(format!(
            "replication slot `{name}` was advanced to {begins} by another reader; {needed} is needed"
        ));
    }
    Ok(Some(begins))
}

/// Drops the slot, if it is there, once its last reader is gone.
///
/// # Errors
/// The server refuses, or someone else goes on reading from it.
pub(crate) async fn drop_slot(client: &Client, name: &str) -> Result<(), PostgresError> {
    const DROP: &str =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1";
    let mut tries = 0;
    loop {
        match client.query(DROP, &[&name]).await {
            Ok(_) => return Ok(()),
            // The server notices a moment later that its reader has gone.
            Err(error) if tries < BUSY_TRIES && error.code().is_some_and(|code| code.code() == IN_USE) => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Err(error) => return Err(PostgresError::server(format!("drop replication slot {name}"))(error)),
        }
    }
}

/// The call that makes a slot. Servers before 17 do not know the parameter for standbys.
fn creation(name: &str, failover: bool) -> String {
    let kept = if failover { ", failover => true" } else { "" };
    format!("pg_create_logical_replication_slot({name}, 'pgoutput'{kept})")
}

/// Makes the slot; `None` if it is being made or taken back just now.
async fn create_slot(
    client: &Client,
    config: &SourceConfig,
    name: &str,
) -> Result<Option<Lsn>, PostgresError> {
    let version = client.query_one("SELECT current_setting('server_version_num')::int", &[]).await;
    let version: i32 = version.map_err(PostgresError::server("ask for the server's version"))?.get(0);
    if config.failover && version < KEEPS_AT_STANDBYS {
        let message = format!(
            "the server has version {}, and slots are kept at standbys from 17 on; leave `failover` out",
            version / 10_000
        );
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    let sql = format!("SELECT {};", creation(&literal(name), config.failover));
    if !config.create {
        let message = format!("replication slot `{name}` does not exist; run {sql} or set `create: true`");
        return Err(PostgresError::unready(ErrorKind::Config, message));
    }
    let made = format!("SELECT lsn::text FROM {}", creation("$1", config.failover));
    let made = client.query_one(&made, &[&name]).await;
    if made
        .as_ref()
        .is_err_and(|error| error.code().is_some_and(|code| [IN_USE, IS_THERE].contains(&code.code())))
    {
        return Ok(None);
    }
    let made = made.map_err(|error| match error.code() {
        Some(code) if code.code() == "53400" => {
            let message = "every replication slot is in use; raise `max_replication_slots` and restart the server, or \
                 drop one that nobody reads: SELECT slot_name, active FROM pg_replication_slots;";
            PostgresError::unready(ErrorKind::Unavailable, message)
        }
        _ => PostgresError::server(format!("create replication slot {name}"))(error),
    })?;
    let begins = Lsn::parse(made.get(0));
    begins.map(Some).ok_or(PostgresError::Damaged("the slot's place in the log cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slot_for_failover_names_the_parameter_that_older_servers_lack() {
        assert_eq!(creation("$1", false), "pg_create_logical_replication_slot($1, 'pgoutput')");
        assert_eq!(
            creation("$1", true),
            "pg_create_logical_replication_slot($1, 'pgoutput', failover => true)"
        );
    }
}
