//! A machine's timers, each named with its reason.

use std::collections::BTreeMap;
use std::time::Instant;

/// When which reason to wake comes due.
#[derive(Debug)]
pub(crate) struct Timers<K>(BTreeMap<K, Instant>);

impl<K: Ord + Clone> Timers<K> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn set(&mut self, reason: K, at: Instant) {
        self.0.insert(reason, at);
    }

    pub(crate) fn stop(&mut self, reason: &K) {
        self.0.remove(reason);
    }

    pub(crate) fn stop_all(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_set(&self, reason: &K) -> bool {
        self.0.contains_key(reason)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }

    /// Takes the timer that has been due the longest.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<K> {
        let due = self.0.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at)?.0.clone();
        self.0.remove(&due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_come_due_in_the_order_of_their_time_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        timers.set("late", at(20));
        timers.set("early", at(10));
        timers.set("never", at(15));
        timers.stop(&"never");
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(30)), Some("early"));
        assert_eq!(timers.take_due(at(30)), Some("late"));
        assert_eq!(timers.take_due(at(30)), None);
    }
}
