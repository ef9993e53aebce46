//! Waiting for what must become true.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` gives a value.
///
/// # Errors
/// The condition failed, or gave nothing for `limit`; `what` names it.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if started.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits while `measure` goes on changing, until it reaches `goal` or stands still for `patience`. Returns the last
/// value. A run that is slow but moving is never taken for one that is stuck.
///
/// # Errors
/// The measure failed.
pub async fn wait_while_moving<T: PartialEq>(
    patience: Duration,
    mut measure: impl AsyncFnMut() -> Result<T>,
    goal: impl Fn(&T) -> bool,
) -> Result<T> {
    let (mut last, mut moved) = (measure().await?, Instant::now());
    while !goal(&last) && moved.elapsed() < patience {
        tokio::time::sleep(POLL).await;
        let now = measure().await?;
        if now != last {
            (last, moved) = (now, Instant::now());
        }
    }
    Ok(last)
}
