//! Certificates renew themselves while the link stays.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use towpath_tests::data::Feed;
use towpath_tests::fleet::{PATIENCE, Plan};
use towpath_tests::scene::{PLANT, Scene, Setting};
use towpath_tests::wait::wait_until;
use walkdir::WalkDir;

/// An agent renews after two thirds of this.
const CONFIG: &str = "certificates: { agent_ttl: 15s }\n";

/// Every certificate chain below a folder, with its content.
fn chains(below: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = WalkDir::new(below).follow_links(true).into_iter().flatten();
    let chains = files.filter(|f| f.file_name().to_string_lossy().contains("chain"));
    chains.filter_map(|f| Some((f.path().to_owned(), std::fs::read(f.path()).ok()?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_the_link_stays_and_outlives_the_first_one() -> Result<()> {
    let plan = Plan { control_config: Some(CONFIG.to_owned()), ..Plan::default() };
    let mut scene = Scene::start(Setting { plan, ..Setting::new(61) }).await?;
    let plant = scene.fleet.agent(PLANT);
    plant.wait_linked().await?;
    let (identity, log) = (plant.state().join("identity"), plant.launch().log.clone());
    let first = chains(&identity);
    assert!(!first.is_empty(), "no certificate chain in {}", identity.display());
    wait_until("the certificate is renewed", PATIENCE, async || {
        Ok((chains(&identity) != first).then_some(()))
    })
    .await
    .with_context(|| scene.fleet.post_mortem())?;
    let links = |text: &str| text.matches("the link to the control plane is up").count();
    let before = links(&std::fs::read_to_string(&log)?);

    // Well past the end of the first certificate, rows still flow over the link.
    tokio::time::sleep(Duration::from_secs(16)).await;
    scene.drop_of(Feed::Orders)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}\n{}", scene.fleet.post_mortem());
    assert_eq!(links(&std::fs::read_to_string(&log)?), before, "the link was dropped");

    // And a new connection is made with the new certificate.
    scene.fleet.agent(PLANT).kill()?;
    scene.fleet.agent(PLANT).start()?;
    scene.fleet.agent(PLANT).wait_linked().await
}
