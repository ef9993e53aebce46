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

#[tokio::test(flavor = "multi_thread")]
async fn logs_shows_what_an_agent_writes_and_names_one_that_is_not_there() -> Result<()> {
    let mut fleet = Fleet::start(Plan { agents: vec!["plant".to_owned()], ..Plan::default() }).await?;
    fleet.agent("plant").wait_linked().await?;
    let text = fleet.run_cli(&["logs", "plant"])?;
    assert!(text.lines().any(|line| line.contains("INFO") || line.contains("info")), "{text}");
    let lines = fleet.run_cli(&["logs", "plant", "--tail", "1", "-o", "json"])?;
    let line: Value = serde_json::from_str(lines.trim())?;
    assert!(line["at"].is_string() && line["message"].is_string(), "{line}");
    let output = fleet.cli().args(["logs", "nobody"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("nobody"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_wrong_and_then_names_what_is() -> Result<()> {
    let mut fleet = Fleet::start(Plan { agents: Vec::new(), ..Plan::default() }).await?;
    let well = fleet.run_cli(&["doctor", "-o", "json"])?;
    let findings: Value = serde_json::from_str(&well)?;
    let verdicts = |findings: &Value| -> Vec<String> {
        let each = findings.as_array().into_iter().flatten();
        each.map(|one| one["verdict"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert!(verdicts(&findings).len() > 3 && !verdicts(&findings).contains(&"failed".to_owned()), "{well}");
    fleet.control.kill()?;
    let output = fleet.cli().args(["doctor", "-o", "json"]).output()?;
    let findings: Value = serde_json::from_slice(&output.stdout)?;
    assert!(!output.status.success());
    let failed: Vec<_> =
        findings.as_array().into_iter().flatten().filter(|one| one["verdict"] == "failed").collect();
    assert!(failed.len() == 1 && failed[0]["remedy"].is_string(), "one cause is told once: {findings}");
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn edit_changes_a_resource_by_an_editor_and_shows_faults_until_they_are_mended() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let fleet = Fleet::start(Plan { agents: Vec::new(), ..Plan::default() }).await?;
    fleet
        .api()
        .apply("apiVersion: towpath/v1\nkind: Site\nmetadata: {name: depot}\nspec: {description: old}\n")
        .await?;
    // Writes a fault first; mends it when the fault is shown above the text.
    let editor = fleet.join("editor.sh");
    std::fs::write(
        &editor,
        "#!/bin/sh\nif grep -q '^# .*descriptoin' \"$1\"; then sed -i 's/^  descriptoin: new/  description: new/' \"$1\"\n\
         else sed -i 's/description: old/descriptoin: new/' \"$1\"; fi\n",
    )?;
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755))?;
    let editor = editor.display().to_string();
    let said = fleet.run_cli(&["edit", "site", "depot", "--editor", &editor])?;
    assert!(said.contains("Site depot changed") || said.contains("site depot changed"), "{said}");
    assert_eq!(fleet.api().get("/v1/sites/depot").await?["spec"]["description"], "new");
    let said = fleet.run_cli(&["edit", "site", "depot", "--editor", "true"])?;
    assert!(said.contains("unchanged"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_is_selected_by_labels() -> Result<()> {
    let fleet = Fleet::start(Plan { agents: Vec::new(), ..Plan::default() }).await?;
    for (name, labels) in [("a", "{tier: gold}"), ("b", "{tier: silver}"), ("c", "{}")] {
        let site =
            format!("apiVersion: towpath/v1\nkind: Site\nmetadata: {{name: {name}, labels: {labels}}}\n");
        fleet.api().apply(&site).await?;
    }
    let names = |selector: &str| fleet.run_cli(&["get", "sites", "-o", "name", "-l", selector]);
    assert_eq!(names("tier=silver")?, "site/b\n");
    assert_eq!(names("tier!=silver")?, "site/a\nsite/c\n");
    assert_eq!(names("tier")?, "site/a\nsite/b\n");
    assert_eq!(names("!tier")?, "site/c\n");
    let sorted = fleet.run_cli(&["get", "sites", "-o", "name", "--sort", "-metadata.labels.tier"])?;
    assert_eq!(sorted, "site/b\nsite/a\nsite/c\n");
    Ok(())
}
