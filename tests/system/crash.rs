//! A few rounds of what the simulations do for hours.

use std::time::Duration;

use anyhow::{Context, Result};
use towpath_tests::damage::last_segments;
use towpath_tests::data::Feed;
use towpath_tests::fleet::PATIENCE;
use towpath_tests::folder;
use towpath_tests::resources::{Documents, file_source};
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};
use towpath_tests::wait::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn each_process_is_killed_while_files_flow_and_no_row_is_lost_or_doubled() -> Result<()> {
    let mut scene = Scene::start(Setting::new(41)).await?;
    for round in 0..3 {
        for victim in [PLANT, "control", CLOUD] {
            scene.drop_any()?;
            scene.drop_any()?;
            tokio::time::sleep(Duration::from_millis(100 + 130 * round)).await;
            match victim {
                "control" => {
                    scene.fleet.control.kill()?;
                    scene.fleet.control.restart()?;
                }
                agent => {
                    scene.fleet.agent(agent).kill()?;
                    scene.fleet.agent(agent).start()?;
                }
            }
        }
        let faults = scene.settle().await?;
        assert!(faults.is_none(), "round {round}: {faults}\n{}", scene.status().await);
    }
    let again = scene.read_again().await?;
    assert!(again.is_none(), "{again}");
    scene.check_dead_letters().await?;
    scene.wait_archived().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_lost_its_disk_goes_on_without_loss_or_repeat() -> Result<()> {
    let mut scene = Scene::start(Setting::new(42)).await?;
    for _ in 0..6 {
        scene.drop_any()?;
    }
    assert!(scene.settle().await?.is_none());
    scene.drop_any()?;
    let plant = scene.fleet.agent(PLANT);
    plant.kill()?;
    for entry in std::fs::read_dir(plant.state())? {
        let path = entry?.path();
        match path.file_name().is_some_and(|name| name == "identity") {
            true => {}
            false if path.is_dir() => std::fs::remove_dir_all(path)?,
            false => std::fs::remove_file(path)?,
        }
    }
    plant.start()?;
    for _ in 0..4 {
        scene.drop_any()?;
    }
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}\n{}", scene.status().await);
    let again = scene.read_again().await?;
    assert!(again.is_none(), "{again}");
    scene.wait_archived().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_control_plane_is_noticed_at_the_next_word_and_not_by_silence() -> Result<()> {
    let mut scene = Scene::start(Setting::new(43)).await?;
    scene.drop_any()?;
    assert!(scene.settle().await?.is_none());
    scene.fleet.control.kill()?;
    scene.fleet.control.restart()?;
    scene.drop_any()?;
    assert!(scene.settle().await?.is_none());
    let log = std::fs::read_to_string(scene.fleet.join("plant.log"))?;
    assert!(log.contains("reset by peer") && !log.contains("fell silent"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_goes_on_without_loss_or_repeat() -> Result<()> {
    let mut scene = Scene::start(Setting::new(44)).await?;
    for _ in 0..6 {
        scene.drop_any()?;
    }
    assert!(scene.settle().await?.is_none());
    scene.wait_archived().await?;
    scene.fleet.control.kill()?;
    let log = scene.fleet.control.data().join("regions/main/log");
    let segment = last_segments(&log.join("frames"))?.pop().context("the log has a segment")?;
    let bytes = std::fs::read(&segment)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
    std::fs::write(&segment, &bytes[..used / 2])?;
    scene.fleet.control.restart()?;
    for _ in 0..6 {
        scene.drop_any()?;
    }
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}\n{}", scene.status().await);
    let again = scene.read_again().await?;
    assert!(again.is_none(), "{again}");
    let lost = scene.fleet.api().get("/v1/status").await?["logs"][0]["lost_frames"].as_u64();
    assert!(lost.is_some_and(|frames| frames > 0), "{lost:?} frames are told to be lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_the_spool_releases_puts_files_away_while_the_control_plane_is_down() -> Result<()> {
    let mut scene = Scene::start(Setting::new(45)).await?;
    release_when(&scene, "spool").await?;
    scene.drop_any()?;
    assert!(scene.settle().await?.is_none());
    scene.fleet.control.terminate()?;
    for _ in 0..5 {
        scene.drop_any()?;
    }
    scene.wait_archived().await?;
    scene.fleet.agent(PLANT).kill()?;
    scene.fleet.agent(PLANT).start()?;
    scene.drop_any()?;
    scene.wait_archived().await?;
    scene.fleet.control.restart()?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}\n{}", scene.status().await);
    let again = scene.read_again().await?;
    assert!(again.is_none(), "{again}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_spool_holds_is_not_dropped_when_another_took_the_lane_over() -> Result<()> {
    let mut scene = Scene::start(Setting::new(46)).await?;
    release_when(&scene, "spool").await?;
    scene.drop_of(Feed::Customers)?;
    scene.drop_of(Feed::Movements)?;
    assert!(scene.settle().await?.is_none());
    scene.fleet.control.terminate()?;
    scene.drop_of(Feed::Customers)?;
    scene.drop_of(Feed::Movements)?;
    scene.wait_archived().await?;
    let kept = scene.fleet.join("kept");
    let plant = scene.fleet.agent(PLANT);
    plant.kill()?;
    std::fs::rename(plant.state(), &kept)?;
    std::fs::create_dir(plant.state())?;
    folder::copy(&kept.join("identity"), &plant.state().join("identity"))?;
    scene.fleet.control.restart()?;
    scene.fleet.agent(PLANT).start()?;
    scene.drop_of(Feed::Orders)?;
    scene.wait_archived().await?;
    let plant = scene.fleet.agent(PLANT);
    plant.kill()?;
    std::fs::remove_dir_all(plant.state())?;
    std::fs::rename(&kept, plant.state())?;
    plant.start()?;
    let told = wait_until("the source tells what is at stake", PATIENCE, async || {
        let status = scene.fleet.api().get("/v1/status").await?.to_string();
        Ok(status.contains("`release: log` gives them up").then_some(()))
    });
    told.await.with_context(|| scene.fleet.post_mortem())?;
    release_when(&scene, "log").await?;
    scene.drop_of(Feed::Orders)?;
    scene.wait_archived().await
}

async fn release_when(scene: &Scene, release: &str) -> Result<()> {
    let mut documents = Documents::new();
    let sources = [("erp", [Feed::Customers, Feed::Orders]), ("wms", [Feed::Movements, Feed::Journal])];
    for (name, feeds) in sources {
        let mut spec = file_source(PLANT, &scene.fleet.join(format!("drop/{name}")), &feeds);
        spec["release"] = release.into();
        documents = documents.with("Source", name, &spec);
    }
    scene.fleet.apply(&documents).await
}
