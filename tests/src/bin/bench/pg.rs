//! PostgreSQL as the source: one server, one fleet, tables made by the server from a seed.

pub(crate) mod snapshot;
pub(crate) mod cdc;
pub(crate) mod latency;
pub(crate) mod memory;
mod walsender;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use towpath_adapter_conformance::servers::PostgresServer;

use crate::database::{LIMIT, POLL};
use crate::ours::PASSWORD_VARIABLE;

/// A server as one would run it, but for timeouts, which a reader that never answers would meet, and for whom it trusts.
const SETTINGS: &[&str] = &[
    "fsync=on",
    "full_page_writes=on",
    "wal_level=logical",
    "max_wal_size=8GB",
    "max_replication_slots=40",
    "max_wal_senders=40",
    "wal_sender_timeout=0",
    "track_commit_timestamp=on",
    "hba_file=../hba.conf",
];
const TRUST: &str =
    "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
/// The columns of the rows that are read.
const COLUMNS: &str = "seq bigint PRIMARY KEY, order_no text, customer_no bigint, sku text, quantity integer, \
     price numeric(12,2), state text, ordered_at timestamptz, paid boolean, note text";

/// A server and a session at it.
struct Server {
    process: PostgresServer,
    client: Client,
}

impl Server {
    async fn start() -> Result<Self> {
        let process = PostgresServer::start_with(SETTINGS, &[("hba.conf", TRUST)])?;
        let client = connect(&process).await?;
        Ok(Self { process, client })
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.with_context(|| format!("the server refuses: {sql}"))
    }

    async fn number(&self, sql: &str) -> Result<u64> {
        let number: i64 = self.client.query_one(sql, &[]).await?.get(0);
        Ok(number.try_into()?)
    }

    /// The end of its log.
    async fn end_of_log(&self) -> Result<String> {
        Ok(self.client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0))
    }

    /// How large the rows of a table are as text, on average.
    async fn row_bytes(&self, table: &str) -> Result<u64> {
        self.number(&format!("SELECT avg(octet_length(t::text))::bigint FROM (TABLE {table} LIMIT 1000) t"))
            .await
    }

    /// Makes the slot of a reader that starts later.
    async fn keep_from_now(&self, slot: &str) -> Result<()> {
        self.run(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await
    }

    /// Drops a slot once nobody reads it any more.
    async fn drop_slot(&self, slot: &str) -> Result<()> {
        let idle = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active");
        let started = Instant::now();
        while self.number(&idle).await? > 0 {
            ensure!(started.elapsed() < LIMIT, "slot {slot} is still being read");
            tokio::time::sleep(POLL).await;
        }
        let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name";
        self.run(&format!("{drop} = '{slot}'")).await
    }

    /// The configuration of a source or a sink here.
    fn config(&self, extra: &Value) -> Value {
        let mut config = json!({
            "host": "127.0.0.1", "port": self.process.port(), "database": "postgres", "user": "towpath",
            "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" },
        });
        let extra = extra.as_object().cloned().unwrap_or_default();
        config.as_object_mut().expect("it is an object").extend(extra);
        config
    }
}

async fn connect(server: &PostgresServer) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A query of `count` rows from number `first` on, made from the seed.
fn rows(seed: u64, first: &str, last: &str) -> String {
    format!(
        "SELECT i, 'O-' || i, (i * 7919 + {seed}) % 100000, 'SKU-' || (i * 31 + {seed}) % 5000, (i % 90)::int, \
         ((i * 37 + {seed}) % 1000000)::numeric / 100, (array['open', 'picked', 'packed', 'shipped'])[i % 4 + 1], \
         timestamptz '2026-01-01' + i * interval '1 second', i % 3 = 0, repeat(md5((i + {seed})::text), 3) \
         FROM generate_series({first}::bigint, {last}) i"
    )
}
