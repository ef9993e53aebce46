//! Requests that are sent again after a crash.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath_tests::fleet::{Fleet, Plan};
use walkdir::WalkDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_after_the_control_plane_was_killed_is_answered_again_and_not_done_again()
-> Result<()> {
    let mut fleet = Fleet::start(Plan { agents: vec!["plant".to_owned()], ..Plan::default() }).await?;
    let order = json!({ "site": "plant", "ttl": "1h" });
    let first = fleet.api().post_once("/v1/tokens", "order-1", &order).await?;
    let tokens = fleet.api().get("/v1/tokens").await?;
    fleet.control.kill()?;
    fleet.control.restart()?;
    fleet.control.wait_ready().await?;

    let again = fleet.api().post_once("/v1/tokens", "order-1", &order).await?;
    assert_eq!(again, first);
    assert_eq!(fleet.api().get("/v1/tokens").await?, tokens, "it was done again");
    let other = json!({ "site": "plant", "ttl": "2h" });
    let refused = fleet.api().post_once("/v1/tokens", "order-1", &other).await.unwrap_err().to_string();
    assert!(refused.contains("another request"), "{refused}");

    let secret = first["token"].as_str().context("a token is shown once")?.as_bytes();
    let mut files = 0;
    for entry in WalkDir::new(fleet.control.data()) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files += 1;
            let bytes = std::fs::read(entry.path())?;
            let shows = bytes.windows(secret.len()).any(|part| part == secret);
            ensure!(!shows, "{} has the secret of an answer", entry.path().display());
        }
    }
    ensure!(files > 0, "nothing was looked at");
    Ok(())
}
