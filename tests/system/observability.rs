//! What is seen from outside.

use anyhow::{Context, Result};
use towpath_tests::data::Feed;
use towpath_tests::fleet::PATIENCE;
use towpath_tests::metrics::Metrics;
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};
use towpath_tests::wait::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_of_every_process_can_be_scraped() -> Result<()> {
    let mut scene = Scene::start(Setting::new(91)).await?;
    scene.drop_of(Feed::Orders)?;
    scene.drop_of(Feed::Movements)?;
    assert!(scene.settle().await?.is_none());
    let rows = scene.expected_rows() as f64;
    for name in [PLANT, CLOUD] {
        let port = scene.fleet.agent(name).metrics_port();
        let health = reqwest::get(format!("http://127.0.0.1:{port}/healthz")).await?;
        assert!(health.status().is_success(), "{name}: {}", health.text().await?);
    }
    let plant = scene.fleet.agent(PLANT).metrics().await?;
    assert_eq!(plant.sum("towpath_source_records_total", ""), rows);
    for name in ["towpath_spool_bytes", "towpath_source_lag_records", "towpath_source_lag_seconds"] {
        assert!(plant.has(name), "{name} is missing");
    }
    wait_until("the sinks have counted every row", PATIENCE, async || {
        let cloud = scene.fleet.agent(CLOUD).metrics().await?;
        Ok((cloud.sum("towpath_sink_records_total", "") == 2.0 * rows).then_some(()))
    })
    .await
    .with_context(|| scene.fleet.post_mortem())?;
    let control = Metrics::scrape(scene.fleet.control.metrics_port()).await?;
    for name in ["towpath_route_lag_records", "towpath_route_lag_bytes", "towpath_route_lag_seconds"] {
        assert!(control.has(name), "{name} is missing");
        assert_eq!(control.sum(name, ""), 0.0, "{name} after everything was delivered");
    }
    assert!(scene.fleet.api().get_text("/healthz").await.is_ok());
    assert!(scene.fleet.api().get("/openapi.json").await?["paths"].is_object());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_an_admin_is_an_event() -> Result<()> {
    let scene = Scene::start(Setting::new(92)).await?;
    let events = scene.fleet.api().get("/v1/events").await?.to_string();
    for part in ["to-database", "outbox", PLANT, CLOUD] {
        assert!(events.contains(part), "no event names {part}: {events}");
    }
    Ok(())
}
