//! A2: how small the agent is: its binary, its memory at rest, its time to connect.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use towpath_tests::resources::Documents;
use towpath_tests::scene::PLANT;

use crate::Options;
use crate::measure::{Figures, median};
use crate::ours::Ours;

const SOURCES: usize = 20;
const REST: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn run(options: &Options) -> Result<Figures> {
    let mut figures = Figures::new("idle", "A2: the size of the agent", options);
    figures.at_most("binary, files and link only", small_binary_mib()?, 15.0, "MiB");
    let mut ours = Ours::start().await?;
    let full = ours.fleet.binaries().agent();
    figures.at_most("binary, every adapter", mib(&full)?, 35.0, "MiB");
    add_sources(&ours).await?;
    ours.fleet.agent(PLANT).wait_linked().await?;
    tokio::time::sleep(REST).await;
    let rest = ours.fleet.agent(PLANT).usage()?;
    figures.at_most(
        "resident memory with 20 sources at rest",
        rest.rss as f64 / (1 << 20) as f64,
        20.0,
        "MiB",
    );
    figures.notes.push(format!(
        "Of the resident memory, {:.1} MiB are the agent's own; the rest are pages of its executable, which the kernel \
         drops when memory is short.",
        rest.anonymous as f64 / (1 << 20) as f64
    ));
    let mut starts = Vec::new();
    for _ in 0..options.runs {
        starts.push(start_to_connected(&mut ours).await?.as_secs_f64() * 1e3);
    }
    figures.at_most("start to connected, median", median(starts), 100.0, "ms");
    figures.notes.push("Peak memory while a file of any size is read: see bench `files`.".to_owned());
    Ok(figures)
}

/// Twenty sources on folders in which nothing happens.
async fn add_sources(ours: &Ours) -> Result<()> {
    let mut documents = Documents::new();
    for index in 0..SOURCES {
        let folder = ours.fleet.join(format!("quiet-{index}"));
        std::fs::create_dir(&folder)?;
        let rule =
            json!({ "include": ["*.csv"], "stream": format!("quiet.s{index}"), "format": { "csv": {} } });
        let config = json!({ "path": folder, "files": [rule] });
        let spec = json!({ "agent": PLANT, "adapter": "file", "config": config });
        documents = documents.with("Source", &format!("quiet-{index}"), &spec);
    }
    ours.fleet.apply(&documents).await
}

/// From the start of the process to the moment it says that it is linked.
async fn start_to_connected(ours: &mut Ours) -> Result<Duration> {
    let agent = ours.fleet.agent(PLANT);
    agent.terminate()?;
    let started = Instant::now();
    agent.start()?;
    loop {
        let linked = agent.metrics().await.is_ok_and(|metrics| metrics.sum("towpath_agent_linked", "") > 0.0);
        if linked {
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < LIMIT, "the agent is not linked after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Builds the agent without optional adapters, into a target folder of its own, and weighs it.
fn small_binary_mib() -> Result<f64> {
    let executable = std::env::current_exe()?;
    let profile = executable.parent().context("the executable lies in a folder")?;
    let target = profile.with_file_name("small-agent");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--quiet", "--package", "towpath-agent", "--no-default-features"];
    let built = Command::new(cargo)
        .args(arguments)
        .arg("--target-dir")
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .context("cargo does not run")?;
    if !built.success() {
        bail!("the agent cannot be built without its optional adapters");
    }
    mib(&target.join("release/towpath-agent"))
}

fn mib(file: &Path) -> Result<f64> {
    let metadata = std::fs::metadata(file).with_context(|| format!("{} is missing", file.display()))?;
    Ok(metadata.len() as f64 / (1 << 20) as f64)
}
