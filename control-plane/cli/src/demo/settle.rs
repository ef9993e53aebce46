//! Decides when the demo is over that shall end when everything is quiet.

use std::time::{Duration, Instant};

/// So long nothing must have moved before the results are read: time for a row that comes late, or twice.
const QUIET_FOR: Duration = Duration::from_secs(3);
/// Who has not moved for so long will not. Longer than every pause of a retry and of the circuit breaker.
const STUCK_AFTER: Duration = Duration::from_secs(75);

/// How long nothing has moved.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    last: Option<(Vec<u64>, Instant)>,
    looked_at: Option<Instant>,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Something moves or was due to move a moment ago.
    Wait,
    /// All seems to be there: read the results, and wait on if they are not complete.
    Look,
    /// Nothing will come any more: read the results and be done.
    Conclude,
}

impl Stillness {
    /// What is to be done, now that `movement` was seen and everything is `at_rest` or not.
    pub(super) fn judge(&mut self, now: Instant, movement: Vec<u64>, at_rest: bool) -> Verdict {
        let since = match &self.last {
            Some((last, since)) if *last == movement => *since,
            _ => {
                self.last = Some((movement, now));
                self.looked_at = None;
                return Verdict::Wait;
            }
        };
        if now.duration_since(since) >= STUCK_AFTER {
            return Verdict::Conclude;
        }
        let quiet_since = self.looked_at.unwrap_or(since);
        if at_rest && now.duration_since(quiet_since) >= QUIET_FOR {
            self.looked_at = Some(now);
            return Verdict::Look;
        }
        Verdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn results_are_read_once_nothing_moved_for_a_while_and_again_only_after_as_long() {
        let (mut stillness, start) = (Stillness::default(), Instant::now());
        let mut judge = |seconds: u32, rows: u64| stillness.judge(start + SECOND * seconds, vec![rows], true);
        assert_eq!(judge(0, 10), Verdict::Wait);
        assert_eq!(judge(2, 20), Verdict::Wait);
        assert_eq!(judge(4, 20), Verdict::Wait);
        assert_eq!(judge(5, 20), Verdict::Look);
        assert_eq!(judge(6, 20), Verdict::Wait);
        assert_eq!(judge(8, 20), Verdict::Look);
        assert_eq!(judge(9, 21), Verdict::Wait);
        assert_eq!(judge(11, 21), Verdict::Wait);
        assert_eq!(judge(12, 21), Verdict::Look);
    }

    #[test]
    fn what_waits_is_waited_for_but_not_for_ever() {
        let (mut stillness, start) = (Stillness::default(), Instant::now());
        let mut judge = |seconds: u32| stillness.judge(start + SECOND * seconds, vec![7], false);
        assert_eq!(judge(0), Verdict::Wait);
        assert_eq!(judge(74), Verdict::Wait);
        assert_eq!(judge(75), Verdict::Conclude);
    }
}
