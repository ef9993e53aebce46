//! A server whose binlog holds the changes of one size of transaction, and nothing else.

use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use towpath_adapter_conformance::servers::MariaDbServer;

use super::{COLUMNS, DATABASE, SETTINGS, USER, row, source};
use crate::database::{LIMIT, POLL};

const TABLE: &str = "bench";
const ROW: &str = "seq, order_no, customer_no, sku, quantity, price, state, ordered_at, paid, note";

/// What is read: the changes of one size of transaction.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Changes in a transaction.
    pub(super) size: u64,
    /// Changes in all.
    pub(super) changes: u64,
    seed: u64,
}

/// The binlog and its server.
pub(super) struct Binlog {
    server: MariaDbServer,
    pub(super) load: Load,
    /// How large a row is as text, on average.
    pub(super) row_bytes: u64,
    /// Its files, the oldest first.
    pub(super) files: Vec<String>,
    /// The size of all of them.
    pub(super) bytes: u64,
}

impl Load {
    /// Half of the changes are inserts and half are updates, in whole transactions.
    pub(super) fn new(size: u64, changes: u64, seed: u64) -> Self {
        let size = size.min(changes / 2).max(1);
        Self { size, changes: changes / (2 * size) * (2 * size), seed }
    }

    /// A procedure that writes the changes; each of its statements is a transaction.
    fn procedure(self) -> String {
        let Self { size, seed, .. } = self;
        let (transactions, row) = (self.changes / size / 2, row(seed));
        format!(
            "CREATE PROCEDURE write_changes() BEGIN DECLARE t bigint DEFAULT 0; \
             WHILE t < {transactions} DO \
             INSERT INTO {TABLE} SELECT {row} \
             FROM (SELECT t * {size} + seq AS i FROM seq_1_to_{size}) numbers; \
             SET t = t + 1; END WHILE; SET t = 0; \
             WHILE t < {transactions} DO \
             UPDATE {TABLE} SET quantity = quantity + 1 WHERE seq BETWEEN t * {size} + 1 AND (t + 1) * {size}; \
             SET t = t + 1; END WHILE; END"
        )
    }
}

impl Binlog {
    /// Starts a server and writes the changes. What it has to do behind them is done on return.
    pub(super) async fn write(load: Load) -> Result<Self> {
        let server = MariaDbServer::start_with(SETTINGS, &[])?;
        let mut session = Conn::from_url(server.url(DATABASE)).await?;
        for statement in [
            "SET time_zone = '+00:00'",
            &format!("CREATE TABLE {TABLE} ({COLUMNS})"),
            &load.procedure(),
            "RESET MASTER",
            "CALL write_changes()",
            "SET GLOBAL innodb_max_dirty_pages_pct = 0",
        ] {
            session
                .query_drop(statement)
                .await
                .with_context(|| format!("the server refuses: {statement}"))?;
        }
        let started = Instant::now();
        while status(&mut session, "Innodb_buffer_pool_pages_dirty").await? > 0 {
            ensure!(started.elapsed() < LIMIT, "the server still writes its tables");
            tokio::time::sleep(POLL).await;
        }
        let row_bytes = session
            .query_first(format!(
                "SELECT CAST(avg(octet_length(concat_ws(',', {ROW}))) AS unsigned) FROM {TABLE}"
            ))
            .await?
            .context("the table has rows")?;
        let logs: Vec<(String, u64)> = session.query("SHOW BINARY LOGS").await?;
        session.disconnect().await?;
        for (file, _) in &logs {
            File::open(server.data_folder().join(file))?.sync_all()?;
        }
        let bytes = logs.iter().map(|(_, bytes)| bytes).sum();
        let files = logs.into_iter().map(|(file, _)| file).collect();
        Ok(Self { server, load, row_bytes, files, bytes })
    }

    /// How many bytes the server has sent to all who ever asked it.
    pub(super) async fn sent(&self) -> Result<u64> {
        let mut session = Conn::from_url(self.server.url(DATABASE)).await?;
        let sent = status(&mut session, "Bytes_sent").await?;
        session.disconnect().await?;
        Ok(sent)
    }

    /// The configuration of a source that reads it from its beginning.
    pub(super) fn source(&self, name: &str) -> Value {
        source(&self.server, name, TABLE, &json!({ "snapshot": "never", "begin": "oldest" }))
    }

    /// How a program of MariaDB finds the server.
    pub(super) fn access(&self) -> [String; 5] {
        [
            "--no-defaults".to_owned(),
            "--host=127.0.0.1".to_owned(),
            format!("--port={}", self.server.port()),
            format!("--user={USER}"),
            format!("--password={USER}"),
        ]
    }
}

async fn status(session: &mut Conn, name: &str) -> Result<u64> {
    let row = session.query_first(format!("SHOW GLOBAL STATUS LIKE '{name}'")).await?;
    let (_, value): (String, u64) = row.with_context(|| format!("the server has no {name}"))?;
    Ok(value)
}
