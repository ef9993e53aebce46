//! Whether a server is ready to be read, and the SQL that makes it so. Nothing is changed at it.

use mysql_async::prelude::Queryable;
use towpath_adapter_api::{Checking, Finding};
use towpath_record::ResourceName;

use super::catalog::Catalog;
use super::config::{CopyReads, SnapshotMode, SourceConfig, Wanted};
use crate::client::Flavor;
use crate::error::MysqlError;

/// Binlogs that are removed sooner do not outlive a long weekend.
const LEAST_RETENTION_S: u64 = 3 * 86_400;

/// Looks at the server that the configuration of a source names.
pub(crate) fn check(name: &ResourceName, config: &serde_json::Value) -> Checking {
    let config = SourceConfig::read(config);
    let name = name.clone();
    Box::pin(async move {
        let config = config?;
        let address = config.server().address();
        let mut findings = look(&config).await.map_err(|error: MysqlError| error.at(&address))?;
        let id = config.server_id_of(&name);
        findings.push(Finding::good(
            "server_id",
            format!("the source reads as replica {id}, which no other may be"),
        ));
        Ok(findings)
    })
}

async fn look(config: &SourceConfig) -> Result<Vec<Finding>, MysqlError> {
    let mut catalog = Catalog::open(config).await?;
    let (name, version) =
        (if catalog.flavor == Flavor::MariaDb { "MariaDB" } else { "MySQL" }, catalog.version);
    let mut findings = vec![Finding::good("version", format!("{name} {}.{}", version.0, version.1))];
    let log_bin = variable(&mut catalog, "log_bin").await?;
    if !is_on(&log_bin) {
        let remedy =
            "-- in the server's configuration file, and start the server again:\n[mysqld]\nlog_bin = binlog";
        findings.push(
            Finding::failed("log_bin", "the server writes no binlog, which changes are read from")
                .mended_by(remedy),
        );
        return Ok(findings);
    }
    findings.push(Finding::good("log_bin", "the server writes a binlog"));
    findings.extend(settings(&mut catalog).await?);
    findings.push(gtids(&mut catalog).await?);
    findings.push(retention(&mut catalog).await?);
    findings.extend(privileges(&mut catalog).await?);
    findings.extend(tables(&mut catalog, config).await?);
    Ok(findings)
}

async fn variable(catalog: &mut Catalog, name: &str) -> Result<Option<String>, MysqlError> {
    let sql = format!("SHOW GLOBAL VARIABLES LIKE '{name}'");
    let row: Option<(String, String)> =
        catalog.connection.query_first(sql).await.map_err(MysqlError::server(format!("ask for {name}")))?;
    Ok(row.map(|(_, value)| value))
}

fn is_on(value: &Option<String>) -> bool {
    value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("ON") || value == "1")
}

/// How rows are written into the binlog.
async fn settings(catalog: &mut Catalog) -> Result<Vec<Finding>, MysqlError> {
    let mut findings = Vec::new();
    let rule = |name: &str, found: Option<String>, wanted: &str, bad: Finding| match found {
        Some(found) if found.eq_ignore_ascii_case(wanted) => Finding::good(name, found),
        Some(found) => {
            let said = format!("it is {found}: {}", bad.found);
            Finding { found: said, ..bad }.mended_by(format!("SET GLOBAL {name} = '{wanted}';"))
        }
        // Servers without the setting do what is wanted.
        None => Finding::good(name, "this server always does"),
    };
    let format = variable(catalog, "binlog_format").await?;
    let bad = Finding::failed("binlog_format", "statements do not tell which rows they changed");
    findings.push(rule("binlog_format", format, "ROW", bad));
    let image = variable(catalog, "binlog_row_image").await?;
    let bad = Finding::failed("binlog_row_image", "rows are logged in parts");
    findings.push(rule("binlog_row_image", image, "FULL", bad));
    let metadata = variable(catalog, "binlog_row_metadata").await?;
    let bad = Finding::warning(
        "binlog_row_metadata",
        "names of columns are not logged, so that a table that is changed twice while the source is behind must be copied \
         again",
    );
    findings.push(rule("binlog_row_metadata", metadata, "FULL", bad));
    if let Some(options) = variable(catalog, "binlog_row_value_options").await? {
        let bad = Finding::failed("binlog_row_value_options", "JSON documents are logged in parts");
        findings.push(rule("binlog_row_value_options", Some(options), "", bad));
    }
    Ok(findings)
}

async fn gtids(catalog: &mut Catalog) -> Result<Finding, MysqlError> {
    let on = match catalog.flavor {
        Flavor::MariaDb => true,
        Flavor::MySql => is_on(&variable(catalog, "gtid_mode").await?),
    };
    Ok(match on {
        true => Finding::good("gtid", "transactions have GTIDs"),
        false => Finding::warning(
            "gtid",
            "transactions have no GTIDs; they are named after their place in the binlog",
        ),
    })
}

async fn retention(catalog: &mut Catalog) -> Result<Finding, MysqlError> {
    let name = "binlog_expire_logs_seconds";
    let seconds = variable(catalog, name).await?.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    Ok(match seconds {
        0 => Finding::good(name, "the server removes no binlog by its age"),
        LEAST_RETENTION_S.. => Finding::good(name, format!("binlogs are kept for {seconds} s")),
        _ => Finding::warning(
            name,
            format!(
                "binlogs are kept for {seconds} s only; a source that is behind for longer loses its place"
            ),
        )
        .mended_by(format!("SET GLOBAL {name} = 604800;")),
    })
}

/// The rights are tried, and not read from grants that come in many forms.
async fn privileges(catalog: &mut Catalog) -> Result<Vec<Finding>, MysqlError> {
    let user: Option<String> = catalog
        .connection
        .query_first("SELECT CURRENT_USER()")
        .await
        .map_err(MysqlError::server("ask who we are"))?;
    let user = user.unwrap_or_default();
    let quoted =
        user.split_once('@').map_or(format!("'{user}'"), |(name, host)| format!("'{name}'@'{host}'"));
    let monitor = if catalog.flavor == Flavor::MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
    let mut findings = Vec::new();
    let may_ask = catalog.end().await.is_ok();
    findings.push(match may_ask {
        true => Finding::good(monitor, format!("{user} may ask where the binlog is")),
        false => Finding::failed(monitor, format!("{user} may not ask where the binlog is"))
            .mended_by(format!("GRANT {monitor} ON *.* TO {quoted};")),
    });
    let grants: Vec<String> = catalog
        .connection
        .query("SHOW GRANTS")
        .await
        .map_err(MysqlError::server("ask for the user's rights"))?;
    let global =
        grants.iter().filter(|grant| grant.contains(" ON *.* ")).cloned().collect::<Vec<_>>().join(" ");
    let slave = ["REPLICATION SLAVE", "REPLICATION REPLICA", "ALL PRIVILEGES"];
    let roles = grants.iter().any(|grant| !grant.contains(" ON "));
    findings.push(match slave.iter().any(|right| global.contains(right)) {
        true => Finding::good("REPLICATION SLAVE", format!("{user} may read the binlog")),
        false if roles => {
            Finding::warning("REPLICATION SLAVE", format!("{user} has it at best through a role"))
                .mended_by(format!("GRANT REPLICATION SLAVE ON *.* TO {quoted};"))
        }
        false => Finding::failed("REPLICATION SLAVE", format!("{user} may not read the binlog"))
            .mended_by(format!("GRANT REPLICATION SLAVE ON *.* TO {quoted};")),
    });
    Ok(findings)
}

async fn tables(catalog: &mut Catalog, config: &SourceConfig) -> Result<Vec<Finding>, MysqlError> {
    let tables = catalog.tables(&Wanted::new(config)?).await?;
    if tables.is_empty() {
        let found =
            "no table that this user may see matches; correct the patterns, or grant SELECT on the tables";
        return Ok(vec![Finding::failed("tables", found)]);
    }
    let count = tables.len();
    let mut findings = vec![Finding::good("tables", format!("{count} tables match"))];
    let snapshots = catalog.flavor == Flavor::MariaDb && config.copy_reads == CopyReads::Auto;
    for (schema, name) in tables {
        let subject = format!("table {schema}.{name}");
        let table = match catalog.table(&schema, &name, config).await {
            Ok(Some(table)) => table,
            Ok(None) => continue,
            Err(error) => {
                findings.push(Finding::failed(subject, error.to_string()));
                continue;
            }
        };
        let add_key = format!("ALTER TABLE {} ADD PRIMARY KEY (…);", table.place);
        let copies_whole = snapshots && table.transactional;
        if !table.ordered && !copies_whole && config.snapshot == SnapshotMode::Initial {
            findings.push(
                Finding::failed(&*subject, "it has no key by which it could be copied").mended_by(add_key),
            );
        } else if table.key.is_empty() {
            let found = "it has no primary key: its rows cannot be told apart, and sinks can only add them";
            findings.push(Finding::warning(&*subject, found).mended_by(add_key));
        } else if !table.ordered {
            let found = "its key is of a type without a simple order; its copy begins again if it is cut off";
            findings.push(Finding::warning(&*subject, found));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use towpath_adapter_api::AdapterError;

    use super::*;

    #[tokio::test]
    async fn a_configuration_that_cannot_work_is_told_before_a_server_is_asked() {
        let error: AdapterError =
            check(&ResourceName::new("erp").unwrap(), &serde_json::json!({ "host": "h" })).await.unwrap_err();
        assert!(error.message.contains("user"), "{error}");
    }
}
