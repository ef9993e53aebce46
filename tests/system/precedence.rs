//! A source in need goes first: the other sources of its agent wait, and lose nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio_postgres::NoTls;
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_tests::data::Feed;
use towpath_tests::fleet::PATIENCE;
use towpath_tests::resources::Documents;
use towpath_tests::scene::{PLANT, Scene, Setting};
use towpath_tests::wait::wait_until;

const PASSWORD_VARIABLE: &str = "TOWPATH_TEST_PASSWORD";
/// Longer than a file needs to its sinks.
const A_WHILE: Duration = Duration::from_secs(3);

/// How many sources of the plant wait for another.
async fn paused(scene: &mut Scene) -> Result<f64> {
    Ok(scene.fleet.agent(PLANT).metrics().await?.sum("towpath_source_paused", ""))
}

async fn wait_paused(scene: &mut Scene, sources: f64) -> Result<()> {
    let what = format!("{sources} sources wait for another");
    let waited = wait_until(&what, PATIENCE, async || Ok((paused(scene).await? == sources).then_some(())));
    let waited = waited.await;
    waited.with_context(|| scene.fleet.post_mortem())
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_wait_for_one_whose_slot_keeps_too_much_go_on_without_loss() -> Result<()> {
    let server = PostgresServer::start_with(&["wal_level=logical"], &[])?;
    let (mut client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE sales (id int PRIMARY KEY, note text)").await?;
    let mut setting = Setting::new(93);
    setting.plan.agent_environment = vec![(PASSWORD_VARIABLE.to_owned(), "towpath".to_owned())];
    let mut scene = Scene::start(setting).await?;
    scene.drop_of(Feed::Orders)?;
    ensure!(scene.settle().await?.is_none());
    let shop = json!({ "agent": PLANT, "adapter": "postgres", "config": {
        "host": "127.0.0.1", "port": server.port(), "database": "postgres", "user": "towpath",
        "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" },
        "stream": "shop.{table}", "heartbeat": "200ms", "max_slot_lag_bytes": "2MiB", "on_slot_lag": "pause_others",
    }});
    scene.fleet.apply(&Documents::new().with("Source", "shop", &shop)).await?;
    let following = "SELECT 1 FROM pg_stat_replication";
    wait_until("the shop is followed", PATIENCE, async || {
        Ok((!client.query(following, &[]).await?.is_empty()).then_some(()))
    })
    .await
    .with_context(|| scene.fleet.post_mortem())?;
    ensure!(paused(&mut scene).await? == 0.0, "the slot keeps little");

    // The server keeps its log from the beginning of the oldest transaction on.
    let open = client.transaction().await?;
    open.batch_execute(
        "INSERT INTO sales SELECT i, repeat(md5(i::text), 40) FROM generate_series(1, 5000) i",
    )
    .await?;
    wait_paused(&mut scene, 2.0).await?;
    let told = wait_until("the status tells for whom they wait", PATIENCE, async || {
        let status = scene.fleet.api().get("/v1/status").await?.to_string();
        Ok((status.matches("paused for source shop").count() >= 2).then_some(()))
    });
    told.await.with_context(|| scene.fleet.post_mortem())?;
    let before = scene.rows_in_database();
    for feed in [Feed::Orders, Feed::Movements, Feed::Orders] {
        scene.drop_of(feed)?;
    }
    tokio::time::sleep(A_WHILE).await;
    scene.look()?;
    ensure!(scene.rows_in_database() == before, "rows of sources that wait arrived");

    open.commit().await?;
    // Once the rows are in the region log, the server may remove its own, which it does from its next checkpoint on.
    wait_until("the sources go on", PATIENCE, async || {
        client.batch_execute("CHECKPOINT").await?;
        Ok((paused(&mut scene).await? == 0.0).then_some(()))
    })
    .await
    .with_context(|| scene.fleet.post_mortem())?;
    ensure!(scene.settle().await?.is_none(), "{:?}", scene.faults());
    ensure!(scene.read_again().await?.is_none());
    scene.wait_archived().await
}
