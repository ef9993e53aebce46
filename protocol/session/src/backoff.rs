//! How long to wait before trying again: exponential, with full jitter, so that a fleet that lost its control
//! plane at one instant does not come back at one instant.

use std::time::{Duration, Instant};

/// The shape of a [`Backoff`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackoffConfig {
    /// The shortest wait.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// How long something must have worked before a failure counts as the first again.
    pub stable: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            stable: Duration::from_secs(20),
        }
    }
}

/// Counts failures and draws waits.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    rng: fastrand::Rng,
    failures: u32,
    works_since: Option<Instant>,
}

impl Backoff {
    /// Draws waits from `seed`; two machines must not have the same.
    pub fn new(config: BackoffConfig, seed: u64) -> Self {
        Self { config, rng: fastrand::Rng::with_seed(seed), failures: 0, works_since: None }
    }

    /// It works now.
    pub fn handle_success(&mut self, now: Instant) {
        self.works_since = Some(now);
    }

    /// It failed: how long to wait, drawn evenly between the shortest wait and a ceiling that doubles with each
    /// failure in a row.
    pub fn handle_failure(&mut self, now: Instant) -> Duration {
        let worked_for = self.works_since.take().map(|since| now.saturating_duration_since(since));
        if worked_for.is_some_and(|worked| worked >= self.config.stable) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let growth = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let ceiling = self.config.first.saturating_mul(growth).min(self.config.max);
        let spread = ceiling.saturating_sub(self.config.first);
        self.config.first + spread.mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_stay_within_their_bounds() {
        let config = BackoffConfig::default();
        for seed in 0..200 {
            let now = Instant::now();
            let mut backoff = Backoff::new(config, seed);
            for failure in 1..40u32 {
                let wait = backoff.handle_failure(now);
                let ceiling = config.first.saturating_mul(1 << failure.min(20)).min(config.max);
                assert!(config.first <= wait && wait <= ceiling, "failure {failure}: {wait:?}");
            }
        }
    }

    #[test]
    fn two_machines_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(BackoffConfig::default(), seed);
            (0..10).map(|_| backoff.handle_failure(Instant::now())).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }

    #[test]
    fn only_what_worked_for_a_while_starts_from_the_shortest_wait() {
        let config = BackoffConfig::default();
        let start = Instant::now();
        let mut backoff = Backoff::new(config, 7);
        let many: Vec<_> = (0..20).map(|_| backoff.handle_failure(start)).collect();
        assert!(many.iter().max() > Some(&(config.first * 8)));
        backoff.handle_success(start);
        let after_a_blip = (0..20).map(|_| backoff.clone().handle_failure(start + config.stable / 2)).max();
        assert!(after_a_blip > Some(config.first * 2));
        assert!(backoff.handle_failure(start + config.stable) <= config.first * 2);
    }
}
