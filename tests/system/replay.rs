//! Routes that are filled from the retained log.

use anyhow::{Context, Result, ensure};
use towpath_tests::data::{Feed, Mix};
use towpath_tests::fleet::PATIENCE;
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, Scene, Setting};
use towpath_tests::sinks::SqliteReader;
use towpath_tests::wait::wait_until;

async fn wait_rows(scene: &Scene, database: &std::path::Path, expected: usize) -> Result<()> {
    let reader = SqliteReader::new(database);
    wait_until("the rows are in the database", PATIENCE, async || {
        let rows = reader.count()?;
        ensure!(rows <= expected, "{rows} rows for {expected}");
        Ok((rows == expected).then_some(()))
    })
    .await
    .with_context(|| scene.fleet.post_mortem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_route_is_filled_from_the_log_and_a_replayed_route_delivers_anew() -> Result<()> {
    let mix = Mix { duplicates: 0.0, ..Mix::default() };
    let mut scene = Scene::start(Setting { mix, ..Setting::new(21) }).await?;
    for feed in Feed::ALL {
        scene.drop_of(feed)?;
    }
    assert!(scene.settle().await?.is_none());
    let rows = scene.expected_rows();

    let second = scene.fleet.join("out/second.db");
    let documents =
        Documents::new().with_sqlite_sink("second", CLOUD, &second).with_route("to-second", "second");
    scene.fleet.apply(&documents).await?;
    wait_rows(&scene, &second, rows).await?;

    scene.fleet.run_cli(&["replay", "to-second", "--from", "earliest"])?;
    wait_rows(&scene, &second, 2 * rows).await?;
    let faults = scene.read_again().await?;
    assert!(faults.is_none(), "the other routes saw nothing of it: {faults}");
    Ok(())
}
