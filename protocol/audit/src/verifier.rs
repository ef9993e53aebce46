//! Checks events against each other and against what was signed.
//!
//! Checkpoints come first, from any number of places, then the events in the order of their numbers. Where an event's
//! link does not hold, the events that can be at fault are named: an event whose successor's link breaks, while that
//! successor's own hash is confirmed by the next, was itself changed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::finding::{Finding, Verification};
use crate::hash::EventHash;
use crate::key::PublicKey;
use crate::record::Record;

/// A verification under way.
pub struct Verifier {
    keys: Vec<PublicKey>,
    by_number: BTreeMap<u64, (SignedCheckpoint, String)>,
    /// What was signed of an event: its hash, the checkpoint's number, and whether the events up to it may be gone.
    by_seq: BTreeMap<u64, Vouched>,
    found: Verification,
    next: u64,
    /// The hash that the next event shall carry; nothing behind a gap.
    head: Option<EventHash>,
    /// The first of a run of events whose links do not hold.
    broken: Option<Break>,
    begun: bool,
    gaps_are_reported: bool,
}

struct Vouched {
    head: EventHash,
    number: u64,
    is_anchor: bool,
}

struct Break {
    first: u64,
    place: String,
}

impl Verifier {
    /// A verification that believes what these keys signed.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self {
            keys,
            by_number: BTreeMap::new(),
            by_seq: BTreeMap::new(),
            found: Verification::default(),
            next: 1,
            head: Some(EventHash::default()),
            broken: None,
            begun: false,
            gaps_are_reported: false,
        }
    }

    /// The same, where the caller reports what is missing between events, because it knows why.
    #[must_use]
    pub fn with_gaps_reported(mut self) -> Self {
        self.gaps_are_reported = true;
        self
    }

    /// Says which event should be the first, after the checkpoints and before the first event. Without it, the first
    /// that comes is the first.
    pub fn begin_at(&mut self, first: u64) {
        self.begin(first, "");
    }

    /// Takes something that was found elsewhere into the account.
    pub fn report(&mut self, finding: Finding) {
        self.found.findings.push(finding);
    }

    /// Takes a checkpoint, before the first event. The same one may come from several places.
    pub fn checkpoint(&mut self, signed: SignedCheckpoint, place: &str) {
        let said = signed.said();
        let subject = format!("checkpoint {}", said.number);
        if let Err(fault) = signed.check(&self.keys) {
            return self.report(Finding::new(subject, place, fault.to_string()));
        }
        match self.by_number.entry(said.number) {
            Entry::Occupied(known) if known.get().0.hash() == signed.hash() => return,
            Entry::Occupied(known) => {
                let fault = format!("is another one than that in {}, and both are signed", known.get().1);
                return self.found.findings.push(Finding::new(subject, place, fault));
            }
            Entry::Vacant(free) => {
                self.found.checkpoints += 1;
                free.insert((signed.clone(), place.to_owned()));
            }
        }
        self.vouch(said, place);
    }

    fn vouch(&mut self, said: &Checkpoint, place: &str) {
        let vouched = Vouched { head: said.head, number: said.number, is_anchor: said.snapshot.is_some() };
        match self.by_seq.entry(said.seq) {
            Entry::Vacant(free) => drop(free.insert(vouched)),
            Entry::Occupied(mut known) if known.get().head == said.head => {
                known.get_mut().is_anchor |= vouched.is_anchor;
            }
            Entry::Occupied(known) => {
                let subject = format!("checkpoint {}", said.number);
                let fault = format!(
                    "and checkpoint {} vouch for different events {}, and both are signed",
                    known.get().number,
                    said.seq
                );
                self.found.findings.push(Finding::new(subject, place, fault));
            }
        }
    }

    /// Takes the event that stands at this number.
    pub fn event(&mut self, seq: u64, record: &Record<'_>, place: &str) {
        if !self.begun {
            self.begin(seq, place);
        }
        if seq < self.next {
            let fault = format!("comes again, or out of order, behind event {}", self.next - 1);
            return self.report(Finding::new(format!("event {seq}"), place, fault));
        }
        if seq > self.next {
            self.gap(seq, place);
        }
        match record.seq() {
            Some(said) if said == seq => {}
            Some(said) => {
                self.report(Finding::new(
                    format!("event {seq}"),
                    place,
                    format!("says that it is event {said}"),
                ));
            }
            None => self.report(Finding::new(format!("event {seq}"), place, "is not an event in JSON")),
        }
        match self.head {
            Some(head) if head != record.previous => {
                self.broken.get_or_insert_with(|| Break { first: seq, place: place.to_owned() });
            }
            _ => self.settle_break(seq, true),
        }
        if let Some(vouched) = self.by_seq.get(&seq) {
            if vouched.head == record.hash {
                self.found.vouched = seq;
            } else {
                let fault = format!("is not the one that checkpoint {} vouches for", vouched.number);
                self.report(Finding::new(format!("event {seq}"), place, fault));
            }
        }
        self.found.events += 1;
        self.advance(seq, record.hash);
    }

    /// Ends the verification.
    pub fn finish(self) -> Verification {
        self.finish_at(0)
    }

    /// Ends the verification of a trail whose next event shall get this number.
    pub fn finish_at(mut self, next: u64) -> Verification {
        self.settle_break(self.next, false);
        if let Some((&seq, vouched)) = self.by_seq.last_key_value()
            && seq >= self.next
        {
            let fault =
                format!("cannot be found, but checkpoint {} vouches for what was there", vouched.number);
            self.report(Finding::new(events(self.next, seq + 1), String::new(), fault));
            self.next = seq + 1;
        }
        if self.next < next {
            let fault = "cannot be found, but was there when the control plane was started or has been since";
            self.report(Finding::new(events(self.next, next), String::new(), fault));
        }
        self.check_chain_of_checkpoints();
        self.found
    }

    /// Where the oldest events were removed, a signed anchor says that they might be, and what the hash was.
    fn begin(&mut self, first: u64, place: &str) {
        self.begun = true;
        self.found.first = first;
        if first <= 1 {
            return;
        }
        self.next = first;
        self.head = None;
        match self.by_seq.get(&(first - 1)) {
            Some(anchor) if anchor.is_anchor => self.head = Some(anchor.head),
            _ => {
                let fault = "is gone, and no signed anchor says that retention removed it";
                self.report(Finding::new(events(1, first), place, fault));
                self.head = self.by_seq.get(&(first - 1)).map(|vouched| vouched.head);
            }
        }
    }

    fn gap(&mut self, to: u64, place: &str) {
        self.settle_break(self.next, false);
        if !self.gaps_are_reported {
            self.report(Finding::new(events(self.next, to), place, "is missing before this place"));
        }
        // Only a checkpoint of the last missing event knows the hash that its successor shall carry.
        self.next = to;
        self.head = self.by_seq.get(&(self.next - 1)).map(|vouched| vouched.head);
    }

    fn advance(&mut self, seq: u64, hash: EventHash) {
        self.next = seq + 1;
        self.head = Some(hash);
        (self.found.last, self.found.head) = (seq, hash);
    }

    /// Names what may be at fault, now that the links from the first broken one up to before `good` do not hold. Where
    /// the link of `good` itself does, the event before it is as it was.
    fn settle_break(&mut self, good: u64, confirmed: bool) {
        let Some(Break { first, place }) = self.broken.take() else { return };
        let from = first.saturating_sub(1).max(1);
        let to = if confirmed { (good - 1).max(from + 1) } else { good };
        let subject = if from + 1 == to { events(from, to) } else { format!("one of {}", events(from, to)) };
        let fault = format!("was changed: event {first} does not carry the hash of the one before it");
        self.report(Finding::new(subject, place, fault));
    }

    fn check_chain_of_checkpoints(&mut self) {
        let mut before: Option<(u64, EventHash)> = None;
        let mut faults = Vec::new();
        for (&number, (signed, place)) in &self.by_number {
            let expected = before.map_or((1, EventHash::default()), |(number, hash)| (number + 1, hash));
            if number != expected.0 {
                // Part of the chain is no fault where it is all that was given: an export begins where one asks.
                if before.is_some() {
                    faults.push(Finding::new(
                        numbered("checkpoint", expected.0, number),
                        place,
                        "are missing before this one",
                    ));
                }
            } else if signed.said().previous != expected.1 {
                let fault = "does not carry the hash of the checkpoint before it";
                faults.push(Finding::new(format!("checkpoint {number}"), place, fault));
            }
            before = Some((number, signed.hash()));
        }
        self.found.findings.extend(faults);
    }
}

/// `event 4`, or `events 4 to 6`, up to and not with `to`.
fn events(from: u64, to: u64) -> String {
    numbered("event", from, to)
}

fn numbered(what: &str, from: u64, to: u64) -> String {
    if from + 1 == to { format!("{what} {from}") } else { format!("{what}s {from} to {}", to - 1) }
}

#[cfg(test)]
mod tests;
