//! The same content twice.

use anyhow::{Context, Result};
use serde_json::json;
use towpath_tests::data::Feed;
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::{Documents, file_source};
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::sinks::SqliteReader;
use towpath_tests::wait::wait_until;

const CONTENT: &str = "seq,customer_no,item,quantity,price,note\n1,K1,a,5,1.25,x\n2,K1,b,5,1.25,y\n";
const OTHER: &str = "seq,customer_no,item,quantity,price,note\n3,K1,a,5,1.25,x\n";

/// Drops a file, the same content under another name, and other content under the first name; returns the number of rows.
async fn rows_after_a_duplicate(policy: &str, expected: usize) -> Result<()> {
    let fleet = Fleet::start(Plan::default()).await?;
    let (drop, database) = (fleet.join("drop"), fleet.join("erp.db"));
    std::fs::create_dir_all(&drop)?;
    let mut spec = file_source(PLANT, &drop, &[Feed::Orders]);
    spec["config"]["duplicate"] = json!(policy);
    let documents = Documents::new()
        .with("Source", "erp", &spec)
        .with_sqlite_sink("database", CLOUD, &database)
        .with_route("to-database", "database");
    fleet.apply(&documents).await?;
    for (name, content) in [("orders-1.csv", CONTENT), ("orders-2.csv", CONTENT), ("orders-1.csv", OTHER)] {
        let path = drop.join(name);
        std::fs::write(&path, content)?;
        wait_until("the file is put away", PATIENCE, async || Ok((!path.exists()).then_some(())))
            .await
            .with_context(|| fleet.post_mortem())?;
    }
    let reader = SqliteReader::new(&database);
    wait_until("the rows are in the database", PATIENCE, async || {
        let rows = reader.count()?;
        anyhow::ensure!(rows <= expected, "{rows} rows for {expected}");
        Ok((rows == expected).then_some(()))
    })
    .await
    .with_context(|| fleet.post_mortem())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_skipped_and_new_content_under_an_old_name_is_loaded() -> Result<()> {
    rows_after_a_duplicate("skip", 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_loaded_again_where_the_admin_says_so() -> Result<()> {
    rows_after_a_duplicate("load", 5).await
}
