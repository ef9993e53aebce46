//! Askers side by side, each with a connection of its own, each asking again as soon as it was answered.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use towpath_tests::api::Api;

use crate::measure::Spent;

/// What came of asking for a while.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) seconds: f64,
    pub(crate) answers: u64,
    /// Milliseconds, at half and at 99 of 100 answers.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// What the process used that was asked.
    pub(crate) spent: Spent,
}

impl Asked {
    /// What these times, in milliseconds, come to.
    pub(crate) fn of(elapsed: Duration, mut times: Vec<f64>, spent: Spent) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
        };
        let (answers, p50_ms, p99_ms) = (times.len() as u64, at(0.5), at(0.99));
        Self { seconds: elapsed.as_secs_f64(), answers, p50_ms, p99_ms, spent }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    /// Processor time of one answer, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.spent.cpu_seconds * 1e6 / self.answers as f64
    }
}

/// Lets each client ask until the window is over. Returns the time that passed, and how long each answer took, in
/// milliseconds.
pub(crate) async fn ask<F: Future<Output = Result<()>> + Send + 'static>(
    clients: &[Api],
    window: Duration,
    request: impl Fn(Api, u64) -> F + Clone + Send + 'static,
) -> Result<(Duration, Vec<f64>)> {
    let started = Instant::now();
    let asker = |(first, client): (usize, Api)| {
        let request = request.clone();
        let step = clients.len() as u64;
        let asking = tokio::spawn(async move {
            let (mut times, mut n) = (Vec::new(), first as u64);
            while started.elapsed() < window {
                let asked = Instant::now();
                request(client.clone(), n).await?;
                times.push(asked.elapsed().as_secs_f64() * 1e3);
                n += step;
            }
            anyhow::Ok(times)
        });
        async { asking.await? }
    };
    let times = try_join_all(clients.iter().cloned().enumerate().map(asker)).await?;
    Ok((started.elapsed(), times.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_and_99_of_100_answers_came_by_these_times() {
        let times = (1..=1000).rev().map(f64::from).collect();
        let spent = Spent { process: "x".to_owned(), cpu_seconds: 2.0, peak_rss_mib: 1.0 };
        let asked = Asked::of(Duration::from_secs(10), times, spent);
        assert_eq!((asked.p50_ms, asked.p99_ms), (501.0, 991.0));
        assert_eq!((asked.per_second(), asked.cpu_us()), (100.0, 2000.0));
    }
}
