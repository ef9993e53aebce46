//! Token buckets, one for each of many. Pure: the time comes in.
//!
//! A bucket that is full again says nothing that a new one would not, so full ones are forgotten, and memory is bounded
//! by how many are used within the time that a bucket takes to fill. Beyond [`MOST_BUCKETS`] the fullest half goes: those
//! who asked least.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most buckets that are kept.
const MOST_BUCKETS: usize = 65_536;

/// How much is allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pace {
    /// Requests a second, in the long run.
    pub(super) per_second: f64,
    /// Requests at once, after a pause.
    pub(super) burst: f64,
}

/// What a bucket says to a request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Verdict {
    /// Whether the request may pass.
    pub(super) passes: bool,
    /// How many more may pass at once.
    pub(super) remaining: u64,
    /// When the next may pass, or when the bucket is full if one may pass now.
    pub(super) wait: Duration,
}

/// The buckets of many.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    pace: Pace,
    buckets: HashMap<K, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, buckets: HashMap::new() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, key: &K, now: Instant) -> Verdict {
        let pace = self.pace;
        if self.buckets.len() >= MOST_BUCKETS && !self.buckets.contains_key(key) {
            self.forget(now);
        }
        let bucket = self.buckets.entry(key.clone()).or_insert(Bucket { tokens: pace.burst, at: now });
        *bucket = Bucket { tokens: bucket.tokens_at(now, pace), at: now };
        let passes = bucket.tokens >= 1.0;
        if passes {
            bucket.tokens -= 1.0;
        }
        pace.verdict(passes, bucket.tokens)
    }

    fn forget(&mut self, now: Instant) {
        let pace = self.pace;
        self.buckets.retain(|_, bucket| bucket.tokens_at(now, pace) < pace.burst);
        if self.buckets.len() >= MOST_BUCKETS {
            let mut levels: Vec<f64> =
                self.buckets.values().map(|bucket| bucket.tokens_at(now, pace)).collect();
            let middle = levels.len() / 2;
            let (_, median, _) = levels.select_nth_unstable_by(middle, f64::total_cmp);
            let median = *median;
            self.buckets.retain(|_, bucket| bucket.tokens_at(now, pace) < median);
        }
    }
}

impl Bucket {
    fn tokens_at(&self, now: Instant, pace: Pace) -> f64 {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * pace.per_second;
        (self.tokens + filled).min(pace.burst)
    }
}

impl Pace {
    fn verdict(self, passes: bool, tokens: f64) -> Verdict {
        let missing = if passes { self.burst - tokens } else { 1.0 - tokens };
        let wait = Duration::from_secs_f64((missing / self.per_second).clamp(0.0, 86_400.0));
        Verdict { passes, remaining: tokens.max(0.0) as u64, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { per_second: 2.0, burst: 3.0 };

    #[test]
    fn a_burst_passes_and_then_the_pace_holds() {
        let (mut buckets, start) = (Buckets::new(PACE), Instant::now());
        let taken: Vec<_> = (0..4).map(|_| buckets.take(&"ada", start)).collect();
        assert_eq!(taken.iter().map(|one| one.passes).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(taken.iter().map(|one| one.remaining).collect::<Vec<_>>(), [2, 1, 0, 0]);
        assert_eq!(taken[3].wait, Duration::from_millis(500));
        let mut passed = 0;
        for tick in 1..=100 {
            passed += u32::from(buckets.take(&"ada", start + Duration::from_millis(tick * 100)).passes);
        }
        assert!((19..=21).contains(&passed), "{passed} in 10 s at 2 a second");
        assert!(buckets.take(&"bob", start).passes);
    }

    #[test]
    fn many_strangers_take_bounded_memory_and_do_not_free_the_one_who_asks_most() {
        let (mut buckets, now) = (Buckets::new(PACE), Instant::now());
        for _ in 0..5 {
            buckets.take(&0, now);
        }
        for stranger in 1..=(3 * MOST_BUCKETS as u32) {
            buckets.take(&stranger, now);
        }
        assert!(buckets.buckets.len() <= MOST_BUCKETS);
        assert!(!buckets.take(&0, now).passes);
        assert!(buckets.take(&0, now + Duration::from_secs(1)).passes);
    }
}
