//! A full disk under the agent's spool, then under the control plane's log and catalog. Work must go on by itself when
//! there is space again, and nothing may be lost, doubled or brought down meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use towpath_tests::data::Mix;
use towpath_tests::fleet::Plan;
use towpath_tests::scene::{PLANT, Scene, Setting};

use crate::Options;
use crate::run::Run;

const ROUNDS: u64 = 20;
const DISK_BYTES: u64 = 160 << 20;
/// Less than a round's files, so that each round meets the end of the disk.
const MOST_LEFT: u64 = 192 << 10;
/// Small segments, so that the log asks the disk for space often.
const CONTROL_CONFIG: &str = "log: { segment_bytes: 1MiB }\n";

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    let mut run = Run::begin("diskfull", seed, rounds);
    let mut rng = fastrand::Rng::with_seed(seed);
    let plan = Plan {
        small_disks: [PLANT, "control"].map(|folder| (folder.to_owned(), DISK_BYTES)).to_vec(),
        agent_arguments: ["--spool-min-free", "64KiB"].map(str::to_owned).to_vec(),
        control_config: Some(CONTROL_CONFIG.to_owned()),
        ..Plan::default()
    };
    let mix = Mix { lines: 1_000..=4_000, ..Mix::default() };
    let mut scene = Scene::start(Setting { plan, mix, ..Setting::new(seed) }).await?;
    for round in 0..rounds {
        match round % 2 {
            0 => fill_agent(&mut scene, &mut rng).await?,
            _ => fill_control_plane(&mut scene, &mut rng).await?,
        }
        let faults = scene.settle().await?;
        if !run.round(&mut scene, 1, faults).await {
            break;
        }
    }
    run.end(&mut scene).await
}

/// The control plane is away, so the spool fills until the disk is full; then there is space again.
async fn fill_agent(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    scene.fleet.control.kill()?;
    scene.fleet.small_disks()[0].fill(rng.u64(0..MOST_LEFT))?;
    drop_files(scene, rng).await?;
    let running = scene.fleet.agent(PLANT).is_running();
    ensure!(running, "the agent ended when its disk was full\n{}", scene.fleet.post_mortem());
    scene.fleet.small_disks()[0].relieve()?;
    scene.fleet.control.restart()
}

/// The disk under log and catalog is full while the agent sends; the agent waits.
async fn fill_control_plane(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    scene.fleet.small_disks()[1].fill(rng.u64(0..MOST_LEFT))?;
    drop_files(scene, rng).await?;
    if rng.bool() {
        // Not even a restart on a full disk may lose what is there.
        scene.fleet.control.kill()?;
        scene.fleet.control.restart()?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let running = scene.fleet.control.is_running() && scene.fleet.agent(PLANT).is_running();
    ensure!(running, "a process ended when the control plane's disk was full\n{}", scene.fleet.post_mortem());
    scene.fleet.small_disks()[1].relieve()
}

async fn drop_files(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<()> {
    for _ in 0..rng.u8(3..7) {
        scene.drop_any()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    Ok(())
}
