//! Files are put away once their rows are durable, and not before.

use std::sync::Arc;

use serde_json::json;
use towpath_adapter_api::{MemoryCache, Rows};

use crate::harness::{Agent, eventually, exists};

const ONE: &str = "id,name\n1,a\n2,b\n";
const TWO: &str = "id,name\n3,c\n";

fn csv(settings: serde_json::Value) -> Agent {
    Agent::new(json!({"format": "csv"}), settings)
}

#[tokio::test]
async fn a_file_stays_until_it_is_released_and_then_moves_to_the_archive() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    let mut run = agent.start();
    agent.receive(&mut run).await;
    assert!(agent.is_quiet(&mut run).await);
    assert_eq!(agent.files(), ["a.csv"]);
    assert_eq!(agent.files_done(), 1);
    agent.release(&run).await;
    assert_eq!(agent.files(), ["archive/a.csv"]);
    assert_eq!(agent.rows(), [json!({"id": 1, "name": "a"}), json!({"id": 2, "name": "b"})]);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn rows_say_that_they_are_new_and_when_their_file_was_written() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    agent.run_until(|agent| agent.files_done() == 1).await;
    let Rows::Records { schema, batch } = &agent.durable[0].rows else { panic!("rows come first") };
    assert_eq!(batch.schema_ref(), schema.arrow());
    assert_eq!(batch.column(0).as_ref(), &arrow_array::UInt8Array::from(vec![1, 1]));
    let modified = std::fs::metadata(agent.path("a.csv")).unwrap().modified().unwrap();
    let micros = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let times: &arrow_array::TimestampMicrosecondArray = batch.column(1).as_any().downcast_ref().unwrap();
    assert_eq!(times.value(1) as u128, micros);
}

#[tokio::test]
async fn a_release_that_comes_twice_acts_once() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    agent.run_until(|agent| agent.files_done() == 1).await;
    let run = agent.start();
    agent.release(&run).await;
    agent.released = 0;
    agent.release(&run).await;
    run.stop().await.unwrap();
    agent.released = 0;
    let run = agent.start();
    agent.release(&run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.files(), ["archive/a.csv"]);
}

#[tokio::test]
async fn a_file_that_waits_for_its_release_is_not_read_again_by_the_next_run() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    agent.run_until(|agent| agent.files_done() == 1).await;
    agent.cache = Arc::new(MemoryCache::default());
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    run.stop().await.unwrap();
    assert_eq!(agent.rows().len(), 2);
}

#[tokio::test]
async fn a_lost_cache_is_rebuilt_from_the_marks_and_files_are_put_away() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    agent.run_until(|agent| agent.files_done() == 1).await;
    agent.cache = Arc::new(MemoryCache::default());
    agent.rebuild = true;
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    assert_eq!(agent.files(), ["archive/a.csv"]);
    agent.drop_file("again.csv", ONE);
    agent.receive(&mut run).await;
    assert!(matches!(agent.durable.last().unwrap().rows, Rows::Progress), "known content is a duplicate");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn files_are_deleted_or_kept_as_the_admin_says() {
    let mut agent = csv(json!({"after": "delete"}));
    agent.drop_file("a.csv", ONE);
    agent.run_releasing_until(|agent| agent.files_done() == 1).await;
    assert_eq!(agent.files(), [""; 0]);

    let mut agent = csv(json!({"after": "keep"}));
    agent.drop_file("a.csv", ONE);
    agent.run_releasing_until(|agent| agent.files_done() == 1).await;
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await, "a file that is kept is read once");
    agent.drop_file("a.csv", TWO);
    agent.receive(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.rows().len(), 3, "the same name with new content is a new version");
    assert_eq!(agent.files(), ["a.csv"]);
}

#[tokio::test]
async fn the_same_content_again_is_skipped_or_loaded_as_the_admin_says() {
    for (policy, rows) in [("skip", 2), ("load", 6)] {
        let mut agent = csv(json!({"duplicate": policy}));
        agent.drop_file("a.csv", ONE);
        agent.run_releasing_until(|agent| agent.files_done() == 1).await;
        agent.drop_file("a.csv", ONE);
        agent.run_releasing_until(|agent| agent.files_done() == 2).await;
        agent.drop_file("b.csv", ONE);
        agent.run_releasing_until(|agent| agent.files_done() == 3).await;
        assert_eq!(agent.rows().len(), rows, "{policy}");
        assert_eq!(agent.files(), ["archive/a.csv", "archive/a.csv.1", "archive/b.csv"]);
    }
}

#[tokio::test]
async fn a_new_version_that_comes_before_the_release_is_not_put_away_with_the_old_one() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    agent.run_until(|agent| agent.files_done() == 1).await;
    agent.drop_file("a.csv", TWO);
    let run = agent.start();
    agent.release(&run).await;
    assert!(exists(&agent.path("a.csv")), "nobody has read it yet");
    run.stop().await.unwrap();
    agent.run_releasing_until(|agent| agent.files_done() == 2).await;
    assert_eq!(agent.rows().len(), 3);
    assert_eq!(agent.files(), ["archive/a.csv"]);
}

#[tokio::test]
async fn many_small_files_wait_for_releases_within_bounds() {
    let mut agent = csv(json!({}));
    for number in 0..80 {
        agent.drop_file(&format!("{number:03}.csv"), format!("id\n{number}\n"));
    }
    let mut run = agent.start();
    while !agent.is_quiet(&mut run).await {}
    assert_eq!(agent.files_done(), 64);
    run.stop().await.unwrap();
    agent.run_releasing_until(|agent| agent.files_done() == 80).await;
    let ids: Vec<_> = agent.rows().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (0..80).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_marker_is_waited_for_and_goes_with_its_file() {
    let mut agent = csv(json!({"ready": {"done_marker": {"suffix": ".done"}}}));
    agent.drop_file("a.csv", ONE);
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    agent.drop_file("a.csv.done", "");
    agent.receive(&mut run).await;
    agent.release(&run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.files(), ["archive/a.csv", "archive/a.csv.done"]);
}

#[tokio::test]
async fn a_manifest_is_checked_and_goes_with_the_last_of_its_files() {
    let mut agent = csv(json!({"ready": {"done_marker": {"manifest": "*.manifest"}}}));
    let sum = |text: &str| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    agent.drop_file("a.csv", ONE);
    agent.drop_file("b.csv", "id,name\nforged,1\n");
    agent.drop_file("c.csv", "id\n9\n");
    agent.drop_file("day.manifest", format!("{}  a.csv\n{}  b.csv\n", sum(ONE), sum(TWO)));
    agent.run_releasing_until(|agent| agent.files_done() == 2).await;
    let files = ["archive/a.csv", "archive/day.manifest", "c.csv", "error/b.csv", "error/b.csv.reason"];
    assert_eq!(agent.files(), files);
    assert_eq!(agent.rows().len(), 2);
    let reason = std::fs::read_to_string(agent.path("error/b.csv.reason")).unwrap();
    assert!(reason.contains("its manifest says"), "{reason}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_cannot_be_put_away_stays_and_is_put_away_later() {
    let mut agent = csv(json!({}));
    agent.drop_file("a.csv", ONE);
    // Where the archive should be is a file: even root cannot create a folder there.
    agent.drop_file("archive", "");
    agent.config["files"][0]["include"] = json!(["*.csv"]);
    let mut run = agent.start();
    agent.receive(&mut run).await;
    agent.release(&run).await;
    assert!(agent.is_quiet(&mut run).await, "it is not read again");
    assert_eq!(agent.files(), ["a.csv", "archive"]);
    std::fs::remove_file(agent.path("archive")).unwrap();
    let archived = agent.path("archive/a.csv");
    eventually("the file is archived", || exists(&archived)).await;
    run.stop().await.unwrap();
}
