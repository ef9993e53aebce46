//! Looks whether a database is ready to be read.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::Value;
use towpath_adapter_api::{AdapterError, Checking, Finding};
use towpath_record::ResourceName;

use crate::source::config::{Capture, SourceConfig};
use crate::source::database::{Access, Database};
use crate::source::streams::Streams;
use crate::source::table::{self, TableDef, TableFault};

/// Looks whether the database is ready to be read by the source of this name. Nothing is written.
pub(super) fn check(source: &ResourceName, config: &Value) -> Checking {
    let (source, config) = (source.clone(), SourceConfig::read(config));
    Box::pin(async move {
        let config = Arc::new(config?);
        tokio::task::spawn_blocking(move || look(&source, &config)).await.map_err(super::crashed)?
    })
}

fn look(source: &ResourceName, config: &Arc<SourceConfig>) -> Result<Vec<Finding>, AdapterError> {
    let mut findings = vec![file(config)];
    let database = match Database::open(&config.path, access(config)) {
        Ok(database) => database,
        Err(error) => {
            findings.push(Finding::failed("database", error.to_string()));
            return Ok(findings);
        }
    };
    findings.push(journal(&database.connection));
    let tables = match table::chosen(&database.connection, &config.choice()?, config.before) {
        Ok(tables) => tables,
        Err(TableFault::Database(error)) => {
            findings.push(Finding::failed("tables", database.fault("read the tables", error).to_string()));
            return Ok(findings);
        }
        Err(TableFault::Unfit(unfit)) => {
            let subject = format!("table {:?}", unfit.table);
            findings.push(Finding::failed(subject, unfit.reason).mended_by("exclude the table"));
            return Ok(findings);
        }
    };
    if tables.is_empty() {
        let found =
            "none is chosen by `include` and `exclude`; one that is created later is read from then on";
        findings.push(Finding::warning("tables", found));
    }
    if let Err(error) = Streams::new(config.clone(), source.as_str()).check_tables(tables.iter()) {
        findings.push(Finding::failed("streams", error.to_string()));
    }
    findings.extend(tables.iter().map(|table| of_table(config, table)));
    Ok(findings)
}

const fn access(config: &SourceConfig) -> Access {
    match config.capture {
        Capture::Triggers => Access::Install,
        Capture::Polling => Access::Read,
    }
}

/// Triggers are installed in the file, and SQLite keeps its journal beside it.
fn file(config: &SourceConfig) -> Finding {
    let (path, subject) = (config.path.display(), "file");
    let folder = config.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let writable =
        |path: &std::path::Path| std::fs::metadata(path).map(|metadata| !metadata.permissions().readonly());
    match (config.capture, writable(&config.path)) {
        (_, Err(error)) => Finding::failed(subject, format!("{path} cannot be looked at: {error}")),
        (Capture::Triggers, Ok(false)) => {
            Finding::failed(subject, format!("{path} is read-only, and triggers have to be installed in it"))
                .mended_by("make the file writable for the agent's user, or set `capture: polling`")
        }
        (Capture::Triggers, Ok(true)) => match folder.map(writable) {
            Some(Ok(false)) => Finding::failed(
                subject,
                format!("the folder of {path} is read-only, and SQLite keeps its journal there"),
            )
            .mended_by("make the folder writable for the agent's user, or set `capture: polling`"),
            _ => Finding::good(subject, format!("{path} can be written")),
        },
        (Capture::Polling, Ok(_)) => Finding::good(subject, format!("{path} is there")),
    }
}

fn journal(connection: &Connection) -> Finding {
    let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    match mode {
        Ok(mode) if mode == "wal" => Finding::good("journal_mode", "wal"),
        Ok(mode) => {
            let found = format!("it is {mode}: while the source reads, the application waits to commit");
            Finding::warning("journal_mode", found).mended_by("PRAGMA journal_mode = wal;")
        }
        Err(error) => Finding::failed("journal_mode", format!("it cannot be asked for: {error}")),
    }
}

fn of_table(config: &SourceConfig, table: &TableDef) -> Finding {
    let subject = format!("table {:?}", table.name);
    if let Some(watermark) = &config.watermark {
        let has_it = table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(watermark));
        if !has_it {
            return Finding::failed(subject, format!("it has no column `{watermark}`, the watermark"))
                .mended_by("exclude the table, or give it the column");
        }
    }
    if table.key.is_empty() {
        let found = "it has no primary key, so rows are told apart by their row ids, which VACUUM may change: it is \
                     copied anew then";
        return Finding::warning(subject, found);
    }
    Finding::good(subject, format!("{} columns, told apart by {}", table.columns.len(), key_names(table)))
}

fn key_names(table: &TableDef) -> String {
    table.key.iter().map(|&column| table.columns[column].name.as_str()).collect::<Vec<_>>().join(", ")
}
