//! Who may speak, and who may no longer.

use std::time::Duration;

use anyhow::{Context, Result};
use towpath_tests::data::Feed;
use towpath_tests::fleet::{Agent, Fleet, PATIENCE, Plan};
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};
use towpath_tests::wait::wait_until;

fn control_plane_alone() -> Plan {
    Plan { agents: Vec::new(), ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_token_is_good_once() -> Result<()> {
    let mut fleet = Fleet::start(control_plane_alone()).await?;
    let port = fleet.control.port();
    fleet.add_agent("first", port).await?;
    let token = fleet.api().create_token("first").await?;
    let plan = control_plane_alone();
    let [second, third] =
        ["second", "third"].map(|name| Agent::new(name, fleet.binaries(), fleet.path(), &plan));
    second?.enrol(port, &token)?;
    let refused = third?.enrol(port, &token).expect_err("the token was used").to_string();
    assert!(refused.contains("token"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_control_plane_is_not_trusted_with_a_key() -> Result<()> {
    let (one, other) =
        (Fleet::start(control_plane_alone()).await?, Fleet::start(control_plane_alone()).await?);
    let site = towpath_tests::resources::Documents::new().with("Site", "s", &serde_json::json!({}));
    one.apply(&site).await?;
    let token = one.api().create_token("s").await?;
    let agent = Agent::new("stray", other.binaries(), other.path(), &control_plane_alone())?;
    let refused =
        agent.enrol(other.control.port(), &token).expect_err("the pin is of another CA").to_string();
    assert!(
        refused.contains("CA") || refused.contains("certificate") || refused.contains("pin"),
        "{refused}"
    );
    assert!(!agent.state().join("identity").exists(), "nothing is stored of a failed enrolment");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_cut_off_at_once_and_refused_after() -> Result<()> {
    let mut scene = Scene::start(Setting::new(51)).await?;
    scene.drop_of(Feed::Orders)?;
    assert!(scene.settle().await?.is_none());
    scene.fleet.run_cli(&["agent", "revoke", PLANT])?;
    let linked = async |scene: &mut Scene| {
        let metrics = scene.fleet.agent(PLANT).metrics().await;
        metrics.is_ok_and(|metrics| metrics.sum("towpath_agent_linked", "") > 0.0)
    };
    wait_until("the agent is cut off", Duration::from_secs(5), async || {
        Ok((!linked(&mut scene).await).then_some(()))
    })
    .await
    .with_context(|| "a revoked agent stays linked")?;
    // Neither waiting nor a restart brings it back.
    let plant = scene.fleet.agent(PLANT);
    if plant.is_running() {
        plant.kill()?;
    }
    plant.start()?;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!linked(&mut scene).await, "a revoked agent was linked again");
    }
    let cloud = scene.fleet.agent(CLOUD).metrics().await?;
    assert!(cloud.sum("towpath_agent_linked", "") > 0.0, "the other agent is not concerned");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_identity_fences_the_first_and_rows_still_arrive_once() -> Result<()> {
    let mut scene = Scene::start(Setting::new(52)).await?;
    scene.drop_of(Feed::Orders)?;
    assert!(scene.settle().await?.is_none());
    // The copy runs on another disk, as a restored backup of the machine would.
    let plan = Plan::default();
    let mut copy = Agent::new("copy", scene.fleet.binaries(), scene.fleet.path(), &plan)?;
    towpath_tests::folder::copy(
        &scene.fleet.agent(PLANT).state().join("identity"),
        &copy.state().join("identity"),
    )?;
    copy.start()?;
    wait_until("the copy is linked", PATIENCE, async || {
        let metrics = copy.metrics().await;
        Ok(metrics.is_ok_and(|metrics| metrics.sum("towpath_agent_linked", "") > 0.0).then_some(()))
    })
    .await
    .with_context(|| scene.fleet.post_mortem())?;
    scene.fleet.agent(PLANT).kill()?;
    scene.drop_of(Feed::Orders)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}\n{}", scene.status().await);
    Ok(())
}
