//! What a log promises to its owner and its readers, on a real disk and on a simulated one.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use towpath_segment::simulated::{Faults, SimulatedStorage, Tear};
use towpath_segment::{
    AppendError, Config, DiskStorage, OpenError, ReadError, Reader, SegmentLog, Storage, Visibility,
};

fn small() -> Config {
    Config { segment_bytes: 4096, max_record_bytes: 64 << 10, first_index: 1 }
}

fn open(dir: &Path) -> SegmentLog {
    let (log, recovery) = SegmentLog::open(DiskStorage, dir, small()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    log
}

fn payload(index: u64) -> Vec<u8> {
    (0..100 + index % 400).map(|at| (at * 7 + index) as u8).collect()
}

fn fill<S: Storage>(log: &mut SegmentLog<S>, count: u64) {
    for _ in 0..count {
        let index = log.next_index();
        assert_eq!(log.append(&[&payload(index)]).unwrap(), index);
    }
    log.sync().unwrap();
}

fn assert_next<S: Storage>(reader: &mut Reader<S>, index: u64) {
    let record = reader.next().unwrap().unwrap_or_else(|| panic!("record {index} is not there"));
    assert_eq!((record.index, record.payload), (index, payload(index)));
}

#[test]
fn records_are_numbered_without_gaps_across_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    fill(&mut open(dir.path()), 50);
    let mut log = open(dir.path());
    fill(&mut log, 50);
    assert!(log.segments().len() > 3, "the log did not roll");
    let mut reader = log.reader(1);
    (1..=100).for_each(|index| assert_next(&mut reader, index));
    assert_eq!(reader.next().unwrap(), None);
    for index in [1, 37, 50, 99, 100] {
        assert_eq!(log.view().get(index).unwrap().unwrap(), payload(index));
    }
}

#[test]
fn a_record_is_seen_only_once_it_is_durable_unless_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let mut durable = log.reader(1);
    let mut written = log.view().reader_of(1, Visibility::Written);
    log.append(&[&payload(1)]).unwrap();
    assert_eq!(durable.next().unwrap(), None);
    assert_next(&mut written, 1);
    assert_eq!((log.next_index(), log.durable_index()), (2, 1));
    log.sync().unwrap();
    assert_next(&mut durable, 1);
}

#[test]
fn a_record_larger_than_a_segment_gets_one_to_itself_and_one_over_the_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    fill(&mut log, 1);
    let large = vec![9; 30_000];
    assert_eq!(log.append(&[&large[..10], &large[10..]]).unwrap(), 2);
    log.sync().unwrap();
    fill(&mut log, 1);
    assert_eq!(log.segments().len(), 3);
    assert_eq!(log.view().get(2).unwrap().unwrap(), large);
    let too_large = log.append(&[&vec![0; (64 << 10) + 1]]).unwrap_err();
    assert!(matches!(too_large, AppendError::TooLarge { bytes: 65_537, limit: 65_536 }));
    assert_eq!(log.next_index(), 4);
}

#[test]
fn a_batch_is_split_where_a_segment_ends_and_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let payloads: Vec<_> = (1..=40).map(|index| [payload(index)]).collect();
    let mut rest = &payloads[..];
    let mut calls = 0;
    while !rest.is_empty() {
        let taken = log.append_batch(rest).unwrap();
        rest = &rest[taken.count()..];
        calls += 1;
    }
    assert!(calls > 1);
    log.sync().unwrap();
    let mut reader = log.reader(1);
    (1..=40).for_each(|index| assert_next(&mut reader, index));
}

#[test]
fn trimming_removes_whole_segments_and_tells_readers_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    fill(&mut log, 100);
    let before = log.bytes();
    let mut reader = log.reader(1);
    assert_next(&mut reader, 1);
    log.trim_before(60).unwrap();
    assert_eq!(log.first_index(), 60);
    assert!(log.bytes() < before);
    let error = reader.next().unwrap_err();
    assert!(matches!(error, ReadError::Trimmed { wanted: 2, first: 60 }), "{error}");
    reader.seek(60);
    (60..=100).for_each(|index| assert_next(&mut reader, index));
    drop(log);
    let log = open(dir.path());
    assert!(log.first_index() <= 60 && log.first_index() > 40, "{}", log.first_index());
    assert_eq!(log.next_index(), 101);
}

#[test]
fn a_log_of_which_nothing_is_wanted_gives_its_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    fill(&mut log, 20);
    assert_eq!(log.segments().len(), 1);
    log.trim_before(21).unwrap();
    assert!(log.bytes() < 100, "{} bytes are left", log.bytes());
    fill(&mut log, 1);
    log.clear().unwrap();
    assert_eq!((log.first_index(), log.next_index(), log.bytes()), (22, 22, 32));
    drop(log);
    assert_eq!(open(dir.path()).next_index(), 22);
}

#[test]
fn readers_follow_a_log_that_grows_rolls_and_is_trimmed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let view = log.view().clone();
    std::thread::scope(|scope| {
        let followers: Vec<_> = (0..4)
            .map(|_| {
                let mut reader = view.reader(1);
                scope.spawn(move || {
                    let (mut seen, mut skipped) = (0, 0);
                    while reader.position() <= 2_000 {
                        match reader.next() {
                            Ok(Some(record)) => {
                                assert_eq!(record.payload, payload(record.index));
                                seen += 1;
                            }
                            Ok(None) => std::thread::yield_now(),
                            Err(ReadError::Trimmed { wanted, first }) => {
                                skipped += first - wanted;
                                reader.seek(first);
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    assert_eq!(seen + skipped, 2_000);
                })
            })
            .collect();
        for round in 0..200 {
            fill(&mut log, 10);
            log.trim_before((round * 10_u64).saturating_sub(200)).unwrap();
        }
        followers.into_iter().for_each(|follower| follower.join().unwrap());
    });
}

#[test]
fn a_directory_in_use_is_refused_with_the_holder_named() {
    let dir = tempfile::tempdir().unwrap();
    let _holder = open(dir.path());
    let error = SegmentLog::open(DiskStorage, dir.path(), small()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { pid: Some(_), .. }));
    let said = error.to_string();
    assert!(said.contains(&format!("process {}", std::process::id())) && said.contains("stop it"), "{said}");
}

#[test]
fn files_are_for_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("state").join("log");
    fill(&mut open(&log_dir), 50);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(log_dir.parent().unwrap()), mode(&log_dir)), (0o700, 0o700));
    for entry in fs::read_dir(&log_dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn an_impossible_configuration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for config in [
        Config { first_index: 0, ..small() },
        Config { segment_bytes: 1 << 32, ..small() },
        Config { segment_bytes: 8, ..small() },
        Config { max_record_bytes: 65 << 20, ..small() },
    ] {
        let refused = SegmentLog::open(DiskStorage, dir.path(), config.clone());
        assert!(matches!(refused, Err(OpenError::Config { .. })), "{config:?} was taken");
    }
}

#[test]
fn a_full_disk_takes_nothing_half_and_the_log_goes_on_when_there_is_space() {
    let storage = SimulatedStorage::default();
    let (mut log, _) = SegmentLog::open(storage.clone(), Path::new("/log"), small()).unwrap();
    fill(&mut log, 3);
    let held = log.bytes();
    storage.set_faults(Faults { capacity: Some(held + 50), ..Faults::default() });
    let error = log.append(&[&payload(4)]).unwrap_err();
    assert!(matches!(error, AppendError::NoSpace(_)), "{error:?}");
    assert_eq!((log.bytes(), log.next_index()), (held, 4));
    storage.set_faults(Faults::default());
    fill(&mut log, 60);
    let mut reader = log.reader(1);
    (1..=63).for_each(|index| assert_next(&mut reader, index));
}

#[test]
fn what_a_full_disk_refused_does_not_come_back_behind_a_sealed_segment() {
    for seed in 0..64 {
        let storage = SimulatedStorage::default();
        let (mut log, _) = SegmentLog::open(storage.clone(), Path::new("/log"), small()).unwrap();
        fill(&mut log, 3);
        storage.set_faults(Faults { capacity: Some(log.bytes() + 50), ..Faults::default() });
        assert!(matches!(log.append(&[&payload(4)]), Err(AppendError::NoSpace(_))));
        storage.set_faults(Faults::default());
        log.roll().unwrap();
        let found = storage.power_cut(Tear::Scatter(seed));
        let (log, recovery) = SegmentLog::open(found, Path::new("/log"), small()).unwrap();
        assert!(recovery.is_clean(), "seed {seed}: {recovery:?}");
        assert_eq!(log.next_index(), 4);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_the_log_is_reopened() {
    let storage = SimulatedStorage::default();
    let (mut log, _) = SegmentLog::open(storage.clone(), Path::new("/log"), small()).unwrap();
    fill(&mut log, 3);
    let mut eager = log.view().reader_of(4, Visibility::Written);
    log.append(&[b"doomed"]).unwrap();
    assert_eq!(eager.next().unwrap().unwrap().payload, b"doomed");
    storage.set_faults(Faults { fail_sync: Some(storage.syncs() + 1), ..Faults::default() });
    assert!(matches!(log.sync(), Err(AppendError::Poisoned(_))));
    assert!(matches!(log.sync(), Err(AppendError::Poisoned(_))), "the next sync acknowledged what was lost");
    assert!(matches!(log.append(&[b"x"]), Err(AppendError::Poisoned(_))));
    assert!(log.is_poisoned());
    log.reopen().unwrap();
    assert_eq!(log.next_index(), 4);
    fill(&mut log, 2);
    eager.seek(4);
    (4..=5).for_each(|index| assert_next(&mut eager, index));
}

#[test]
fn a_reopening_that_fails_leaves_the_log_poisoned() {
    let storage = SimulatedStorage::default();
    let (mut log, _) = SegmentLog::open(storage.clone(), Path::new("/log"), small()).unwrap();
    fill(&mut log, 1);
    log.append(&[b"unwanted"]).unwrap();
    storage.set_faults(Faults { fail_sync: Some(storage.syncs() + 1), ..Faults::default() });
    assert!(matches!(log.reopen(), Err(AppendError::Poisoned(_))));
    assert!(
        matches!(log.append(&[&payload(2)]), Err(AppendError::Poisoned(_))),
        "it went on behind what is unwanted"
    );
    log.reopen().unwrap();
    fill(&mut log, 1);
    assert_eq!(log.view().get(2).unwrap().unwrap(), payload(2));
}

#[test]
fn a_reader_ahead_of_what_is_durable_never_shows_what_was_taken_back() {
    let storage = SimulatedStorage::default();
    let (mut log, _) = SegmentLog::open(storage, Path::new("/log"), small()).unwrap();
    let mut eager = log.view().reader_of(1, Visibility::Written);
    for doomed in [b"one", b"two"] {
        log.append(&[doomed]).unwrap();
    }
    assert_eq!(eager.next().unwrap().unwrap().payload, b"one");
    log.reopen().unwrap();
    assert_eq!((log.next_index(), eager.next().unwrap()), (1, None));
    fill(&mut log, 2);
    assert_next(&mut eager, 2);
}
