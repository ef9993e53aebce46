//! Files go in, rows come out.

use anyhow::{Context, Result};
use serde_json::json;
use towpath_tests::data::{Feed, Mix};
use towpath_tests::fleet::PATIENCE;
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};
use towpath_tests::sinks::FileReader;
use towpath_tests::wait::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_dropped_file_reaches_database_and_outbox_once() -> Result<()> {
    let one_row = Mix { lines: 1..=1, bad: 0.0, duplicates: 0.0, compressed: false };
    let mut scene = Scene::start(Setting { mix: one_row, ..Setting::new(1) }).await?;
    scene.drop_of(Feed::Customers)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}");
    assert_eq!(scene.rows_in_database(), 1);
    scene.wait_archived().await
}

async fn every_format_arrives_in_an_outbox_of(outbox_format: &'static str) -> Result<()> {
    let mut scene = Scene::start(Setting { outbox_format, ..Setting::new(2) }).await?;
    for feed in Feed::ALL {
        for _ in 0..4 {
            scene.drop_of(feed)?;
        }
    }
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}\n{}", scene.status().await);
    let again = scene.read_again().await?;
    assert!(again.is_none(), "{again}");
    assert!(scene.check_dead_letters().await? > 0, "the files of this seed have bad lines");
    scene.wait_archived().await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_format_arrive_as_json_lines() -> Result<()> {
    every_format_arrives_in_an_outbox_of("json_lines").await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_format_arrive_as_csv() -> Result<()> {
    every_format_arrives_in_an_outbox_of("csv").await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_format_arrive_as_parquet() -> Result<()> {
    every_format_arrives_in_an_outbox_of("parquet").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_finished_when_its_time_is_over_even_if_nothing_follows() -> Result<()> {
    let mut scene = Scene::start(Setting::new(5)).await?;
    let patient = scene.fleet.join("out/patient");
    let roll = json!({ "bytes": "64MiB", "every": "2s" });
    let config = json!({ "path": patient, "format": "json_lines", "roll": roll });
    let documents = Documents::new()
        .with("Sink", "patient", &json!({ "agent": CLOUD, "adapter": "file", "config": config }))
        .with_route("to-patient", "patient");
    scene.fleet.apply(&documents).await?;
    scene.drop_of(Feed::Orders)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}");
    let reader = FileReader::new(&patient);
    wait_until("the file is finished", PATIENCE, async || Ok((!reader.finished()?.is_empty()).then_some(())))
        .await
        .with_context(|| scene.fleet.post_mortem())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_from_its_last_good_state_while_the_control_plane_is_away() -> Result<()> {
    let mut scene = Scene::start(Setting::new(3)).await?;
    scene.drop_of(Feed::Orders)?;
    assert!(scene.settle().await?.is_none());
    scene.fleet.control.terminate()?;
    scene.fleet.agent(PLANT).terminate()?;
    scene.fleet.agent(PLANT).start()?;
    for _ in 0..3 {
        scene.drop_of(Feed::Orders)?;
    }
    let new_rows = (scene.expected_rows() - scene.rows_in_database()) as f64;
    let plant = scene.fleet.agent(PLANT);
    wait_until("the agent captures the rows on its own", PATIENCE, async || {
        let captured = plant.metrics().await.ok().map_or(0.0, |m| m.sum("towpath_source_records_total", ""));
        Ok((captured >= new_rows).then_some(()))
    })
    .await?;
    scene.fleet.control.restart()?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_read_says_why_and_the_others_go_on() -> Result<()> {
    let mut scene = Scene::start(Setting::new(4)).await?;
    let nowhere = scene.fleet.join("nowhere");
    let rule = json!({ "include": ["*"], "stream": "lost.rows", "format": "lines" });
    let spec = json!({ "agent": PLANT, "adapter": "file", "config": { "path": nowhere, "files": [rule] } });
    scene.fleet.apply(&Documents::new().with("Source", "lost", &spec)).await?;
    scene.drop_of(Feed::Journal)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}");
    wait_until("the status names the folder", PATIENCE, async || {
        Ok(scene.status().await.contains("nowhere").then_some(()))
    })
    .await?;
    assert!(scene.fleet.agent(CLOUD).is_running());
    Ok(())
}
