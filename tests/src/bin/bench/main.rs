//! Benches: ours and the yardsticks in turn, in one run, on one machine.
//!
//! Machines vary, so a figure is a ratio within a run. Each bench prints a table, writes its figures as JSON, and
//! renews `docs/benchmarks.md` and its plot when asked to.
#![expect(clippy::print_stdout, reason = "a command for people")]

mod measure;
mod report;
mod plot;
mod machine;
mod certificates;
mod peers;
mod yardstick;
mod ours;
mod files;
mod idle;
mod link;
mod sink;
mod database;
mod pg;
mod mysql;
mod api;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use api::ApiOptions;
use database::DatabaseOptions;

/// Measures Towpath beside its yardsticks.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// A1: files to the durable region log, and on to a file sink; beside rsyslog, syslog-ng, zstd and the bare disk.
    Files(Options),
    /// A2: sizes of the agent: binary, memory at rest, time to connect.
    Idle(Options),
    /// A3: sealed frames from the spool to durable in the region log; beside bare quinn.
    Link(Options),
    /// A4: the region log to SQLite, PostgreSQL and Parquet; beside their own importers.
    Sink(Options),
    /// A5: a PostgreSQL table to the durable region log; beside `psql \copy` to nowhere.
    PgSnapshot(DatabaseOptions),
    /// A6: changes of PostgreSQL to the durable region log; beside the bare walsender and `pg_recvlogical`.
    PgCdc(DatabaseOptions),
    /// A6: changes of MariaDB to the durable region log; beside `mariadb-binlog`.
    MysqlCdc(DatabaseOptions),
    /// A7: from a commit in PostgreSQL to the commit in a PostgreSQL sink.
    PgLatency(DatabaseOptions),
    /// The agent's memory while it reads a large transaction and long values of PostgreSQL.
    PgMemory(DatabaseOptions),
    /// The agent's memory while it reads a large transaction and long values of MariaDB.
    MysqlMemory(DatabaseOptions),
    /// The control plane's API with many resources and events; beside a bare server and a bare disk.
    Api(ApiOptions),
    /// Serves the answers of files; the yardstick of `api` runs it as a process of its own.
    #[command(hide = true)]
    ApiBare(api::bare::Serve),
    /// Sends bytes over bare quinn; the yardstick of `link` runs it as a process of its own.
    #[command(hide = true)]
    QuinnSend(link::quinn::Send),
    /// Receives them.
    #[command(hide = true)]
    QuinnReceive(link::quinn::Receive),
}

/// What every bench takes.
#[derive(Args, Clone, Debug)]
struct Options {
    /// Size of the data, in MiB.
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// Size of the data for the peers that are an order of magnitude slower, in MiB. Their figures are rates.
    #[arg(long, default_value_t = 64)]
    peer_mib: u64,
    /// Seed of the data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often each is measured; the median is told.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Folder of `benchmarks.md`, to be renewed with the figures.
    #[arg(long)]
    docs: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    towpath_tests::api::install_provider();
    let (docs, figures) = match Command::parse().bench {
        Bench::Files(options) => (options.docs.clone(), files::run(&options).await?),
        Bench::Idle(options) => (options.docs.clone(), idle::run(&options).await?),
        Bench::Link(options) => (options.docs.clone(), link::run(&options).await?),
        Bench::Sink(options) => (options.docs.clone(), sink::run(&options).await?),
        Bench::PgSnapshot(options) => (options.docs.clone(), pg::snapshot::run(&options).await?),
        Bench::PgCdc(options) => (options.docs.clone(), pg::cdc::run(&options).await?),
        Bench::MysqlCdc(options) => (options.docs.clone(), mysql::cdc::run(&options).await?),
        Bench::PgLatency(options) => (options.docs.clone(), pg::latency::run(&options).await?),
        Bench::PgMemory(options) => (options.docs.clone(), pg::memory::run(&options).await?),
        Bench::MysqlMemory(options) => (options.docs.clone(), mysql::memory::run(&options).await?),
        Bench::Api(options) => (options.docs.clone(), api::run(&options).await?),
        Bench::ApiBare(serve) => return serve.run().await,
        Bench::QuinnSend(send) => return send.run().await,
        Bench::QuinnReceive(receive) => return receive.run().await,
    };
    println!("{figures}\n{}", serde_json::to_string_pretty(&figures)?);
    if let Some(docs) = &docs {
        report::renew(docs, &figures)?;
    }
    Ok(())
}
