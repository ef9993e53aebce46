//! What a verification finds, and how precisely it names it.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::key::AuditKey;

/// A chain of events with a checkpoint of every third.
struct Trail {
    key: AuditKey,
    records: Vec<Vec<u8>>,
    checkpoints: Vec<SignedCheckpoint>,
}

fn json(seq: u64) -> Vec<u8> {
    format!(r#"{{"seq":{seq},"event":"something","name":"plant-{seq}"}}"#).into_bytes()
}

impl Trail {
    fn of(events: u64) -> Self {
        let mut trail =
            Self { key: AuditKey::generate().unwrap(), records: Vec::new(), checkpoints: Vec::new() };
        trail.extend(events);
        trail
    }

    fn head(&self) -> EventHash {
        self.records.last().map(|bytes| EventHash::of(bytes)).unwrap_or_default()
    }

    fn extend(&mut self, events: u64) {
        let from = self.records.len() as u64 + 1;
        for seq in from..from + events {
            let bytes = Record::link(self.head(), &json(seq)).bytes();
            self.records.push(bytes);
            if seq % 3 == 0 {
                self.sign(seq, None);
            }
        }
    }

    fn sign(&mut self, seq: u64, snapshot: Option<EventHash>) {
        let head = EventHash::of(&self.records[seq as usize - 1]);
        let previous = self.checkpoints.last().map(SignedCheckpoint::hash).unwrap_or_default();
        let number = self.checkpoints.len() as u64 + 1;
        let said = Checkpoint { number, seq, head, at: Timestamp::UNIX_EPOCH, previous, snapshot };
        self.checkpoints.push(said.sign(&self.key));
    }

    /// Makes every record carry the hash of the one before it again, as a forger without the key would.
    fn relink(&mut self, from: usize) {
        for n in from.max(1)..self.records.len() {
            let previous = EventHash::of(&self.records[n - 1]);
            let event = Record::parse(&self.records[n]).unwrap().json.to_vec();
            self.records[n] = Record::link(previous, &event).bytes();
        }
    }

    fn verify_from(&self, first: u64) -> Verification {
        let mut verifier = Verifier::new(vec![self.key.public()]);
        for checkpoint in &self.checkpoints {
            verifier.checkpoint(checkpoint.clone(), "checkpoints");
        }
        for (seq, bytes) in (1..).zip(&self.records).skip(first as usize - 1) {
            verifier.event(seq, &Record::parse(bytes).unwrap(), "events");
        }
        verifier.finish()
    }

    fn findings(&self) -> Vec<String> {
        self.verify_from(1).findings.iter().map(|finding| finding.subject.clone()).collect()
    }
}

#[test]
fn an_untouched_trail_is_sound_and_says_how_far_it_is_vouched_for() {
    let found = Trail::of(10).verify_from(1);
    assert_eq!(found.findings, []);
    assert_eq!((found.events, found.first, found.last, found.checkpoints, found.vouched), (10, 1, 10, 3, 9));
    assert!(Trail::of(0).verify_from(1).is_sound(), "and so is an empty one");
}

#[test]
fn a_changed_event_is_named() {
    for changed in 1..=9_usize {
        let mut trail = Trail::of(10);
        let at = trail.records[changed - 1].len() - 3;
        trail.records[changed - 1][at] ^= 1;
        let findings = trail.findings();
        let expected =
            if changed == 9 { "one of events 9 to 10".to_owned() } else { format!("event {changed}") };
        assert!(findings.contains(&expected), "event {changed}: {findings:?}");
    }
}

#[test]
fn a_changed_link_is_named_with_its_neighbour() {
    let mut trail = Trail::of(10);
    trail.records[4][0] ^= 1;
    assert_eq!(trail.findings(), ["one of events 4 to 5"]);
}

#[test]
fn a_forged_tail_with_every_hash_renewed_is_found_by_what_was_signed() {
    for forged in 1..=10_usize {
        let mut trail = Trail::of(10);
        let at = trail.records[forged - 1].len() - 3;
        trail.records[forged - 1][at] ^= 1;
        trail.relink(forged);
        let found = trail.verify_from(1);
        if forged == 10 {
            assert!(found.is_sound() && found.vouched == 9, "no signature covers it yet, and that is said");
        } else {
            let first_signed_after = forged.div_ceil(3) * 3;
            let expected = format!("event {first_signed_after}");
            assert_eq!(found.findings[0].subject, expected);
        }
    }
}

#[test]
fn a_trail_signed_with_another_key_is_not_believed() {
    let (mut trail, forger) = (Trail::of(9), Trail::of(9));
    trail.checkpoints.clone_from(&forger.checkpoints);
    let found = trail.verify_from(1);
    assert_eq!((found.vouched, found.findings.len()), (0, 3));
    assert!(found.findings[0].fault.contains("not among those given"));
}

#[test]
fn events_that_are_cut_off_left_out_or_swapped_are_named() {
    let mut cut = Trail::of(9);
    cut.records.truncate(7);
    assert_eq!(cut.findings(), ["events 8 to 9"]);

    let trail = Trail::of(9);
    let mut verifier = Verifier::new(vec![trail.key.public()]);
    for (seq, bytes) in (1..).zip(&trail.records).filter(|(seq, _)| ![4, 5].contains(seq)) {
        verifier.event(seq, &Record::parse(bytes).unwrap(), "file");
    }
    let found = verifier.finish();
    assert_eq!(found.findings[0].to_string(), "events 4 to 5 is missing before this place (file)");
    assert_eq!(found.findings.len(), 1, "behind the gap the chain is whole");

    let mut swapped = Trail::of(9);
    swapped.records.swap(3, 4);
    let findings = swapped.findings();
    assert!(
        findings.contains(&"event 4".to_owned()) && findings.contains(&"event 5".to_owned()),
        "{findings:?}"
    );
}

#[test]
fn what_retention_removed_is_no_finding_only_behind_a_signed_anchor() {
    let mut trail = Trail::of(9);
    assert_eq!(
        trail.verify_from(7).findings[0].subject,
        "events 1 to 6",
        "a plain checkpoint does not allow it"
    );
    trail.sign(6, Some(EventHash::of(b"snapshot")));
    let found = trail.verify_from(7);
    assert_eq!(found.findings, []);
    assert_eq!((found.first, found.events), (7, 3));
    assert!(!trail.verify_from(8).is_sound(), "and only up to just there");
}

#[test]
fn a_left_out_or_exchanged_checkpoint_is_found() {
    let mut trail = Trail::of(9);
    trail.checkpoints.remove(1);
    assert_eq!(trail.findings(), ["checkpoint 2"]);

    let mut trail = Trail::of(6);
    let said = trail.checkpoints[1].said().clone();
    trail.checkpoints[1] = Checkpoint { previous: EventHash::default(), ..said }.sign(&trail.key);
    assert_eq!(trail.findings(), ["checkpoint 2"], "even one that was signed with the key");
}

#[test]
fn a_checkpoint_kept_elsewhere_tells_that_the_trail_was_turned_back() {
    let before = Trail::of(9);
    let witness = before.checkpoints[2].clone();
    let mut turned_back = Trail { key: before.key, records: before.records, checkpoints: before.checkpoints };
    turned_back.records.truncate(5);
    turned_back.checkpoints.truncate(1);
    assert!(turned_back.verify_from(1).is_sound(), "by itself it looks whole");
    let mut verifier = Verifier::new(vec![turned_back.key.public()]);
    verifier.checkpoint(turned_back.checkpoints[0].clone(), "server");
    verifier.checkpoint(witness, "kept elsewhere");
    for (seq, bytes) in (1..).zip(&turned_back.records) {
        verifier.event(seq, &Record::parse(bytes).unwrap(), "server");
    }
    let findings: Vec<_> = verifier.finish().findings.iter().map(|finding| finding.subject.clone()).collect();
    assert_eq!(findings, ["events 6 to 9", "checkpoint 2"]);
}

proptest! {
    #[test]
    fn whichever_bit_below_the_last_checkpoint_is_flipped_it_is_found(events in 3_u64..20, at: prop::sample::Index, bit in 0_u8..8) {
        let mut trail = Trail::of(events);
        let vouched = (events / 3 * 3) as usize;
        let total: usize = trail.records[..vouched].iter().map(Vec::len).sum();
        let (mut at, mut n) = (at.index(total), 0);
        while at >= trail.records[n].len() {
            at -= trail.records[n].len();
            n += 1;
        }
        trail.records[n][at] ^= 1 << bit;
        prop_assert!(!trail.verify_from(1).is_sound());
        trail.relink(n + 1);
        prop_assert!(!trail.verify_from(1).is_sound(), "nor does it help to renew the hashes behind it");
    }
}
