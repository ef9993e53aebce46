//! A few rounds of what the simulations do for hours.

use std::time::Duration;

use anyhow::Result;
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};

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
