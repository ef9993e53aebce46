//! Replication slots: whether the source's is there, and what it keeps.

use tokio_postgres::{Client, Row};
use towpath_adapter_api::Finding;
use towpath_record::ByteSize;

use super::{Server, room};
use crate::error::PostgresError;
use crate::source::catalog::literal;
use crate::source::config::SourceConfig;
use crate::source::ready::KEEPS_AT_STANDBYS;

/// A slot, as the server describes it.
struct Slot {
    name: String,
    kind: String,
    is_here: bool,
    is_active: bool,
    status: String,
    /// The log that is kept for it, and what the source has not confirmed, in bytes.
    kept: i64,
    behind: i64,
}

/// The room for slots, and the slots of the source.
pub(super) async fn look(
    client: &Client,
    config: &SourceConfig,
    server: &Server,
) -> Result<Vec<Finding>, PostgresError> {
    let sql = format!(
        "SELECT slot_name::text, coalesce(plugin, slot_type)::text, database IS NOT DISTINCT FROM current_database(), \
         active, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff({end}, restart_lsn), 0)::bigint, \
         coalesce(pg_wal_lsn_diff({end}, confirmed_flush_lsn), 0)::bigint FROM pg_replication_slots \
         WHERE slot_name = $1",
        end = if server.is_standby { "pg_last_wal_replay_lsn()" } else { "pg_current_wal_lsn()" },
    );
    let rows = client.query(&sql, &[&config.slot]).await;
    let slots: Vec<_> =
        rows.map_err(PostgresError::server("look at the slots"))?.iter().map(Slot::of).collect();
    // A slot that is there already needs no room.
    let mut findings =
        vec![room("max_replication_slots", server.used_slots, server.most_slots, slots.is_empty())];
    if slots.is_empty() {
        findings.push(missing(config, server));
    }
    findings.extend(slots.iter().map(|slot| slot.found(config)));
    Ok(findings)
}

fn missing(config: &SourceConfig, server: &Server) -> Finding {
    let name = config.slot.as_deref().unwrap_or_default();
    let subject = format!("replication slot {name}");
    if config.failover && server.version < KEEPS_AT_STANDBYS {
        return Finding::failed(
            subject,
            "slots are kept at standbys from version 17 on; leave `failover` out",
        );
    }
    match config.create {
        true => Finding::good(subject, "it is not there; the source makes it when it starts first"),
        false => Finding::failed(subject, "it is not there, and `create` is false")
            .mended_by(format!("SELECT pg_create_logical_replication_slot({}, 'pgoutput');", literal(name))),
    }
}

impl Slot {
    fn of(row: &Row) -> Self {
        Self {
            name: row.get(0),
            kind: row.get(1),
            is_here: row.get(2),
            is_active: row.get(3),
            status: row.get(4),
            kept: row.get(5),
            behind: row.get(6),
        }
    }

    fn found(&self, config: &SourceConfig) -> Finding {
        let subject = format!("replication slot {}", self.name);
        if self.kind != "pgoutput" || !self.is_here {
            let found =
                format!("it is of another database or of plugin `{}`; set `slot` to another name", self.kind);
            return Finding::failed(subject, found);
        }
        let drop_it = format!("SELECT pg_drop_replication_slot({});", literal(&self.name));
        let size = |bytes: i64| ByteSize(u64::try_from(bytes).unwrap_or(0));
        let state = if self.is_active { "it is being read" } else { "nobody reads it now" };
        let found = format!(
            "{state}; the server keeps {} of log for it, {} of which no reader has confirmed",
            shown(size(self.kept)),
            shown(size(self.behind)),
        );
        match &*self.status {
            "lost" => Finding::failed(
                subject,
                "the server gave it up, and the changes since then are gone; the source must copy anew",
            )
            .mended_by(drop_it),
            "unreserved" => {
                Finding::failed(subject, format!("{found}; the next checkpoint may remove what it needs"))
                    .mended_by("ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf();")
            }
            _ if size(self.kept).0 > config.max_slot_lag_bytes.0 => {
                let found = format!("{found}; that is more than `max_slot_lag_bytes`");
                let slot = Finding::warning(subject, found);
                if self.is_active {
                    slot
                } else {
                    slot.mended_by(format!("{drop_it} -- if its source is gone for good"))
                }
            }
            _ => Finding::good(subject, found),
        }
    }
}

/// A size in the largest unit that leaves at least one.
fn shown(size: ByteSize) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| size.0 >= *unit) {
        Some((unit, name)) => format!("{} {name}", size.0 / unit),
        None => format!("{} bytes", size.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use towpath_adapter_api::Verdict;

    use super::*;

    fn slot(status: &str, kept: i64) -> Finding {
        let config = SourceConfig::read(&json!({ "url": "postgres://u@h/d", "max_slot_lag_bytes": "1MiB" }));
        let slot = Slot {
            name: "s".to_owned(),
            kind: "pgoutput".to_owned(),
            is_here: true,
            is_active: false,
            status: status.to_owned(),
            kept,
            behind: 5,
        };
        slot.found(&config.unwrap())
    }

    #[test]
    fn a_slot_that_keeps_too_much_or_is_lost_is_told_with_what_ends_it() {
        assert_eq!(slot("reserved", 1 << 20).verdict, Verdict::Good);
        let lags = slot("extended", 5 << 20);
        assert!(lags.verdict == Verdict::Warning && lags.found.contains("5 MiB"), "{lags:?}");
        for (status, remedy) in [("lost", "pg_drop_replication_slot(E's')"), ("unreserved", "keep_size = -1")]
        {
            let found = slot(status, 0);
            assert_eq!(found.verdict, Verdict::Failed);
            assert!(found.remedy.is_some_and(|said| said.contains(remedy)), "{status}");
        }
    }
}
