//! The last segment of the spool, then of the region log, is cut short or its bits are flipped while its owner is down.
//!
//! What is promised: damage is found and put aside with a reason, everything starts, and
//! * damage to the spool loses nothing, since the source is released only by the region log: it is read again;
//! * damage to the log takes what it hit from replays, but no row that was delivered is delivered again, and every row
//!   that is captured afterwards arrives once. A file that was archived before is not read again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use towpath_tests::damage::{damage, last_segments};
use towpath_tests::scene::{PLANT, Scene, Setting};

use crate::Options;
use crate::run::Run;

const ROUNDS: u64 = 40;

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    let mut run = Run::begin("torn", seed, rounds);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scene = Scene::start(Setting::new(seed)).await?;
    for round in 0..rounds {
        match round % 2 {
            0 => tear_spool(&mut scene, &mut rng).await?,
            _ => tear_log(&mut scene, &mut rng).await?,
        }
        let faults = scene.settle().await?;
        if !run.round(&mut scene, 1, faults).await {
            break;
        }
    }
    run.end(&mut scene).await
}

/// Frames that the control plane does not have yet are damaged in the spool.
async fn tear_spool(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    scene.fleet.control.kill()?;
    for _ in 0..rng.u8(1..5) {
        scene.drop_any()?;
    }
    tokio::time::sleep(Duration::from_millis(rng.u64(300..1_500))).await;
    scene.fleet.agent(PLANT).kill()?;
    let spool = scene.fleet.agent(PLANT).state().join("spool");
    for segment in last_segments(&spool)? {
        let done = damage(&segment, rng)?;
        println!("  spool: {}: {}", short(&done.path), done.what);
    }
    scene.fleet.control.restart()?;
    scene.fleet.agent(PLANT).start()
}

/// Frames that every route has delivered are damaged in the log.
async fn tear_log(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    scene.fleet.control.kill()?;
    let frames: Vec<_> = last_segments(scene.fleet.control.data())?
        .into_iter()
        .filter(|path| path.parent().is_some_and(|log| log.ends_with("frames")))
        .collect();
    let segment = frames.first().context("the control plane has no log of frames")?;
    let done = damage(segment, rng)?;
    println!("  log: {}: {}", short(&done.path), done.what);
    scene.fleet.control.restart()?;
    for _ in 0..rng.u8(1..5) {
        scene.drop_any()?;
    }
    Ok(())
}

fn short(path: &std::path::Path) -> String {
    let parts: Vec<_> = path.components().rev().take(3).collect();
    parts.into_iter().rev().collect::<PathBuf>().display().to_string()
}
