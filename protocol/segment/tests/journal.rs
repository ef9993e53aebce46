//! What a journal promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::collections::BTreeMap;
use std::path::Path;

use towpath_segment::simulated::{Faults, SimulatedStorage, Tear};
use towpath_segment::{AppendError, Config, DiskStorage, Journal, OpenError, SegmentLog};

fn config() -> Config {
    Config { segment_bytes: 2048, max_record_bytes: 1 << 20, first_index: 1 }
}

#[test]
fn the_latest_value_of_each_key_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut journal, _) = Journal::open(DiskStorage, dir.path(), config()).unwrap();
        journal.put(b"a", b"1").unwrap();
        journal.put(b"b", b"2").unwrap();
        journal.put(b"a", b"3").unwrap();
        journal.put(b"c", b"").unwrap();
        journal.remove(b"b").unwrap();
        journal.remove(b"never there").unwrap();
        journal.sync().unwrap();
    }
    let (journal, recovery) = Journal::open(DiskStorage, dir.path(), config()).unwrap();
    assert!(recovery.is_clean());
    let found: BTreeMap<_, _> = journal.iter().collect();
    assert_eq!(found, BTreeMap::from([(&b"a"[..], &b"3"[..]), (b"c", b"")]));
    assert_eq!((journal.get(b"b"), journal.len()), (None, 2));
}

#[test]
fn a_journal_stays_small_however_often_its_values_change() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(DiskStorage, dir.path(), config()).unwrap();
    for round in 0_u32..400 {
        for key in 0_u8..10 {
            journal.put(&[key], &round.to_le_bytes()).unwrap();
        }
        journal.sync().unwrap();
    }
    let on_disk: u64 =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk < 8 << 10, "{on_disk} bytes for ten values");
    drop(journal);
    let (journal, _) = Journal::open(DiskStorage, dir.path(), config()).unwrap();
    assert_eq!(journal.len(), 10);
    assert!(journal.iter().all(|(_, value)| value == 399_u32.to_le_bytes()));
}

#[test]
fn after_a_failed_sync_the_values_go_back_to_what_is_durable() {
    let storage = SimulatedStorage::default();
    let (mut journal, _) = Journal::open(storage.clone(), Path::new("/journal"), config()).unwrap();
    journal.put(b"cursor", b"1").unwrap();
    journal.sync().unwrap();
    journal.put(b"cursor", b"2").unwrap();
    storage.set_faults(Faults { fail_sync: Some(storage.syncs() + 1), ..Faults::default() });
    assert!(matches!(journal.sync(), Err(AppendError::Poisoned(_))));
    journal.reopen().unwrap();
    assert_eq!(journal.get(b"cursor"), Some(&b"1"[..]));
    journal.put(b"cursor", b"3").unwrap();
    journal.sync().unwrap();
    let after = storage.power_cut(Tear::Prefix(0));
    let (journal, _) = Journal::open(after, Path::new("/journal"), config()).unwrap();
    assert_eq!(journal.get(b"cursor"), Some(&b"3"[..]));
}

#[test]
fn another_log_is_not_taken_for_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = SegmentLog::open(DiskStorage, dir.path(), config()).unwrap();
    log.append(&[b"not a journal's"]).unwrap();
    log.sync().unwrap();
    drop(log);
    let error = Journal::open(DiskStorage, dir.path(), config()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { index: 1, .. }), "{error}");
}
