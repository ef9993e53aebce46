//! What many want at once goes to one; `cargo x sim enrol-race` plays the same a thousand times.

use anyhow::{Result, ensure};
use towpath_tests::race::Race;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_use_a_token_at_once_one_wins_also_when_the_control_plane_is_killed() -> Result<()> {
    let mut race = Race::start(20, 81).await?;
    for _ in 0..3 {
        race.round().await?;
        race.round_with_kill().await?;
    }
    ensure!(race.score.rounds == 6 && race.score.kills == 3, "{:?}", race.score);
    race.check().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_identity_one_is_cut_off_and_the_audit_trail_tells() -> Result<()> {
    let mut race = Race::start(0, 82).await?;
    race.double("copied").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_started_again_after_a_kill_is_not_taken_for_two() -> Result<()> {
    let mut race = Race::start(0, 83).await?;
    let port = race.fleet.control.port();
    race.fleet.add_agent("alone", port).await?;
    for _ in 0..2 {
        race.fleet.agent("alone").wait_linked().await?;
        race.fleet.agent("alone").kill()?;
        race.fleet.agent("alone").start()?;
    }
    race.fleet.agent("alone").wait_linked().await?;
    // Longer than a goodbye may take to be received, and the count of it to be recorded.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let denied = race.fleet.api().get("/v1/audit?outcome=denied").await?;
    ensure!(!denied.to_string().contains("agent alone"), "{denied}");
    Ok(())
}
