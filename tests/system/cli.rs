//! The admins' command line.

use anyhow::Result;
use serde_json::Value;
use towpath_tests::data::Feed;
use towpath_tests::fleet::{Fleet, Plan};
use towpath_tests::scene::{Scene, Setting};

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_file_is_told_with_file_line_and_the_nearest_key() -> Result<()> {
    let fleet = Fleet::start(Plan { agents: Vec::new(), ..Plan::default() }).await?;
    let file = fleet.join("site.yaml");
    std::fs::write(
        &file,
        "apiVersion: towpath/v1\nkind: Site\nmetadata:\n  name: plant\nspec:\n  regoin: main\n",
    )?;
    let output = fleet.cli().args(["apply", "-f"]).arg(&file).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["site.yaml", "6", "regoin", "region"] {
        assert!(said.contains(part), "{part:?} is not told: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_the_same_twice_changes_nothing_and_what_is_used_is_not_deleted() -> Result<()> {
    let fleet = Fleet::start(Plan { agents: vec!["plant".to_owned()], ..Plan::default() }).await?;
    let file = fleet.join("site.yaml");
    std::fs::write(
        &file,
        "apiVersion: towpath/v1\nkind: Site\nmetadata:\n  name: depot\nspec:\n  description: a depot\n",
    )?;
    let path = file.display().to_string();
    assert!(fleet.run_cli(&["apply", "-f", &path])?.contains("created"));
    assert!(fleet.run_cli(&["apply", "-f", &path])?.contains("unchanged"));
    let output = fleet.cli().args(["delete", "site", "plant"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("plant"), "a site in use was deleted: {said}");
    fleet.run_cli(&["delete", "site", "depot"])?;
    assert!(!fleet.run_cli(&["get", "sites", "-o", "name"])?.contains("depot"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_described_end_to_end_with_its_guarantee() -> Result<()> {
    let mut scene = Scene::start(Setting::new(81)).await?;
    scene.drop_of(Feed::Orders)?;
    assert!(scene.settle().await?.is_none());
    let described = towpath_tests::wait::wait_until(
        "the sink's guarantee is known",
        towpath_tests::fleet::PATIENCE,
        async || {
            let text = scene.fleet.run_cli(&["describe", "route", "to-database"])?;
            Ok(text.to_lowercase().replace('_', " ").contains("exactly once").then_some(text))
        },
    )
    .await?;
    for part in ["erp", "database", "erp.orders"] {
        assert!(described.contains(part), "{part:?} is not told: {described}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_the_records_of_a_stream() -> Result<()> {
    let mut scene = Scene::start(Setting::new(82)).await?;
    let file = loop {
        let file = scene.drop_of(Feed::Movements)?;
        if file.rows.len() > 3 {
            break file;
        }
    };
    assert!(scene.settle().await?.is_none());
    let rows = scene.expected_rows();
    let shown = scene.fleet.run_cli(&[
        "tail",
        "erp.movements",
        "--from",
        "earliest",
        "--limit",
        &rows.to_string(),
    ])?;
    let records: Vec<Value> = shown.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(records.len(), rows, "{shown}");
    assert!(shown.contains(&file.rows[0].key), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_without_the_admins_token() -> Result<()> {
    let fleet = Fleet::start(Plan { agents: Vec::new(), ..Plan::default() }).await?;
    for path in ["/v1/sites", "/v1/status", "/v1/events", "/v1/deadletters", "/v1/tokens"] {
        let refused =
            fleet.api().with_token("guess").get(path).await.expect_err("a guess is no token").to_string();
        assert!(refused.contains("401"), "{path}: {refused}");
    }
    Ok(())
}
