//! What a start costs: with the projection, and when all events are replayed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::installed::Installed;
use crate::measure::Spent;

/// Starts of one control plane.
pub(crate) struct Starts {
    /// With its projection.
    pub(crate) quick: Vec<(Duration, Spent)>,
    /// Without, so that every event is replayed.
    pub(crate) replayed: Vec<(Duration, Spent)>,
    /// How long it takes to read and hash the same events, by one thread.
    pub(crate) hashed: Vec<Duration>,
    /// Bytes of the events.
    pub(crate) bytes: u64,
    /// Resident memory a moment after the last start, in bytes.
    pub(crate) rss: u64,
}

/// How long a control plane is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// Starts a control plane again and again, with and without its projection.
pub(crate) async fn measure(installed: &mut Installed, runs: usize) -> Result<Starts> {
    let catalog = installed.fleet.control.data().join("catalog");
    let mut starts = Starts { quick: Vec::new(), replayed: Vec::new(), hashed: Vec::new(), bytes: 0, rss: 0 };
    for _ in 0..runs {
        installed.fleet.control.terminate()?;
        std::fs::remove_dir_all(catalog.join("projection"))?;
        starts.replayed.push(installed.start_again().await?);
        installed.fleet.control.terminate()?;
        starts.quick.push(installed.start_again().await?);
        let (events, hashing) = (catalog.join("events"), Instant::now());
        starts.bytes = tokio::task::spawn_blocking(move || hash(&events)).await??;
        starts.hashed.push(hashing.elapsed());
    }
    tokio::time::sleep(REST).await;
    starts.rss = installed.fleet.control.usage()?.rss;
    Ok(starts)
}

/// Reads every segment and hashes it. Returns how many bytes that is.
fn hash(events: &Path) -> Result<u64> {
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    for entry in std::fs::read_dir(events)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            let read = std::fs::read(path)?;
            bytes += read.len() as u64;
            hasher.update(&read);
        }
    }
    std::hint::black_box(hasher.finalize());
    Ok(bytes)
}
