//! The keys that were used, within bounds. Pure: the time comes in.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::answer::Answer;

/// How long a key is remembered.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// Most keys that are remembered.
pub(super) const MOST_KEYS: usize = 10_000;
/// Bytes of all answers that are kept.
pub(super) const MOST_BYTES: usize = 32 << 20;

/// Whose key, and which: the hash of both.
pub(super) type Name = blake3::Hash;

/// A key, and when it was noted: a key that was left free may be noted again.
pub(super) type Noted = (Name, Timestamp);

/// What is known of a key.
pub(super) enum Found {
    Nothing,
    Answered(Box<Answer>),
    /// Answered before the control plane was started.
    Sealed(Vec<u8>),
    UnderWay,
    /// Under way when the control plane ended.
    Cut,
    AskedOtherwise,
}

/// The keys that were used.
#[derive(Default)]
pub(super) struct Book {
    entries: HashMap<Name, Entry>,
    /// In the order in which they were noted.
    order: VecDeque<Noted>,
    bytes: usize,
}

struct Entry {
    /// What was asked: method, address, conditions and body.
    asked: blake3::Hash,
    noted: Timestamp,
    outcome: Outcome,
}

/// How far a request came.
pub(super) enum Outcome {
    UnderWay,
    Cut,
    Answered(Box<Answer>),
    Sealed(Vec<u8>),
}

impl Outcome {
    fn len(&self) -> usize {
        match self {
            Self::UnderWay | Self::Cut => 0,
            Self::Answered(answer) => answer.len(),
            Self::Sealed(sealed) => sealed.len(),
        }
    }
}

impl Book {
    /// Notes that a request with this key is under way, unless it was there before. Tells which keys were forgotten for it.
    pub(super) fn begin(&mut self, name: Name, asked: blake3::Hash, now: Timestamp) -> (Found, Vec<Noted>) {
        let forgotten = self.forget(now);
        if let Some(entry) = self.entries.get(&name) {
            let found = match &entry.outcome {
                _ if entry.asked != asked => Found::AskedOtherwise,
                Outcome::Answered(answer) => Found::Answered(answer.clone()),
                Outcome::Sealed(sealed) => Found::Sealed(sealed.clone()),
                Outcome::UnderWay => Found::UnderWay,
                Outcome::Cut => Found::Cut,
            };
            return (found, forgotten);
        }
        self.note(name, asked, now, Outcome::UnderWay);
        (Found::Nothing, forgotten)
    }

    /// Notes a key as it was kept.
    pub(super) fn note(&mut self, name: Name, asked: blake3::Hash, noted: Timestamp, outcome: Outcome) {
        self.bytes += outcome.len();
        self.entries.insert(name, Entry { asked, noted, outcome });
        self.order.push_back((name, noted));
    }

    /// Notes the answer, and tells what was asked and when.
    pub(super) fn finish(&mut self, name: Name, answer: Answer) -> Option<(blake3::Hash, Timestamp)> {
        let entry = self.entries.get_mut(&name)?;
        self.bytes += answer.len();
        entry.outcome = Outcome::Answered(Box::new(answer));
        Some((entry.asked, entry.noted))
    }

    /// Leaves a key free, and tells when it was noted.
    pub(super) fn free(&mut self, name: Name) -> Option<Timestamp> {
        let entry = self.entries.remove(&name)?;
        self.bytes -= entry.outcome.len();
        Some(entry.noted)
    }

    /// Forgets what is old, and the oldest of what is too much.
    fn forget(&mut self, now: Timestamp) -> Vec<Noted> {
        let mut forgotten = Vec::new();
        while let Some((name, noted)) = self.order.front().copied() {
            let is_old = now.duration_since(noted) > REMEMBERED;
            if !is_old && self.order.len() < MOST_KEYS && self.bytes < MOST_BYTES {
                break;
            }
            self.order.pop_front();
            // A key that was left free may have been noted again since.
            if self.entries.get(&name).is_some_and(|entry| entry.noted == noted) {
                self.free(name);
                forgotten.push((name, noted));
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{LARGEST, of_size};
    use super::*;

    fn name(key: &str) -> Name {
        blake3::hash(key.as_bytes())
    }

    #[test]
    fn a_key_is_forgotten_after_a_day() {
        let (mut book, start, asked) = (Book::default(), Timestamp::UNIX_EPOCH, name("x"));
        let begin = |book: &mut Book, at| book.begin(name("a"), asked, at);
        assert!(matches!(begin(&mut book, start).0, Found::Nothing));
        assert!(matches!(begin(&mut book, start).0, Found::UnderWay));
        book.finish(name("a"), of_size(5));
        assert!(matches!(begin(&mut book, start + REMEMBERED).0, Found::Answered(_)));
        let (found, forgotten) = begin(&mut book, start + REMEMBERED + SignedDuration::from_secs(1));
        assert!(matches!(found, Found::Nothing));
        assert_eq!((forgotten, book.bytes), (vec![(name("a"), start)], 0));
    }

    #[test]
    fn whatever_comes_the_book_stays_within_its_bounds() {
        let (mut book, now, asked) = (Book::default(), Timestamp::UNIX_EPOCH, name("x"));
        for n in 0..(MOST_KEYS + 500) {
            book.begin(name(&n.to_string()), asked, now);
            book.finish(name(&n.to_string()), of_size(if n < 100 { LARGEST } else { 10 }));
        }
        assert!(book.entries.len() <= MOST_KEYS && book.order.len() <= MOST_KEYS);
        assert!(book.bytes <= MOST_BYTES + LARGEST);
        let kept: usize = book.entries.values().map(|entry| entry.outcome.len()).sum();
        assert_eq!(book.bytes, kept);
    }
}
