//! Denied attempts, recorded so that nobody can fill the disk with them.
//!
//! The first of its kind is an event at once. More of the same within the minute are counted, and their number is one
//! event when the minute is over. Of different kinds, so many are told apart in a minute; the others are counted
//! together, as of a stranger.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::event::{Actor, Cause, EventKind};

/// How long denials that are alike are counted together.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// How many kinds of denials are told apart within that time.
const MOST_KINDS: usize = 100;

/// What someone was denied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Denial {
    /// What they lack: a permission, or `authentication`.
    pub lacking: String,
    /// On what, if that was known.
    pub on: Option<String>,
}

/// Denials of the minute that runs.
#[derive(Default)]
pub(crate) struct Denials {
    began: Option<Timestamp>,
    kinds: BTreeMap<(Actor, Option<IpAddr>, Denial), More>,
    others: u64,
}

/// What came after the first of a kind.
struct More {
    cause: Cause,
    count: u64,
}

impl Denials {
    /// Takes a denial. Returns the events to be recorded now: those of a minute that is over, and this one if it is the
    /// first of its kind.
    fn note(&mut self, now: Timestamp, cause: &Cause, denial: Denial) -> Vec<(Cause, EventKind)> {
        let mut due = self.due(now);
        self.began.get_or_insert(now);
        let address = cause.origin.as_ref().and_then(|origin| origin.address);
        let kind = (cause.actor.clone(), address, denial);
        if let Some(more) = self.kinds.get_mut(&kind) {
            more.count += 1;
        } else if self.kinds.len() < MOST_KINDS {
            due.push((cause.clone(), event(&kind.2, 1)));
            self.kinds.insert(kind, More { cause: cause.clone(), count: 0 });
        } else {
            self.others += 1;
        }
        due
    }

    /// The counts of a minute that is over.
    fn due(&mut self, now: Timestamp) -> Vec<(Cause, EventKind)> {
        let over = self.began.is_some_and(|began| now.duration_since(began) >= WINDOW || now < began);
        if over { self.drain() } else { Vec::new() }
    }

    fn drain(&mut self) -> Vec<(Cause, EventKind)> {
        let Self { kinds, others, .. } = std::mem::take(self);
        let counted = kinds.into_iter().filter(|(_, more)| more.count > 0);
        let mut due: Vec<_> =
            counted.map(|((_, _, denial), more)| (more.cause, event(&denial, more.count))).collect();
        if others > 0 {
            let various = Denial { lacking: "various".to_owned(), on: None };
            due.push((Actor::Stranger.into(), event(&various, others)));
        }
        due
    }
}

fn event(denial: &Denial, count: u64) -> EventKind {
    EventKind::AccessDenied { lacking: denial.lacking.clone(), on: denial.on.clone(), count }
}

impl<S: Storage> Catalog<S> {
    /// Records that someone was denied something, at once or, if it was denied them just before, with the next count.
    ///
    /// # Errors
    /// The catalog cannot record it.
    pub fn record_denial(&self, cause: &Cause, denial: Denial) -> Result<(), CatalogError> {
        let due = self.denials.lock().note((self.config.clock)(), cause, denial);
        self.record_all(due)
    }

    /// Records the counts of denials whose minute is over; with `all`, those of the minute that runs too.
    ///
    /// # Errors
    /// The catalog cannot record them.
    pub fn flush_denials(&self, all: bool) -> Result<(), CatalogError> {
        let due = {
            let mut denials = self.denials.lock();
            if all { denials.drain() } else { denials.due((self.config.clock)()) }
        };
        self.record_all(due)
    }

    fn record_all(&self, due: Vec<(Cause, EventKind)>) -> Result<(), CatalogError> {
        due.into_iter().try_for_each(|(cause, kind)| self.command(&cause, |_| Ok(((), Some(kind)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(lacking: &str) -> Denial {
        Denial { lacking: lacking.to_owned(), on: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn counts(due: &[(Cause, EventKind)]) -> Vec<u64> {
        let count =
            |kind: &EventKind| if let EventKind::AccessDenied { count, .. } = kind { *count } else { 0 };
        due.iter().map(|(_, kind)| count(kind)).collect()
    }

    #[test]
    fn the_first_is_recorded_at_once_and_the_others_of_the_minute_as_one() {
        let (mut denials, stranger) = (Denials::default(), Cause::from(Actor::Stranger));
        assert_eq!(counts(&denials.note(at(0), &stranger, denial("authentication"))), [1]);
        for _ in 0..999 {
            assert!(denials.note(at(30), &stranger, denial("authentication")).is_empty());
        }
        assert_eq!(counts(&denials.note(at(31), &stranger, denial("route:write"))), [1], "another kind");
        assert!(denials.due(at(59)).is_empty());
        assert_eq!(counts(&denials.due(at(60))), [999]);
        assert_eq!(counts(&denials.note(at(61), &stranger, denial("authentication"))), [1], "a new minute");
    }

    #[test]
    fn however_many_kinds_there_are_the_events_of_a_minute_are_bounded() {
        let (mut denials, stranger) = (Denials::default(), Cause::from(Actor::Stranger));
        let mut events = 0;
        for n in 0..100_000 {
            events += denials.note(at(1), &stranger, denial(&format!("thing {n}"))).len();
        }
        let counted = denials.due(at(61));
        assert_eq!((events, counts(&counted)), (MOST_KINDS, vec![100_000 - MOST_KINDS as u64]));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_hold_the_counts_back() {
        let (mut denials, stranger) = (Denials::default(), Cause::from(Actor::Stranger));
        denials.note(at(100), &stranger, denial("a"));
        denials.note(at(100), &stranger, denial("a"));
        assert_eq!(counts(&denials.due(at(50))), [1]);
    }
}
