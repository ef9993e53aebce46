//! The benches of the sources that read databases run, and what they promise of memory holds of a small transaction and of
//! long values too.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use towpath_tests::binaries::Binaries;

/// Runs a bench and returns its figures.
pub(crate) fn figures(name: &str, arguments: &[&str]) -> Result<Value> {
    let bench = Binaries::find()?.directory().join("bench");
    let output = Command::new(bench).arg(name).args(arguments).output().context("`bench` was not built")?;
    let (said, failed) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name}: {failed}");
    let figures = said.find("\n{").context("figures are printed as JSON")?;
    Ok(serde_json::from_str(&said[figures..])?)
}

/// Runs a bench and returns its goals.
fn goals(name: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    figures(name, arguments)?["goals"].as_array().cloned().context("figures have goals")
}

/// The goal is 128 MiB, for a build as it is shipped. One without optimisation takes more, and the client library of MariaDB
/// keeps the room of the longest event; one that holds a whole value, table or transaction takes far more than this.
const SMALL_MIB: [(&str, f64); 2] = [("pg-memory", 192.0), ("mysql-memory", 256.0)];

#[test]
fn the_agent_stays_small_whatever_a_database_holds() -> Result<()> {
    let mebibytes = |goal: &Value| goal["value"].as_str()?.strip_suffix(" MiB")?.parse::<f64>().ok();
    for (bench, most) in SMALL_MIB {
        let is_small = |goal: &Value| mebibytes(goal).is_some_and(|mebibytes| mebibytes <= most);
        let goals = goals(bench, &["--rows", "20000"])?;
        ensure!(goals.len() == 4 && goals.iter().all(is_small), "{bench}: {goals:#?}");
    }
    Ok(())
}

#[test]
fn each_bench_of_postgresql_measures_what_it_says() -> Result<()> {
    for (name, arguments) in [
        ("pg-snapshot", &["--rows", "2000", "--runs", "1"][..]),
        ("pg-cdc", &["--rows", "400", "--runs", "1"]),
        ("pg-latency", &["--rows", "400"]),
    ] {
        // In a build without optimisation its goals are not reached; all of them are measured.
        let goals = goals(name, arguments)?;
        ensure!(goals.len() >= 2, "{name}: {goals:#?}");
    }
    Ok(())
}

#[test]
fn the_bench_of_mariadb_measures_each_reader_at_each_size_of_transaction() -> Result<()> {
    let figures = figures("mysql-cdc", &["--rows", "1000", "--runs", "2"])?;
    let series = figures["series"].as_array().context("figures have series")?;
    ensure!(series.len() == 9, "three readers of three sizes: {series:#?}");
    let sizes = ["one in a transaction", "100 in a transaction", "500 in a transaction"];
    for (readers, size) in series.chunks(3).zip(sizes) {
        for (reader, way) in readers.iter().zip(["Towpath", "mariadb-binlog, bytes", "mariadb-binlog, rows"])
        {
            let name = reader["name"].as_str().context("a series has a name")?;
            ensure!(name.starts_with(way) && name.ends_with(size), "{name} is not {way}, {size}");
            let trials = reader["trials"].as_array().context("a series has trials")?;
            let read = |trial: &Value| trial["rows"] == 1000 && trial["seconds"].as_f64() > Some(0.0);
            ensure!(trials.len() == 2 && trials.iter().all(read), "{name}: {trials:#?}");
        }
    }
    let goals = figures["goals"].as_array().context("figures have goals")?;
    ensure!(goals.len() == 9, "each size has two ratios and a cost: {goals:#?}");
    Ok(())
}
