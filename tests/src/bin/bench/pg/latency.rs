//! A7: from the commit at the source to the commit in a PostgreSQL sink, while a thousand transactions are committed in
//! a second. Both servers note when each transaction was committed, by the same clock.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use towpath_tests::resources::Documents;
use towpath_tests::scene::CLOUD;

use super::{COLUMNS, Server, connect, rows};
use crate::database::{DatabaseOptions, add_source};
use crate::measure::{Figures, median};
use crate::ours::Ours;

const TRANSACTIONS: u64 = 60_000;
const PER_SECOND: u64 = 1_000;
const WRITERS: u64 = 8;
/// The agent's spool, the region log, the sink's commit.
const HOPS: f64 = 3.0;
const P50_BEYOND_HOPS_MS: f64 = 10.0;
const P99_BEYOND_HOPS_MS: f64 = 50.0;
const GROWTH: f64 = 1.2;
const ARRIVES_WITHIN: Duration = Duration::from_secs(120);
const BETWEEN_SYNCS: Duration = Duration::from_millis(20);

pub(crate) async fn run(options: &DatabaseOptions) -> Result<Figures> {
    let count = options.rows.unwrap_or(TRANSACTIONS);
    let arguments = options.arguments(count);
    let title = "A7: from a commit in PostgreSQL to the commit in a PostgreSQL sink";
    let mut figures = Figures::of("pg-latency", title, &arguments);
    let (source, sink) = (Arc::new(Server::start().await?), Server::start().await?);
    source.run(&format!("CREATE TABLE bench ({COLUMNS})")).await?;
    let ours = Ours::start().await?;
    add_source(
        &ours,
        "erp",
        "postgres",
        source.config(&json!({ "slot": "bench", "stream": "bench.{table}" })),
    )
    .await?;
    let spec = json!({ "agent": CLOUD, "adapter": "postgres", "config": sink.config(&json!({})) });
    let route = json!({ "streams": ["bench.*"], "sink": "copy", "from": "earliest" });
    ours.fleet.apply(&Documents::new().with("Sink", "copy", &spec).with("Route", "copy", &route)).await?;
    // One row shows that all is connected, before it counts.
    source.run(&format!("INSERT INTO bench {}", rows(options.seed, "0", "0"))).await?;
    wait_arrived(&sink, 1).await.with_context(|| ours.fleet.post_mortem())?;
    let written = CancellationToken::new();
    let syncs = tokio::task::spawn_blocking({
        let written = written.clone();
        move || sync_until(&written)
    });
    let written = written.drop_guard();
    write(&source, options.seed, count).await?;
    wait_arrived(&sink, count + 1).await.with_context(|| ours.fleet.post_mortem())?;
    drop(written);
    let syncs = syncs.await??;
    let took = took(&source, &sink).await?;
    ensure!(took.len() as u64 == count, "{} of {count} transactions can be told", took.len());
    let beyond = |part, ms: f64| ((HOPS * quantile(&syncs, part) + ms) * 10.0).round() / 10.0;
    let (p50, p99) = (quantile(&took, 0.5), quantile(&took, 0.99));
    figures.at_most("half of the transactions arrive within", p50, beyond(0.5, P50_BEYOND_HOPS_MS), "ms");
    figures.at_most("99 of 100 arrive within", p99, beyond(0.99, P99_BEYOND_HOPS_MS), "ms");
    let tenth = took.len().div_ceil(10);
    let (first, last) = (median(took[..tenth].to_vec()), median(took[took.len() - tenth..].to_vec()));
    figures.at_most("the last tenth beside the first, medians", last / first, GROWTH, "times");
    let parts = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0)];
    let parts = parts.map(|(name, part)| format!("{name} {:.1} ms", quantile(&took, part)));
    figures.notes.push(format!("{}.", parts.join(", ")));
    figures.notes.push(format!(
        "{PER_SECOND} transactions a second by {WRITERS} writers. Beside them, one `fdatasync` of 4 KiB took {:.2} ms, \
         1 of 100 {:.1} ms and the longest {:.1} ms. A row passes {HOPS} of them: spool, region log, sink.",
        quantile(&syncs, 0.5),
        quantile(&syncs, 0.99),
        quantile(&syncs, 1.0),
    ));
    Ok(figures)
}

/// Commits one row at a time, at a steady pace.
async fn write(source: &Arc<Server>, seed: u64, count: u64) -> Result<()> {
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = connect(&source.process).await?;
        writers.push(tokio::spawn(async move {
            let insert =
                client.prepare(&format!("INSERT INTO bench {}", rows(seed, "$1", "$1::bigint"))).await?;
            let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 * WRITERS / PER_SECOND));
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for number in (1..=count).filter(|number| number % WRITERS == writer) {
                pace.tick().await;
                client.execute(&insert, &[&i64::try_from(number)?]).await?;
            }
            anyhow::Ok(())
        }));
    }
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

async fn wait_arrived(sink: &Server, count: u64) -> Result<()> {
    let started = Instant::now();
    loop {
        let there = sink.number("SELECT count(*) FROM bench_bench").await.unwrap_or(0);
        if there >= count {
            return Ok(());
        }
        ensure!(started.elapsed() < ARRIVES_WITHIN, "{there} of {count} rows arrived in {ARRIVES_WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How long each transaction took, in milliseconds, in the order of the transactions.
async fn took(source: &Server, sink: &Server) -> Result<Vec<f64>> {
    let committed = |table: &str| {
        format!(
            "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM {table} \
             WHERE seq > 0 ORDER BY seq"
        )
    };
    let (here, there) = (committed("bench"), committed("bench_bench"));
    let (here, there) = (source.client.query(&here, &[]).await?, sink.client.query(&there, &[]).await?);
    let took = |(here, there): (&tokio_postgres::Row, &tokio_postgres::Row)| {
        (there.get::<_, i64>(0) - here.get::<_, i64>(0)) as f64 / 1e3
    };
    Ok(here.iter().zip(&there).map(took).collect())
}

fn quantile(took: &[f64], part: f64) -> f64 {
    let mut sorted = took.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (part * (sorted.len().max(1) - 1) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(0.0)
}

/// What a durable step costs on this disk while others use it: appends 4 KiB and syncs them, again and again, until it
/// is told to stop. Returns how long each took, in milliseconds.
fn sync_until(stop: &CancellationToken) -> Result<Vec<f64>> {
    let mut file = tempfile::tempfile()?;
    let mut each = Vec::new();
    while !stop.is_cancelled() {
        let started = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        each.push(started.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(BETWEEN_SYNCS);
    }
    Ok(each)
}
