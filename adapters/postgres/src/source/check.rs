//! Looks whether a server is ready to be read, and says what mends what is not. Nothing is changed.

mod tables;
mod slots;

use serde_json::Value;
use tokio_postgres::{Client, Row};
use towpath_adapter_api::{Checking, Finding};
use towpath_record::ResourceName;

use super::config::{SourceConfig, Wanted};
use crate::client;
use crate::error::PostgresError;
use crate::table::quoted;
use tables::Publications;

const OLDEST: i32 = 130_000;
const STREAMS_IN_PROGRESS: i32 = 140_000;
/// How many more slots or connections are advised where all are in use.
const MORE: i64 = 10;

/// Looks at everything that the source of this name and configuration needs.
pub(crate) fn check(source: &ResourceName, config: &Value) -> Checking {
    let config = SourceConfig::read(config).map(|config| config.of_source(source));
    Box::pin(async move {
        let config = config?;
        let address = config.server().address();
        looked_at(&config).await.map_err(|error| error.at(&address))
    })
}

async fn looked_at(config: &SourceConfig) -> Result<Vec<Finding>, PostgresError> {
    let wanted = Wanted::new(config)?;
    let client = client::connect(&config.server()).await?;
    let server = Server::of(&client).await?;
    let mut findings = vec![server.version_found(), server.role_found()];
    if server.version < OLDEST {
        return Ok(findings);
    }
    findings.extend([server.wal_level_found(), server.user_found()]);
    let slots = slots::look(&client, config, &server).await?;
    findings.push(server.senders_found());
    findings.push(server.bound_found());
    findings.extend(slots);
    let publications = Publications::of(&client, config).await?;
    findings.extend(tables::look(&client, config, &wanted, &publications).await?);
    Ok(findings)
}

/// The server's settings, as far as they matter.
struct Server {
    version: i32,
    version_text: String,
    is_standby: bool,
    wal_level: String,
    user: String,
    may_replicate: bool,
    most_slots: i64,
    used_slots: i64,
    most_senders: i64,
    used_senders: i64,
    /// As the server prints it; `-1` for no bound.
    most_kept: String,
}

impl Server {
    async fn of(client: &Client) -> Result<Self, PostgresError> {
        const SQL: &str = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
             pg_is_in_recovery(), current_setting('wal_level'), current_user::text, rolreplication OR rolsuper, \
             current_setting('max_replication_slots')::bigint, (SELECT count(*) FROM pg_replication_slots), \
             current_setting('max_wal_senders')::bigint, (SELECT count(*) FROM pg_stat_replication), \
             current_setting('max_slot_wal_keep_size', true) FROM pg_roles WHERE rolname = current_user";
        let row = client.query_one(SQL, &[]).await;
        let row = row.map_err(PostgresError::server("look at the server's settings"))?;
        Ok(Self {
            version: row.get(0),
            version_text: row.get(1),
            is_standby: row.get(2),
            wal_level: row.get(3),
            user: row.get(4),
            may_replicate: row.get(5),
            most_slots: row.get(6),
            used_slots: row.get(7),
            most_senders: row.get(8),
            used_senders: row.get(9),
            most_kept: row.get::<_, Option<String>>(10).unwrap_or_default(),
        })
    }

    fn version_found(&self) -> Finding {
        let version = &self.version_text;
        match self.version {
            old if old < OLDEST => {
                Finding::failed("version", format!("the server has {version}; 13 or later is needed"))
            }
            old if old < STREAMS_IN_PROGRESS => Finding::warning(
                "version",
                format!(
                    "{version}; before 14 the server keeps a large transaction on its own disk until it is committed"
                ),
            ),
            _ => Finding::good("version", version),
        }
    }

    fn role_found(&self) -> Finding {
        match self.is_standby {
            true => Finding::failed(
                "role of the server",
                "it is a standby; name the primary in the configuration",
            ),
            false => Finding::good("role of the server", "it is a primary"),
        }
    }

    fn wal_level_found(&self) -> Finding {
        match &*self.wal_level {
            "logical" => Finding::good("wal_level", "logical"),
            level => Finding::failed(
                "wal_level",
                format!("it is `{level}`, and changes can be read only with `logical`; a restart follows"),
            )
            .mended_by("ALTER SYSTEM SET wal_level = 'logical'; -- and restart the server"),
        }
    }

    fn user_found(&self) -> Finding {
        let user = &self.user;
        match self.may_replicate {
            true => Finding::good("right to replicate", format!("user `{user}` has it")),
            false => Finding::failed("right to replicate", format!("user `{user}` does not have it"))
                .mended_by(format!("ALTER ROLE {} REPLICATION;", quoted(user))),
        }
    }

    fn senders_found(&self) -> Finding {
        room("max_wal_senders", self.used_senders, self.most_senders, true)
    }

    /// A server without a bound fills its disk while a source is away.
    fn bound_found(&self) -> Finding {
        match &*self.most_kept {
            "-1" => Finding::warning(
                "max_slot_wal_keep_size",
                "it has no bound: while the source is away, the server keeps its log until its disk is full; with a bound \
                 it gives up the slot instead, and the source must copy anew",
            )
            .mended_by("ALTER SYSTEM SET max_slot_wal_keep_size = '64GB'; SELECT pg_reload_conf();"),
            bound => Finding::good("max_slot_wal_keep_size", bound),
        }
    }
}

/// Whether one more fits in, if one more is needed.
fn room(setting: &str, used: i64, most: i64, needed: bool) -> Finding {
    let found = format!("{used} of {most} are in use");
    match used < most || !needed {
        true => Finding::good(setting, found),
        false => Finding::failed(setting, found)
            .mended_by(format!("ALTER SYSTEM SET {setting} = {}; -- and restart the server", most + MORE)),
    }
}

/// A list of names, shortened where it is long.
fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.get(0)).collect()
}

#[cfg(test)]
mod tests {
    use towpath_adapter_api::Verdict;

    use super::*;

    #[test]
    fn a_full_setting_fails_only_who_needs_one_more() {
        assert_eq!(room("max_wal_senders", 9, 10, true).verdict, Verdict::Good);
        assert_eq!(room("max_wal_senders", 10, 10, false).verdict, Verdict::Good);
        let full = room("max_wal_senders", 10, 10, true);
        assert_eq!(full.verdict, Verdict::Failed);
        assert!(full.remedy.unwrap().contains("max_wal_senders = 20"));
    }

    #[test]
    fn a_long_list_is_shortened() {
        let names: Vec<_> = (0..10).map(|i| format!("t{i}")).collect();
        assert_eq!(listed(&names[..2]), "t0, t1");
        assert!(listed(&names).ends_with("t7 and 2 more"));
    }
}
