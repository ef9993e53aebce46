//! The agent that reads loses everything on its disk but its identity, while files are dropped.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use towpath_tests::scene::{PLANT, Scene, Setting};

use crate::Options;
use crate::run::Run;

const ROUNDS: u64 = 40;

/// What stays: the key and the certificate, which a machine may hold elsewhere.
const IDENTITY: &str = "identity";

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    let mut run = Run::begin("losedisk", seed, rounds);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scene = Scene::start(Setting::new(seed)).await?;
    for _ in 0..rounds {
        lose_disk_while_dropping(&mut scene, &mut rng).await?;
        let faults = scene.settle().await?;
        if !run.round(&mut scene, 1, faults).await {
            break;
        }
    }
    run.end(&mut scene).await
}

async fn lose_disk_while_dropping(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    for _ in 0..rng.u8(1..5) {
        scene.drop_any()?;
    }
    tokio::time::sleep(Duration::from_millis(rng.u64(0..700))).await;
    let agent = scene.fleet.agent(PLANT);
    agent.kill()?;
    wipe(agent.state())?;
    agent.start()?;
    for _ in 0..rng.u8(0..3) {
        scene.drop_any()?;
    }
    Ok(())
}

fn wipe(state: &Path) -> Result<()> {
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.ends_with(IDENTITY) {
            continue;
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
