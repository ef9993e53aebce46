//! The region log forgets what is old, and only what was delivered.

use anyhow::{Context, Result};
use towpath_tests::data::{Feed, Mix};
use towpath_tests::fleet::{PATIENCE, Plan};
use towpath_tests::scene::{CLOUD, Scene, Setting};
use towpath_tests::wait::wait_until;
use walkdir::WalkDir;

const CONFIG: &str = "log: { segment_bytes: 64KiB, retention_age: 1s, retention_bytes: 10GiB }\n";

fn segments(scene: &Scene) -> usize {
    let frames = |path: &std::path::Path| path.parent().is_some_and(|log| log.ends_with("frames"));
    let files = WalkDir::new(scene.fleet.control.data()).into_iter().flatten();
    files.filter(|f| frames(f.path()) && f.path().extension().is_some_and(|e| e == "seg")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_and_old_is_removed_and_what_is_not_delivered_stays() -> Result<()> {
    let plan = Plan { control_config: Some(CONFIG.to_owned()), ..Plan::default() };
    let mix = Mix { lines: 1_500..=2_000, compressed: false, ..Mix::default() };
    let mut scene = Scene::start(Setting { plan, mix, ..Setting::new(31) }).await?;
    scene.fleet.agent(CLOUD).terminate()?;
    for _ in 0..8 {
        scene.drop_of(Feed::Movements)?;
    }
    scene.wait_archived().await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let held = segments(&scene);
    assert!(held > 2, "the log holds {held} segments of what no route has delivered");

    scene.fleet.agent(CLOUD).start()?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "retention took what was not delivered: {faults}");
    wait_until("delivered segments are removed", 2 * PATIENCE, async || {
        Ok((segments(&scene) <= 2).then_some(()))
    })
    .await
    .with_context(|| format!("{} segments\n{}", segments(&scene), scene.fleet.post_mortem()))?;
    // The chain goes on behind what was removed.
    scene.drop_of(Feed::Movements)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}");
    Ok(())
}
