//! When to try a failing sink again: exponential pauses, then a circuit breaker. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// How a route reacts to failures of its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause between tries while the breaker is closed.
    pub longest_pause: Duration,
    /// After so many failures in a row the breaker opens.
    pub failures: u32,
    /// How long the breaker stays open before one try is let through.
    pub open_for: Duration,
}

/// A circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: Policy,
    failures: u32,
    next_try: Option<Instant>,
    last_error: Option<String>,
}

/// What a breaker lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum State {
    /// Everything.
    #[default]
    Closed,
    /// Nothing, for a pause.
    Open,
    /// One try, on which it depends whether the breaker closes.
    HalfOpen,
}

impl Breaker {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, failures: 0, next_try: None, last_error: None }
    }

    /// A try succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.next_try = None;
        self.last_error = None;
    }

    /// A try failed; returns when the next one may be made.
    pub(crate) fn failed(&mut self, now: Instant, error: String) -> Instant {
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(error);
        let pause = if self.is_tripped() {
            self.policy.open_for
        } else {
            let doubled = self.policy.first_pause.saturating_mul(1 << (self.failures - 1).min(20));
            doubled.min(self.policy.longest_pause)
        };
        let next = now + pause;
        self.next_try = Some(next);
        next
    }

    /// When the next try may be made; `None` for at once.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        self.next_try
    }

    /// What the breaker lets through now.
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.next_try {
            _ if !self.is_tripped() => State::Closed,
            Some(next) if now < next => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The failure that the last try ended with, if it failed.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    fn is_tripped(&self) -> bool {
        self.failures >= self.policy.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Policy {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(3),
            failures: 4,
            open_for: Duration::from_secs(30),
        })
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_the_breaker_opens_after_enough_failures() {
        let (now, mut breaker) = (Instant::now(), breaker());
        let pauses: Vec<_> = (0..5).map(|_| (breaker.failed(now, "down".into()) - now).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 3, 30, 30]);
        assert_eq!(breaker.state(now), State::Open);
        assert_eq!(breaker.state(now + Duration::from_secs(30)), State::HalfOpen);
        assert_eq!(breaker.last_error(), Some("down"));
    }

    #[test]
    fn one_success_closes_it() {
        let (now, mut breaker) = (Instant::now(), breaker());
        for _ in 0..9 {
            breaker.failed(now, "down".into());
        }
        breaker.succeeded();
        assert_eq!(
            (breaker.state(now), breaker.next_try(), breaker.last_error()),
            (State::Closed, None, None)
        );
    }
}
