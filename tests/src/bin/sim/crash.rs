//! kill -9 of any process at any instant, while files of all formats are dropped.

use std::time::Duration;

use anyhow::Result;
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};

use crate::Options;
use crate::run::Run;

const ROUNDS: u64 = 300;

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    let mut run = Run::begin("crash", seed, rounds);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scene = Scene::start(Setting::new(seed)).await?;
    for _ in 0..rounds {
        let kills = kill_while_dropping(&mut scene, &mut rng).await?;
        let faults = scene.settle().await?;
        if !run.round(&mut scene, kills, faults).await {
            break;
        }
    }
    run.end(&mut scene).await
}

/// Drops a few files and kills a few processes at random instants among them; all run again at the end.
pub(crate) async fn kill_while_dropping(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<u64> {
    let (files, kills) = (rng.u64(2..8), rng.u64(1..4));
    let mut acts = vec![true; usize::try_from(files)?];
    acts.resize(acts.len() + usize::try_from(kills)?, false);
    rng.shuffle(&mut acts);
    for drops in acts {
        pause(rng, 150).await;
        match drops {
            true => drop(scene.drop_any()?),
            false => kill_one(scene, rng).await?,
        }
    }
    Ok(kills)
}

async fn kill_one(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    let fleet = &mut scene.fleet;
    match rng.u8(0..3) {
        0 => {
            fleet.control.kill()?;
            pause(rng, 300).await;
            fleet.control.restart()
        }
        victim => {
            let agent = fleet.agent(if victim == 1 { PLANT } else { CLOUD });
            agent.kill()?;
            pause(rng, 300).await;
            agent.start()
        }
    }
}

async fn pause(rng: &mut fastrand::Rng, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.u64(0..most_ms))).await;
}
