//! What is private on a machine stays private.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use towpath_tests::data::Feed;
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};
use walkdir::WalkDir;

fn mode(path: &Path) -> Result<u32> {
    Ok(std::fs::symlink_metadata(path)?.permissions().mode() & 0o777)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_an_agent_or_the_control_plane_keeps_can_be_read_by_others() -> Result<()> {
    let mut scene = Scene::start(Setting::new(71)).await?;
    scene.drop_of(Feed::Orders)?;
    assert!(scene.settle().await?.is_none());
    let mut keys = 0;
    for folder in [PLANT, CLOUD, "control"] {
        let root = scene.fleet.join(folder);
        assert_eq!(mode(&root)?, 0o700, "{} lets others in", root.display());
        for entry in WalkDir::new(root) {
            let path = entry?.into_path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Keys, tokens and business data do not rely on the folder around them.
            if path.is_file() && (name.contains("key") || name.contains("context") || name.ends_with(".seg"))
            {
                assert_eq!(mode(&path)? & 0o077, 0, "{} can be read by others", path.display());
                keys += 1;
            }
        }
    }
    assert!(keys > 5, "only {keys} files were there to check");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_key_of_an_agent_is_not_on_the_control_plane() -> Result<()> {
    let scene = Scene::start(Setting::new(72)).await?;
    let keys: Vec<_> = WalkDir::new(scene.fleet.join(PLANT).join("identity"))
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("key"))
        .collect();
    assert!(!keys.is_empty(), "the agent has a key");
    for key in keys {
        let pem = std::fs::read_to_string(key.path())?;
        let line = pem.lines().nth(1).unwrap_or_default().as_bytes().to_vec();
        assert!(line.len() > 30, "{} is not PEM", key.path().display());
        for entry in WalkDir::new(scene.fleet.control.data()).into_iter().flatten() {
            if entry.file_type().is_file() {
                let bytes = std::fs::read(entry.path())?;
                let found = bytes.windows(line.len()).any(|window| window == line);
                assert!(!found, "{} holds the agent's private key", entry.path().display());
            }
        }
    }
    Ok(())
}
